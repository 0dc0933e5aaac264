//! Constant expressions: what a global, a data segment or an element segment starts with.

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use wasmparser::{ConstExpr, Operator};

/// A number as wasm stores it. Floating-point numbers are kept as their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum Constant {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
}

impl Constant {
    /// An address or table slot.
    ///
    /// # Errors
    /// It is not a 32-bit integer.
    pub fn address(self) -> Result<u32> {
        match self {
            Self::I32(value) => Ok(value.cast_unsigned()),
            other => bail!("{other:?} is not an address"),
        }
    }
}

/// Computes an expression. `globals` holds the values of the globals before it.
///
/// # Errors
/// The expression uses an operator or a global that has no known value.
pub fn evaluate(expression: &ConstExpr<'_>, globals: &[Option<Constant>]) -> Result<Constant> {
    let mut stack = Vec::new();
    for operator in expression.get_operators_reader() {
        match operator? {
            Operator::I32Const { value } => stack.push(Constant::I32(value)),
            Operator::I64Const { value } => stack.push(Constant::I64(value)),
            Operator::F32Const { value } => stack.push(Constant::F32(value.bits())),
            Operator::F64Const { value } => stack.push(Constant::F64(value.bits())),
            Operator::GlobalGet { global_index } => stack.push(
                globals
                    .get(global_index as usize)
                    .copied()
                    .flatten()
                    .context("the expression uses a global of unknown value")?,
            ),
            Operator::I32Add => binary(&mut stack, i32::wrapping_add)?,
            Operator::I32Sub => binary(&mut stack, i32::wrapping_sub)?,
            Operator::I32Mul => binary(&mut stack, i32::wrapping_mul)?,
            Operator::End => {}
            other => bail!("{other:?} in a constant expression"),
        }
    }
    match stack.as_slice() {
        [value] => Ok(*value),
        _ => bail!("a constant expression leaves {} values", stack.len()),
    }
}

fn binary(stack: &mut Vec<Constant>, compute: fn(i32, i32) -> i32) -> Result<()> {
    let (Some(Constant::I32(right)), Some(Constant::I32(left))) = (stack.pop(), stack.pop()) else {
        bail!("i32 arithmetic on something else");
    };
    stack.push(Constant::I32(compute(left, right)));
    Ok(())
}
