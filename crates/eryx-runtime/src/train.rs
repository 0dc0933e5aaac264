//! Makes the profile of branches: runs the programs of `training/` in an interpreter that counts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use eryx::internals::builder::Boot;
use eryx::internals::manifest::file;

use crate::freeze;
use crate::hint::{Counters, Profile, counting};
use crate::inputs;
use crate::lock::Lock;
use crate::progress::Steps;
use crate::stamp::{self, Key};
use crate::strip::{self, Stripped};
use crate::{Layout, Progress, link};

/// Counts branches and writes the profile, with the standard library of a runtime that was built before. Clocks stand still in
/// that interpreter, and random numbers are zeros: the same module gives the same profile.
///
/// # Errors
/// A stage fails, or a program of the training raises.
pub fn train(layout: &Layout, progress: &mut dyn Progress) -> Result<()> {
    let lock = Lock::read(&layout.lock_file())?;
    let inputs = inputs::fetch(layout, &lock, progress)?;
    let linked = link(layout, &inputs, progress)?;
    let stripped = strip::strip_python(&fs::read(&linked.wasm)?)?;
    let counters = Counters::of(&stripped.wasm)?;
    let mut steps = Steps::new(progress, 3);
    let module = steps.run("compiling the module that counts", || {
        compile(layout, &counting(&stripped.wasm)?)
    })?;
    let mut boot = steps.run("starting an interpreter", || {
        start(layout, &module, &stripped)
    })?;
    let profile = steps.run("training", || run(layout, &mut boot, &counters))?;
    fs::write(layout.profile(), profile.text())?;
    progress.line(&format!(
        "branches of {} functions go one way",
        profile.functions()
    ));
    Ok(())
}

/// Compiles the module that counts, which takes minutes, unless it was before.
fn compile(layout: &Layout, wasm: &[u8]) -> Result<PathBuf> {
    let module = layout.work.join("counting.cwasm");
    let stamp = layout.work.join("counting.stamp");
    let mut key = Key::default();
    key.add("counting.wasm", wasm);
    key.add(
        "wasmtime",
        eryx::internals::manifest::WASMTIME_VERSION.as_bytes(),
    );
    key.add(
        "engine.rs",
        include_bytes!("../../eryx/src/runtime/engine.rs"),
    );
    if !key.matches(&stamp, std::slice::from_ref(&module)) {
        let code = eryx::internals::builder::compile(wasm).map_err(|error| anyhow!(error))?;
        fs::write(&module, code)?;
        key.write(&stamp, std::slice::from_ref(&module))?;
    }
    Ok(module)
}

fn start(layout: &Layout, module: &Path, stripped: &Stripped) -> Result<Boot> {
    let library = fs::read(layout.output.join(file::LIBRARY))
        .context("there is no standard library yet: build the runtime first")?;
    freeze::prepare(module, stripped, library, &layout.guest().join("python"))
}

/// The start of the interpreter does not count: runs begin with its image.
fn run(layout: &Layout, boot: &mut Boot, counters: &Counters<'_>) -> Result<Profile> {
    let before = counts(boot, counters)?;
    for program in stamp::files(&layout.training(), &["py"])? {
        let source = fs::read_to_string(&program)?;
        boot.exec(&source)
            .map_err(|error| anyhow!(error))
            .with_context(|| format!("{} failed", program.display()))?;
    }
    let after = counts(boot, counters)?;
    let counts: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    counters.profile(&counts)
}

fn counts(boot: &mut Boot, counters: &Counters<'_>) -> Result<Vec<u64>> {
    counters
        .names()
        .map(|name| boot.counter(&name).map_err(|error| anyhow!(error)))
        .collect()
}
