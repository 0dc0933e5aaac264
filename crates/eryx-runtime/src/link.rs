//! From inputs and our C code to `python.wasm`: runs the stages, or finds that nothing changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::inputs::Inputs;
use crate::merge::write;
use crate::module::Module;
use crate::progress::Steps;
use crate::stamp::{self, Key};
use crate::{Layout, Progress, announce, check, compile, glue, hook, merge, rewrite, strip};

/// The sources of the stages: a change in one of them is a change of the result.
const STAGES: &[(&str, &str)] = &[
    ("announce.rs", include_str!("announce.rs")),
    ("check.rs", include_str!("check.rs")),
    ("compile.rs", include_str!("compile.rs")),
    ("constant.rs", include_str!("constant.rs")),
    ("deepen.rs", include_str!("deepen.rs")),
    ("glue.rs", include_str!("glue.rs")),
    ("hook.rs", include_str!("hook.rs")),
    ("link.rs", include_str!("link.rs")),
    ("merge.rs", include_str!("merge.rs")),
    ("module.rs", include_str!("module.rs")),
    ("musl.rs", include_str!("musl.rs")),
    ("names.rs", include_str!("names.rs")),
    ("object.rs", include_str!("object.rs")),
    ("poll.rs", include_str!("poll.rs")),
    ("rewrite.rs", include_str!("rewrite.rs")),
    ("strip.rs", include_str!("strip.rs")),
];

/// The linked runtime, on disk.
#[derive(Clone, Debug)]
pub struct Linked {
    /// `python.wasm`: `CPython`, the C library and our C code; imports only from [`check::HOST`].
    pub wasm: PathBuf,
    /// `slots.json`: [`glue::Slots`].
    pub slots: PathBuf,
    /// The same module without its initial memory: [`strip::Stripped::wasm`].
    pub stripped: PathBuf,
    /// The initial memory: [`strip::Stripped::image`].
    pub image: PathBuf,
    /// The mutable globals, as a JSON list of [`strip::MutableGlobal`].
    pub globals: PathBuf,
    /// The standard library, as in [`Inputs::stdlib_tar`].
    pub stdlib_tar: PathBuf,
    /// As in [`Inputs::tzdata_wheel`].
    pub tzdata_wheel: PathBuf,
}

/// Compiles and links the guest. Does nothing if neither the inputs, the guest's C code nor the stages changed.
///
/// # Errors
/// A stage fails; the error says which tool said what.
pub fn link(layout: &Layout, inputs: &Inputs, progress: &mut dyn Progress) -> Result<Linked> {
    let linked = Linked {
        wasm: layout.work.join("python.wasm"),
        slots: layout.work.join("slots.json"),
        stripped: layout.work.join("python.stripped.wasm"),
        image: layout.work.join("python.initial"),
        globals: layout.work.join("globals.json"),
        stdlib_tar: inputs.stdlib_tar.clone(),
        tzdata_wheel: inputs.tzdata_wheel.clone(),
    };
    let key = key(layout, inputs)?;
    let stamp = layout.work.join("linked.stamp");
    if key.matches(&stamp, &linked.outputs()) {
        progress.line("python.wasm is up to date");
        return Ok(linked);
    }
    fs::create_dir_all(&layout.work)
        .with_context(|| format!("cannot make {}", layout.work.display()))?;
    run(layout, inputs, &linked, progress)?;
    key.write(&stamp, &linked.outputs())?;
    Ok(linked)
}

impl Linked {
    fn outputs(&self) -> [PathBuf; 5] {
        [
            &self.wasm,
            &self.slots,
            &self.stripped,
            &self.image,
            &self.globals,
        ]
        .map(Clone::clone)
    }
}

fn key(layout: &Layout, inputs: &Inputs) -> Result<Key> {
    let mut key = Key::default();
    for (name, source) in STAGES {
        key.add(name, source.as_bytes());
    }
    key.add("inputs", inputs.fingerprint.as_bytes());
    key.add_files(&stamp::files(&layout.guest(), &["c", "h"])?)?;
    for folder in ["libc", "vendor"] {
        key.add_files(&stamp::files(&layout.guest().join(folder), &["c", "h"])?)?;
    }
    Ok(key)
}

fn run(
    layout: &Layout,
    inputs: &Inputs,
    linked: &Linked,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut steps = Steps::new(progress, 5);
    let work = &layout.work;
    let libpython_wasm = announce::announce(&fs::read(&inputs.libpython)?)?;
    let libpython_wasm = hook::expose(&libpython_wasm)?;
    let libpython = Module::parse(&libpython_wasm)?;
    let main = steps.run("compiling the guest's C code", || {
        let path = compile::compile(inputs, &layout.guest(), &libpython, work)?;
        Ok(fs::read(path)?)
    })?;
    let parts = steps.run("making the glue", || {
        prepare(&main, &libpython_wasm, &linked.slots, work)
    })?;
    let merged = steps.run("merging", || {
        let [glue, main, libpython] = &parts;
        let modules = [("glue", &**glue), ("main", main), ("py", libpython)];
        merge::merge(inputs, &modules, work)
    })?;
    steps.run("optimising", || {
        merge::optimise(inputs, &merged, &linked.wasm)
    })?;
    steps.run("taking out the initial memory", || split(linked))
}

/// Writes the three modules that are merged: the glue, `main.wasm` and libpython.
fn prepare(main: &[u8], libpython: &[u8], slots: &Path, work: &Path) -> Result<[PathBuf; 3]> {
    let names = ["glue.wasm", "main.merge.wasm", "libpython.merge.wasm"];
    let paths = names.map(|name| work.join(name));
    let main_module = Module::parse(main)?;
    let libpython_module = Module::parse(libpython)?;
    check::main(&main_module, &libpython_module)?;
    let (glue, table) = glue::make(&main_module, &libpython_module)?;
    write(slots, &serde_json::to_vec_pretty(&table)?)?;
    write(&paths[0], &glue)?;
    write(&paths[1], &rewrite::main(main)?)?;
    write(&paths[2], &rewrite::libpython(libpython)?)?;
    Ok(paths)
}

fn split(linked: &Linked) -> Result<()> {
    let python = fs::read(&linked.wasm)?;
    check::linked(&Module::parse(&python)?)?;
    let stripped = strip::strip_python(&python)?;
    check::state(&python, &stripped.globals)?;
    write(&linked.stripped, &stripped.wasm)?;
    write(&linked.image, &stripped.image)?;
    let globals = serde_json::to_vec_pretty(&stripped.globals)?;
    write(&linked.globals, &globals)
}
