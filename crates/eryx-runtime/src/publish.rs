//! The whole build: from the lock file to the files that the host loads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use eryx::internals::manifest::{FORMAT, Manifest, file};
use eryx_vfs::ArchiveFs;

use crate::hint::{self, Profile};
use crate::inputs;
use crate::lock::Lock;
use crate::progress::Steps;
use crate::stamp::{self, Key};
use crate::strip;
use crate::{Layout, Linked, Progress, digest, freeze, library, link};

/// Version of CPython in the pinned wheel.
const PYTHON: &str = "3.14.0";
/// The sources of the stage between linking and compiling.
const HINTS: [(&str, &[u8]); 3] = [
    ("hint.rs", include_bytes!("hint.rs")),
    ("branches.rs", include_bytes!("hint/branches.rs")),
    ("profile.rs", include_bytes!("hint/profile.rs")),
];
/// A profile of whose lines fewer in a hundred are of some function is stale.
const MIN_LINES: usize = 95;
/// How hard `python.wasm.zst` is packed: it is read only when a variant is compiled.
const ZSTD_LEVEL: i32 = 19;

/// Builds the runtime into `layout.output`. Does nothing that was done before from the same inputs.
///
/// # Errors
/// A stage fails; the error says which, and what to do if a tool is missing.
pub fn build(layout: &Layout, progress: &mut dyn Progress) -> Result<()> {
    let lock = Lock::read(&layout.lock_file())?;
    let inputs = inputs::fetch(layout, &lock, progress)?;
    let linked = link(layout, &inputs, progress)?;
    let key = key(layout, &linked)?;
    let stamp = layout.work.join("runtime.stamp");
    let outputs = [
        file::MODULE,
        file::WASM,
        file::IMAGE,
        file::LIBRARY,
        file::INDEX,
        file::MANIFEST,
    ]
    .map(|name| layout.output.join(name));
    if key.matches(&stamp, &outputs) {
        progress.line("the runtime is up to date");
        return Ok(());
    }
    fs::create_dir_all(&layout.output)
        .with_context(|| format!("cannot make {}", layout.output.display()))?;
    make(layout, &lock, &linked, progress)?;
    key.write(&stamp, &outputs)
}

fn key(layout: &Layout, linked: &Linked) -> Result<Key> {
    let mut key = Key::default();
    key.add("wasmtime", wasmtime_version().as_bytes());
    key.add(
        "cpu",
        format!("{:?}", eryx::internals::manifest::CPU_BASELINE).as_bytes(),
    );
    key.add_files(&[linked.stripped.clone(), linked.image.clone()])?;
    key.add_files(&[linked.stdlib_tar.clone(), linked.tzdata_wheel.clone()])?;
    key.add_files(&stamp::files(&layout.guest().join("python"), &["py"])?)?;
    key.add(
        "engine.rs",
        include_bytes!("../../eryx/src/runtime/engine.rs"),
    );
    key.add_files(&stamp::files(&layout.patches(), &["patch"])?)?;
    key.add_files(&[layout.profile()])?;
    for (name, source) in HINTS {
        key.add(name, source);
    }
    key.add("library.rs", include_bytes!("library.rs"));
    key.add("patch.rs", include_bytes!("patch.rs"));
    key.add("freeze.rs", include_bytes!("freeze.rs"));
    key.add("publish.rs", include_bytes!("publish.rs"));
    key.add(
        "index.rs",
        include_bytes!("../../eryx-vfs/src/archive/index.rs"),
    );
    Ok(key)
}

fn make(layout: &Layout, lock: &Lock, linked: &Linked, progress: &mut dyn Progress) -> Result<()> {
    let stripped = strip::strip_python(&fs::read(&linked.wasm)?)?;
    let wasm = hinted(layout, &stripped.wasm, progress)?;
    let mut steps = Steps::new(progress, 4);
    let output = |name: &str| layout.output.join(name);
    steps.run("compiling to machine code", || {
        let code = eryx::internals::builder::compile(&wasm).map_err(|error| anyhow!(error))?;
        replace(&output(file::MODULE), &code)?;
        replace(
            &output(file::WASM),
            &zstd::encode_all(wasm.as_slice(), ZSTD_LEVEL)?,
        )
    })?;
    let module = output(file::MODULE);
    let library = steps.run("compiling the standard library", || {
        let inputs = (&*linked.stdlib_tar, &*linked.tzdata_wheel);
        let archive = library::make(&module, &stripped, inputs, &layout.patches())?;
        replace(&output(file::LIBRARY), &archive)?;
        let index = ArchiveFs::from_tar(Arc::new(archive.clone()))?.index();
        replace(&output(file::INDEX), &index)?;
        Ok(archive)
    })?;
    let frozen = steps.run("taking the image", || {
        let frozen = freeze::freeze(&module, &stripped, library, &layout.guest().join("python"))?;
        replace(&output(file::IMAGE), &frozen.memory)?;
        Ok(frozen)
    })?;
    steps.run("writing the manifest", || {
        let manifest = manifest(lock, frozen.manifest, &layout.output)?;
        replace(
            &output(file::MANIFEST),
            &serde_json::to_vec_pretty(&manifest)?,
        )
    })
}

/// The module with branch hints.
fn hinted(layout: &Layout, wasm: &[u8], progress: &mut dyn Progress) -> Result<Vec<u8>> {
    let path = layout.profile();
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let profile = Profile::parse(&text)?;
    let hinted = hint::add(wasm, &profile)?;
    let (lines, all) = (hinted.lines, profile.functions());
    progress.line(&format!(
        "hints for {} branches of {} functions, from {lines} of {all} lines of the profile",
        hinted.branches, hinted.functions
    ));
    ensure!(
        lines * 100 >= all * MIN_LINES,
        "the profile of branches is stale: make it anew by `eryx-runtime train`"
    );
    Ok(hinted.wasm)
}

/// Puts a new file in the place of `path`. Processes that have the old one mapped keep it as it was.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn manifest(
    lock: &Lock,
    image: eryx::internals::manifest::ImageManifest,
    output: &Path,
) -> Result<Manifest> {
    let names = [
        file::MODULE,
        file::WASM,
        file::IMAGE,
        file::LIBRARY,
        file::INDEX,
    ];
    let outputs = names
        .into_iter()
        .map(|name| Ok((name.to_owned(), digest::of_file(&output.join(name))?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    // Machine code differs from platform to platform; what a snapshot depends on does not.
    let identity: Vec<&str> = [file::WASM, file::IMAGE, file::LIBRARY]
        .map(|name| outputs[name].as_str())
        .into();
    let inputs = lock
        .inputs
        .iter()
        .flat_map(|input| &input.files)
        .map(|file| (file.name.clone(), file.sha256.clone()))
        .collect();
    Ok(Manifest {
        format: FORMAT,
        python: PYTHON.to_owned(),
        wasmtime: wasmtime_version().to_owned(),
        cpu: eryx::internals::manifest::CPU_BASELINE.0.to_owned(),
        runtime: digest::of_bytes(identity.join(" ").as_bytes()),
        inputs,
        outputs,
        image,
    })
}

fn wasmtime_version() -> &'static str {
    eryx::internals::manifest::WASMTIME_VERSION
}
