//! What a module may import. zig turns a C function that nobody defines into an import without a word.

use anyhow::{Result, bail};
use wasmparser::TypeRef;

use crate::module::Module;

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
