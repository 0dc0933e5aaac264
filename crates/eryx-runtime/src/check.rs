//! What a module may import, and what it may keep. zig turns a C function that nobody defines into an import without a word.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef, Validator, WasmFeatures};

use crate::module::{Module, function_names};
use crate::strip::MutableGlobal;

/// The modules that the host provides.
pub const HOST: [&str; 2] = ["wasi_snapshot_preview1", "eryx"];

/// Fails if `main.wasm` imports anything that neither the host nor libpython provides, and names it.
///
/// # Errors
/// It does.
pub fn main(main: &Module, libpython: &Module) -> Result<()> {
    refuse("main.wasm", main, |module, name| match module {
        "env" => libpython.exported_function(name).is_some() || name == "__indirect_function_table",
        "py2" => libpython.exported_function(name).is_some(),
        _ => HOST.contains(&module),
    })
}

/// Fails if the linked module imports anything that the host does not provide, or anything but functions.
///
/// # Errors
/// It does.
pub fn linked(python: &Module) -> Result<()> {
    if python
        .imports
        .iter()
        .any(|import| !matches!(import.ty, TypeRef::Func(_)))
    {
        bail!("python.wasm imports something other than functions");
    }
    refuse("python.wasm", python, |module, _| HOST.contains(&module))
}

fn refuse(what: &str, module: &Module, may: impl Fn(&str, &str) -> bool) -> Result<()> {
    let offenders: Vec<String> = module
        .imports
        .iter()
        .filter(|import| !may(&import.module, &import.name))
        .map(|import| format!("{}.{}", import.module, import.name))
        .collect();
    if offenders.is_empty() {
        return Ok(());
    }
    bail!(
        "{what} imports what nobody provides: {}",
        offenders.join(", ")
    )
}

/// What the module may use: nothing that has a state of its own besides memories, tables, segments and globals.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::EXTENDED_CONST);

/// Fails if code of the linked module changes what is not put back between two runs: anything but its memory and these globals.
/// The host uses an instance again after it restored those.
///
/// # Errors
/// It does; the error names the function.
pub fn state(python: &[u8], globals: &[MutableGlobal]) -> Result<()> {
    Validator::new_with_features(FEATURES)
        .validate_all(python)
        .context("python.wasm")?;
    let known: BTreeSet<&str> = globals.iter().map(|global| &*global.export).collect();
    let names = names(python)?;
    let mut function = 0;
    for payload in Parser::new(0).parse_all(python) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    function += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => {
                if let Some(what) = changes(&body, &known)? {
                    let name = names
                        .get(&function)
                        .map_or("without a name", String::as_str);
                    bail!(
                        "python.wasm: function {function} ({name}) {what}, which is not put back between runs"
                    );
                }
                function += 1;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a function changes besides memory and the `known` globals.
fn changes(body: &FunctionBody<'_>, known: &BTreeSet<&str>) -> Result<Option<String>> {
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let what = match operators.read()? {
            Operator::TableSet { table }
            | Operator::TableGrow { table }
            | Operator::TableFill { table }
            | Operator::TableInit { table, .. }
            | Operator::TableCopy {
                dst_table: table, ..
            } => format!("changes table {table}"),
            Operator::ElemDrop { elem_index } => format!("drops element segment {elem_index}"),
            Operator::DataDrop { data_index } => format!("drops data segment {data_index}"),
            Operator::GlobalSet { global_index } => {
                if known.contains(&*format!("__mg{global_index}")) {
                    continue;
                }
                format!("sets global {global_index}")
            }
            _ => continue,
        };
        return Ok(Some(what));
    }
    Ok(None)
}

/// What functions are called: in the name section, or else where they are exported.
fn names(python: &[u8]) -> Result<BTreeMap<u32, String>> {
    let mut names = BTreeMap::new();
    let module = Module::parse(python)?;
    for name in module.exports.keys() {
        if let Some(index) = module.exported_function(name) {
            names.insert(index, name.clone());
        }
    }
    names.extend(function_names(python)?);
    Ok(names)
}
