//! Renames imports and exports so that the three modules find each other, and drops what the merge must not see.
//!
//! Everything but the import and export sections is copied as it is.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ExportSection, ImportSection, Module as Encoder, RawSection};
use wasmparser::{ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

/// Prefix of libpython's start-up exports: both sides have an `_initialize`.
const STARTUP: &str = "libpython:";

/// `main.wasm`, ready to be merged: what it imports from `env` is libpython's, except for the table.
///
/// # Errors
/// Not a module, or one with a start function.
pub fn main(wasm: &[u8]) -> Result<Vec<u8>> {
    if crate::module::Module::parse(wasm)?.start.is_some() {
        bail!("main.wasm has a start function");
    }
    copy(wasm, &main_import, &|name, _| Some(name.to_owned()))
}

fn main_import(module: &str, name: &str) -> (String, String) {
    match (module, name) {
        ("env", "__indirect_function_table") => named("glue", name),
        ("env", _) => named("py", name),
        ("py2", _) => ("py".to_owned(), format!("{STARTUP}{name}")),
        _ => named(module, name),
    }
}

/// libpython, ready to be merged: `env` is main, except for what the glue defines. Its start function goes.
///
/// # Errors
/// Not a module, or its start function does more than clear memory.
pub fn libpython(wasm: &[u8]) -> Result<Vec<u8>> {
    check_start(wasm)?;
    copy(wasm, &libpython_import, &|name, _| {
        let is_startup = matches!(name, "_initialize" | "__wasm_apply_data_relocs");
        Some(if is_startup {
            format!("{STARTUP}{name}")
        } else {
            name.to_owned()
        })
    })
}

fn libpython_import(module: &str, name: &str) -> (String, String) {
    match (module, name) {
        ("env", "__indirect_function_table" | "__memory_base" | "__table_base") => {
            named("glue", name)
        }
        ("env", _) => named("main", name),
        ("GOT.mem" | "GOT.func", _) => ("glue".to_owned(), format!("{module}:{name}")),
        _ => named(module, name),
    }
}

fn named(module: &str, name: &str) -> (String, String) {
    (module.to_owned(), name.to_owned())
}

/// The merged module without the exports that were only there for the merge. As long as the GOT's globals are exported
/// they count as mutable, and no access to them becomes a constant.
///
/// # Errors
/// Not a module.
pub fn merged(wasm: &[u8]) -> Result<Vec<u8>> {
    copy(wasm, &named, &|name, kind| {
        let keep = match kind {
            ExternalKind::Global => name.starts_with("abs:") || name == "__stack_pointer",
            _ => !name.starts_with(STARTUP),
        };
        keep.then(|| name.to_owned())
    })
}

/// `python.wasm` with the exports that the host uses. The others, of every C function and object, are there to link against: a
/// process would read three thousand names to no end when it loads the module.
///
/// # Errors
/// Not a module.
pub fn published(python: &[u8]) -> Result<Vec<u8>> {
    let same = |module: &str, name: &str| (module.to_owned(), name.to_owned());
    copy(python, &same, &|name, kind| {
        let keep = match kind {
            ExternalKind::Func => name.starts_with("eryx_") || name == "_initialize",
            ExternalKind::Memory => true,
            ExternalKind::Global => name.starts_with("__mg"),
            _ => false,
        };
        keep.then(|| name.to_owned())
    })
}

type RenameImport<'a> = &'a dyn Fn(&str, &str) -> (String, String);
type RenameExport<'a> = &'a dyn Fn(&str, ExternalKind) -> Option<String>;

/// Copies a module without its start and custom sections.
fn copy(wasm: &[u8], import: RenameImport<'_>, export: RenameExport<'_>) -> Result<Vec<u8>> {
    let mut module = Encoder::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                module.section(&imports(section, import)?);
            }
            Payload::ExportSection(section) => {
                module.section(&exports(section, export)?);
            }
            Payload::StartSection { .. } | Payload::CustomSection(_) => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(module.finish())
}

fn imports(
    section: wasmparser::ImportSectionReader<'_>,
    rename: RenameImport<'_>,
) -> Result<ImportSection> {
    let mut imports = ImportSection::new();
    for import in section.into_imports() {
        let import = import?;
        let (module, name) = rename(import.module, import.name);
        imports.import(&module, &name, RoundtripReencoder.entity_type(import.ty)?);
    }
    Ok(imports)
}

fn exports(
    section: wasmparser::ExportSectionReader<'_>,
    rename: RenameExport<'_>,
) -> Result<ExportSection> {
    let mut exports = ExportSection::new();
    for export in section {
        let export = export?;
        if let Some(name) = rename(export.name, export.kind) {
            let kind = RoundtripReencoder.export_kind(export.kind)?;
            exports.export(&name, kind, export.index);
        }
    }
    Ok(exports)
}

/// libpython's start function clears its zero-initialised data. In the merged module that memory is main's own
/// zero-initialised array, so it may go; anything else it does would be lost.
fn check_start(wasm: &[u8]) -> Result<()> {
    let Some(body) = start_function(wasm)? else {
        return Ok(());
    };
    let operators: Vec<Operator<'_>> = body
        .get_operators_reader()?
        .into_iter()
        .collect::<Result<_, _>>()?;
    let clears =
        |at: usize| at >= 2 && matches!(operators[at - 2], Operator::I32Const { value: 0 });
    for (at, operator) in operators.iter().enumerate() {
        match operator {
            Operator::I32Const { .. }
            | Operator::GlobalGet { .. }
            | Operator::I32Add
            | Operator::End => {}
            Operator::MemoryFill { mem: 0 } if clears(at) => {}
            other => bail!("libpython's start function does more than clear memory: {other:?}"),
        }
    }
    Ok(())
}

fn start_function(wasm: &[u8]) -> Result<Option<FunctionBody<'_>>> {
    let mut start = None;
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::StartSection { func, .. } => start = Some(func as usize),
            Payload::CodeSectionEntry(body) => bodies.push(body),
            _ => {}
        }
    }
    let Some(start) = start else { return Ok(None) };
    let body = start.checked_sub(imported).filter(|at| *at < bodies.len());
    Ok(Some(bodies.swap_remove(
        body.context("the start function is imported")?,
    )))
}
