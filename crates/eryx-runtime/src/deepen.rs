//! Makes `RecursionError` come before the host's stack runs out.
//!
//! CPython bounds C recursion by the address of the current frame. In wasm that is a place on the shadow stack, where
//! many functions have no frame at all, so a recursion through them never gets deeper there while the native stack
//! fills. Every function that looks at that bound is wrapped in one that takes [`FRAME`] bytes of shadow stack: so much
//! of it stands for at most `FRAME * (native stack / ERYX_STACK_TOLD)` bytes of native stack per level.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{
    CodeSection, Function, FunctionSection, Instruction, Module as Encoder, RawSection,
};
use wasmparser::{CodeSectionReader, ExternalKind, Operator, Parser, Payload};

use crate::module::Module;

/// Bytes of shadow stack that each level of C recursion takes at least.
pub const FRAME: i32 = 128;

/// What a function calls when the bound is passed: whoever calls one of these looks at the bound. The parser's own
/// check is not among them: it counts its levels as well, and those end first.
const CHECKS: [&str; 2] = ["_Py_CheckRecursiveCall", "Py_EnterRecursiveCall"];

/// Looks at the bound by itself: it puts objects aside that would be freed too deep.
const FREE: &str = "_Py_Dealloc";

/// Wraps every function of `wasm` that looks at the recursion bound.
///
/// # Errors
/// The module lacks the functions or the stack pointer that this is about.
pub fn deepen(wasm: &[u8]) -> Result<Vec<u8>> {
    let module = Module::parse(wasm)?;
    let checks: BTreeSet<u32> = CHECKS
        .iter()
        .map(|name| export(&module, name, ExternalKind::Func))
        .collect::<Result<_>>()?;
    let stack_pointer = export(&module, "__stack_pointer", ExternalKind::Global)?;
    let imported = module.imported_functions();
    let code = code_section(wasm)?;
    let free = export(&module, FREE, ExternalKind::Func)? - imported;
    let mut wrapped = callers(code.clone(), &checks)?;
    wrapped.insert(free);
    let wrapped: Vec<u32> = wrapped.into_iter().collect();
    let first_new = imported + code.count();
    let mut encoder = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::FunctionSection(section) => {
                let types = section
                    .into_iter()
                    .collect::<std::result::Result<Vec<u32>, _>>()?;
                encoder.section(&functions(&types, &wrapped));
            }
            Payload::CodeSectionStart { .. } => {
                let envelope = |local: u32, number: u32| -> Result<Function> {
                    let parameters = parameters(&module, imported + local)?;
                    Ok(wrapper(parameters, stack_pointer, first_new + number))
                };
                encoder.section(&bodies(wasm, code.clone(), &wrapped, envelope)?);
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    encoder.section(&RawSection {
                        id,
                        data: &wasm[range],
                    });
                }
            }
        }
    }
    Ok(encoder.finish())
}

fn export(module: &Module, name: &str, kind: ExternalKind) -> Result<u32> {
    let export = module
        .exports
        .get(name)
        .filter(|export| export.kind == kind);
    Ok(export
        .with_context(|| format!("the module does not export {name}"))?
        .index)
}

fn code_section(wasm: &[u8]) -> Result<CodeSectionReader<'_>> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionStart { range, .. } = payload? {
            let start = range.start;
            let reader = wasmparser::BinaryReader::new(&wasm[range], start);
            return Ok(CodeSectionReader::new(reader)?);
        }
    }
    bail!("the module has no code")
}

/// Indices, among the functions with a body, of those that call one of `checks`.
fn callers(code: CodeSectionReader<'_>, checks: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for (index, body) in (0u32..).zip(code) {
        for operator in body?.get_operators_reader()? {
            if matches!(operator?, Operator::Call { function_index } if checks.contains(&function_index))
            {
                found.insert(index);
                break;
            }
        }
    }
    Ok(found)
}

/// The types of all functions: those of the wrapped ones come once more at the end, for the bodies that move there.
fn functions(types: &[u32], wrapped: &[u32]) -> FunctionSection {
    let mut section = FunctionSection::new();
    for &ty in types
        .iter()
        .chain(wrapped.iter().map(|&index| &types[index as usize]))
    {
        section.function(ty);
    }
    section
}

fn bodies(
    wasm: &[u8],
    code: CodeSectionReader<'_>,
    wrapped: &[u32],
    envelope: impl Fn(u32, u32) -> Result<Function>,
) -> Result<CodeSection> {
    let mut section = CodeSection::new();
    let mut moved = Vec::new();
    for (index, body) in (0u32..).zip(code) {
        let body = &wasm[body?.range()];
        match wrapped.binary_search(&index) {
            Ok(number) => {
                section.function(&envelope(index, u32::try_from(number)?)?);
                moved.push(body);
            }
            Err(_) => drop(section.raw(body)),
        }
    }
    for body in moved {
        section.raw(body);
    }
    Ok(section)
}

fn parameters(module: &Module, function: u32) -> Result<u32> {
    let ty = module
        .function_type(function)
        .context("a function without a type")?;
    Ok(u32::try_from(ty.params().len())?)
}

/// Takes [`FRAME`] bytes of the shadow stack around a call of `inner`.
fn wrapper(parameters: u32, stack_pointer: u32, inner: u32) -> Function {
    let move_by = |function: &mut Function, bytes: i32| {
        function.instruction(&Instruction::GlobalGet(stack_pointer));
        function.instruction(&Instruction::I32Const(bytes));
        function.instruction(&Instruction::I32Add);
        function.instruction(&Instruction::GlobalSet(stack_pointer));
    };
    let mut function = Function::new([]);
    move_by(&mut function, -FRAME);
    for parameter in 0..parameters {
        function.instruction(&Instruction::LocalGet(parameter));
    }
    function.instruction(&Instruction::Call(inner));
    move_by(&mut function, FRAME);
    function.instruction(&Instruction::End);
    function
}
