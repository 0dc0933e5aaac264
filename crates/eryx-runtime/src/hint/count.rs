//! Counts, in a module that is made for it, how often branches are reached and where they go.
//!
//! Each counter is a mutable global that is exported: other than memory, no code of the module can change it.

use std::ops::Range;

use anyhow::{Result, bail};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Encode as _, ExportKind, ExportSection,
    Function as NewFunction, GlobalSection, GlobalType, Instruction as I, Module as Encoder,
    RawSection, ValType,
};
use wasmparser::{ExportSectionReader, GlobalSectionReader, Parser, Payload};

use super::branches::{self, Function, Labels};
use crate::module::Module;

/// The module with counters.
///
/// # Errors
/// It has no globals or exports, or a function with several results.
pub fn counting(wasm: &[u8]) -> Result<Vec<u8>> {
    let module = Module::parse(wasm)?;
    let functions = branches::functions(wasm)?;
    let first = globals(wasm)?;
    let count: u32 = functions
        .iter()
        .map(Function::counters)
        .sum::<usize>()
        .try_into()?;
    let all = first..first + count;
    let mut encoder = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::GlobalSection(section) => {
                encoder.section(&with_globals(section, count)?);
            }
            Payload::ExportSection(section) => {
                encoder.section(&with_exports(section, all.clone())?);
            }
            Payload::CodeSectionStart { .. } => {
                encoder.section(&code(wasm, &module, &functions, first)?);
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    encoder.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(encoder.finish())
}

fn globals(wasm: &[u8]) -> Result<u32> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::GlobalSection(section) = payload? {
            return Ok(section.count());
        }
    }
    bail!("the module has no globals")
}

fn with_globals(section: GlobalSectionReader<'_>, count: u32) -> Result<GlobalSection> {
    let mut globals = GlobalSection::new();
    RoundtripReencoder.parse_global_section(&mut globals, section)?;
    let counter = GlobalType {
        val_type: ValType::I64,
        mutable: true,
        shared: false,
    };
    for _ in 0..count {
        globals.global(counter, &ConstExpr::i64_const(0));
    }
    Ok(globals)
}

fn with_exports(section: ExportSectionReader<'_>, counters: Range<u32>) -> Result<ExportSection> {
    let mut exports = ExportSection::new();
    RoundtripReencoder.parse_export_section(&mut exports, section)?;
    for (number, global) in counters.enumerate() {
        exports.export(&name(number), ExportKind::Global, global);
    }
    Ok(exports)
}

/// What a counter is exported by.
pub(super) fn name(number: usize) -> String {
    format!("counter:{number}")
}

fn code(
    wasm: &[u8],
    module: &Module,
    functions: &[Function<'_>],
    first: u32,
) -> Result<CodeSection> {
    let mut section = CodeSection::new();
    let mut next = first;
    for function in functions {
        section.function(&counted(wasm, module, function, next)?);
        next += u32::try_from(function.counters())?;
    }
    Ok(section)
}

/// A function that counts, in the globals from `first` on. Its code becomes a block, behind whose end returns are counted.
fn counted(
    wasm: &[u8],
    module: &Module,
    function: &Function<'_>,
    first: u32,
) -> Result<NewFunction> {
    let ty = module.function_type(function.index)?;
    let (locals, condition) = locals(function, ty.params().len())?;
    let mut new = NewFunction::new(locals);
    new.instruction(&I::Block(block_type(ty.results())?));
    let counting = Counting { first, condition };
    let mut branch = u32::try_from(function.labels)?;
    let mut labels = Labels::new();
    let mut operators = function.body.get_operators_reader()?;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        if labels.target(&operator).is_some() {
            new.raw(counting.branch(branch));
            branch += 2;
        }
        new.raw(wasm[start..operators.original_position()].iter().copied());
        if let Some(label) = labels.pass(&operator)? {
            new.raw(counting.arrival(u32::try_from(label)?));
        }
    }
    new.instruction(&I::End);
    Ok(new)
}

/// The function's locals and one more, which holds conditions; and its index.
fn locals(function: &Function<'_>, parameters: usize) -> Result<(Vec<(u32, ValType)>, u32)> {
    let mut locals = Vec::new();
    let mut index = u32::try_from(parameters)?;
    for group in function.body.get_locals_reader()? {
        let (count, ty) = group?;
        locals.push((count, RoundtripReencoder.val_type(ty)?));
        index += count;
    }
    locals.push((1, ValType::I32));
    Ok((locals, index))
}

fn block_type(results: &[wasmparser::ValType]) -> Result<BlockType> {
    match *results {
        [] => Ok(BlockType::Empty),
        [ty] => Ok(BlockType::Result(RoundtripReencoder.val_type(ty)?)),
        _ => bail!("a function has several results"),
    }
}

/// Code that counts in the globals of one function.
struct Counting {
    /// The function's first counter.
    first: u32,
    /// A local for the condition of a branch.
    condition: u32,
}

impl Counting {
    /// Counts that the place of a label was reached.
    fn arrival(&self, label: u32) -> Vec<u8> {
        encoded(&add(self.first + label, &[I::I64Const(1)]))
    }

    /// Counts, in two counters, a branch whose condition is on the stack, and leaves it there.
    fn branch(&self, at: u32) -> Vec<u8> {
        let (reached, taken) = (self.first + at, self.first + at + 1);
        let holds = [
            I::LocalGet(self.condition),
            I::I32Const(0),
            I::I32Ne,
            I::I64ExtendI32U,
        ];
        let parts = [
            vec![I::LocalTee(self.condition)],
            add(reached, &[I::I64Const(1)]),
            add(taken, &holds),
        ];
        encoded(&parts.concat())
    }
}

fn add(global: u32, value: &[I<'static>]) -> Vec<I<'static>> {
    let mut code = vec![I::GlobalGet(global)];
    code.extend_from_slice(value);
    code.extend([I::I64Add, I::GlobalSet(global)]);
    code
}

fn encoded(instructions: &[I<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in instructions {
        instruction.encode(&mut bytes);
    }
    bytes
}
