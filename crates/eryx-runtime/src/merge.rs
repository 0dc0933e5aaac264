//! Three modules become one, and what the merge made constant is folded: binaryen's part.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::Tool;
use crate::deepen::deepen;
use crate::inputs::Inputs;
use crate::{hook, rewrite};

/// What the merged module may use. Not `-all`: with it binaryen writes encodings that wasmtime refuses.
const FEATURES: [&str; 10] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-simd",
    "--enable-extended-const",
    "--enable-gc",
];

/// Turns every access to the GOT into a constant, before the general passes look at the code.
const FOLD: [&str; 5] = [
    "-O0",
    "--simplify-globals",
    "--simplify-globals",
    "--precompute",
    "--simplify-globals",
];

/// Merges the modules, each given with the name the others import it by. Leaves `merged.wasm` in `work`.
pub(crate) fn merge(inputs: &Inputs, modules: &[(&str, &Path)], work: &Path) -> Result<PathBuf> {
    let raw = work.join("merged-raw.wasm");
    let mut command = Tool::Node.command();
    command.arg(inputs.binaryen.join("wasm-merge"));
    for (name, path) in modules {
        command.arg(path).arg(name);
    }
    command.arg("-o").arg(&raw).args(FEATURES);
    Tool::Node.run(&mut command)?;
    let merged = work.join("merged.wasm");
    write(
        &merged,
        &deepen(&hook::replace(&rewrite::merged(&fs::read(&raw)?)?)?)?,
    )?;
    Ok(merged)
}

/// Folds and optimises `merged` into `python`.
pub(crate) fn optimise(inputs: &Inputs, merged: &Path, python: &Path) -> Result<()> {
    let folded = merged.with_file_name("folded.wasm");
    wasm_opt(inputs, merged, &FOLD, &folded)?;
    wasm_opt(
        inputs,
        &folded,
        &["-O3", "--strip-debug", "--strip-producers"],
        python,
    )
}

fn wasm_opt(inputs: &Inputs, from: &Path, passes: &[&str], to: &Path) -> Result<()> {
    let mut command = Tool::Node.command();
    command
        .arg(inputs.binaryen.join("wasm-opt"))
        .arg(from)
        .args(FEATURES)
        .args(passes)
        .arg("-o")
        .arg(to);
    Tool::Node.run(&mut command).map(drop)
}

/// Writes a file of the work folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
