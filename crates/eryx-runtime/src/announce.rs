//! Lets a watcher of a dict know when a key is set to the object that it has already.
//!
//! `CPython` calls watchers when a value changes. Whether a variable was assigned is another question: `result = rows` is an
//! assignment, also if it was `rows` before. All stores to a dict that may find their key there come through one function, `insertdict`
//! in Objects/dictobject.c. It is wrapped in one that tells the watchers first.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{
    BlockType, CodeSection, Function, FunctionSection, Instruction, MemArg, Module as Encoder,
    RawSection, ValType,
};
use wasmparser::{BinaryReader, CodeSectionReader, Parser, Payload, ValType as Parsed};

use crate::module::{Module, function_names};

/// `insertdict(dict, key, hash, value)`, as libpython is compiled: without the interpreter as its first parameter.
const SETTER: &str = "insertdict";
/// `_PyDict_SendEvent(watchers, event, dict, key, value)`.
const TELL: &str = "_PyDict_SendEvent";
/// `PyDict_EVENT_MODIFIED`.
const MODIFIED: i32 = 1;
/// Where a dict has the bits of its watchers: the low byte of `_ma_watcher_tag` in struct `PyDictObject` for wasm32, which
/// `PyDict_Watch` sets.
const WATCHERS: u64 = 16;

/// libpython with the wrapper.
///
/// # Errors
/// A function that this is about is missing, or has other parameters.
pub fn announce(libpython: &[u8]) -> Result<Vec<u8>> {
    let module = Module::parse(libpython)?;
    let setter = named(libpython, SETTER)?;
    let tell = module
        .exported_function(TELL)
        .with_context(|| format!("libpython does not export {TELL}"))?;
    for (function, name, parameters) in [(setter, SETTER, 4), (tell, TELL, 5)] {
        let params = module.function_type(function)?.params();
        if params.len() != parameters || params.iter().any(|ty| *ty != Parsed::I32) {
            bail!("{name} in libpython has other parameters than expected");
        }
    }
    let first = module.imported_functions();
    let own = (setter - first) as usize;
    let mut encoder = Encoder::new();
    for payload in Parser::new(0).parse_all(libpython) {
        match payload? {
            Payload::FunctionSection(section) => {
                let mut functions = FunctionSection::new();
                let types = section
                    .into_iter()
                    .collect::<std::result::Result<Vec<u32>, _>>()?;
                let moved = *types.get(own).context("a function without a type")?;
                for ty in types.into_iter().chain([moved]) {
                    functions.function(ty);
                }
                encoder.section(&functions);
            }
            Payload::CodeSectionStart { range, .. } => {
                let reader = BinaryReader::new(&libpython[range.clone()], range.start);
                let bodies = CodeSectionReader::new(reader)?;
                let moved = first + bodies.count();
                encoder.section(&wrapped(libpython, bodies, own, &wrapper(tell, moved))?);
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &libpython[range];
                    encoder.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(encoder.finish())
}

/// The only function that the `name` section calls so.
fn named(wasm: &[u8], wanted: &str) -> Result<u32> {
    let names = function_names(wasm)?.into_iter();
    let found: Vec<u32> = names
        .filter_map(|(index, name)| (name == wanted).then_some(index))
        .collect();
    match found[..] {
        [index] => Ok(index),
        _ => bail!("libpython has {} functions {wanted}, not one", found.len()),
    }
}

/// The bodies with `wrapper` in the place of number `own`, which comes last.
fn wrapped(
    wasm: &[u8],
    bodies: CodeSectionReader<'_>,
    own: usize,
    wrapper: &Function,
) -> Result<CodeSection> {
    let mut section = CodeSection::new();
    let mut moved = None;
    for (number, body) in bodies.into_iter().enumerate() {
        let body = &wasm[body?.range()];
        if number == own {
            section.function(wrapper);
            moved = Some(body);
        } else {
            section.raw(body);
        }
    }
    section.raw(moved.context("a function without a body")?);
    Ok(section)
}

fn wrapper(tell: u32, inner: u32) -> Function {
    const DICT: u32 = 0;
    const KEY: u32 = 1;
    const VALUE: u32 = 3;
    const BITS: u32 = 4;
    let tag = MemArg {
        offset: WATCHERS,
        align: 0,
        memory_index: 0,
    };
    let mut function = Function::new([(1, ValType::I32)]);
    for instruction in [
        Instruction::LocalGet(DICT),
        Instruction::I32Load8U(tag),
        Instruction::LocalTee(BITS),
        Instruction::If(BlockType::Empty),
        Instruction::LocalGet(BITS),
        Instruction::I32Const(MODIFIED),
        Instruction::LocalGet(DICT),
        Instruction::LocalGet(KEY),
        Instruction::LocalGet(VALUE),
        Instruction::Call(tell),
        Instruction::End,
    ] {
        function.instruction(&instruction);
    }
    for parameter in 0..4 {
        function.instruction(&Instruction::LocalGet(parameter));
    }
    function.instruction(&Instruction::Call(inner));
    function.instruction(&Instruction::End);
    function
}
