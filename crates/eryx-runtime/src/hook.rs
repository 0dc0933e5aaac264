//! Puts a function of ours in the place of one of libpython's.
//!
//! Neither it nor what it needs of libpython is exported: libpython's `name` section says which functions they are.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, Instruction, Module as Encoder, RawSection,
};
use wasmparser::{BinaryReader, CodeSectionReader, Parser, Payload};

use crate::module::{Module, function_names};

/// Functions of libpython, and what is called in their place: our C code says why.
const REPLACED: [(&str, &str); 1] = [("_Py_RunGC", "eryx_run_gc")];

/// Functions of libpython that our C code calls.
const CALLED: [&str; 1] = ["_PyGC_Collect"];

/// libpython with an export of each function that this is about.
///
/// # Errors
/// It has no function of that name, or several.
pub fn expose(libpython: &[u8]) -> Result<Vec<u8>> {
    let names = names(libpython)?;
    let wanted = REPLACED.iter().map(|(name, _)| *name).chain(CALLED);
    let mut added = Vec::new();
    for name in wanted {
        match names.get(name).map(Vec::as_slice) {
            Some([index]) => added.push((name, *index)),
            Some(_) => bail!("libpython has several functions {name}"),
            None => bail!("libpython has no function {name}"),
        }
    }
    copy(libpython, |payload| {
        let Payload::ExportSection(section) = payload else {
            return Ok(None);
        };
        let mut exports = ExportSection::new();
        RoundtripReencoder.parse_export_section(&mut exports, section.clone())?;
        for (name, index) in &added {
            exports.export(name, ExportKind::Func, *index);
        }
        Ok(Some(Changed::Exports(exports)))
    })
}

/// Every function that the `name` section names.
fn names(wasm: &[u8]) -> Result<BTreeMap<String, Vec<u32>>> {
    let mut names = BTreeMap::<String, Vec<u32>>::new();
    for (index, name) in function_names(wasm)? {
        names.entry(name).or_default().push(index);
    }
    Ok(names)
}

/// The merged module, in which those functions call ours and do nothing else.
///
/// # Errors
/// One of them is missing, or the two have different types.
pub fn replace(merged: &[u8]) -> Result<Vec<u8>> {
    let module = Module::parse(merged)?;
    let function = |name: &str| {
        let index = module.exported_function(name);
        index.with_context(|| format!("the module does not export {name}"))
    };
    let mut calls = BTreeMap::new();
    for (theirs, ours) in REPLACED {
        let (replaced, called) = (function(theirs)?, function(ours)?);
        let ty = module.function_type(replaced)?;
        if ty != module.function_type(called)? {
            bail!("functions {theirs} and {ours} have different types");
        }
        calls.insert(replaced, call(called, u32::try_from(ty.params().len())?));
    }
    let first = module.imported_functions();
    copy(merged, |payload| {
        let Payload::CodeSectionStart { range, .. } = payload else {
            return Ok(None);
        };
        let reader = BinaryReader::new(&merged[range.clone()], range.start);
        let mut bodies = CodeSection::new();
        for (index, body) in (first..).zip(CodeSectionReader::new(reader)?) {
            match calls.get(&index) {
                Some(call) => bodies.function(call),
                None => bodies.raw(&merged[body?.range()]),
            };
        }
        Ok(Some(Changed::Code(bodies)))
    })
}

enum Changed {
    Exports(ExportSection),
    Code(CodeSection),
}

/// Copies a module with other sections in the place of those that `change` knows.
fn copy(wasm: &[u8], change: impl Fn(&Payload<'_>) -> Result<Option<Changed>>) -> Result<Vec<u8>> {
    let mut module = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match change(&payload)? {
            Some(Changed::Exports(section)) => drop(module.section(&section)),
            Some(Changed::Code(section)) => drop(module.section(&section)),
            None => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(module.finish())
}

fn call(function: u32, parameters: u32) -> Function {
    let mut body = Function::new([]);
    for parameter in 0..parameters {
        body.instruction(&Instruction::LocalGet(parameter));
    }
    body.instruction(&Instruction::Call(function));
    body.instruction(&Instruction::End);
    body
}
