//! What tests and benchmarks of several crates share. It uses none of these crates, so each of them can use it.

use std::path::{Path, PathBuf};

pub mod fuzz;

/// Where the Python runtime's files are: in `ERYX_RUNTIME_DIR`, or where `npm run build` makes them.
///
/// # Panics
///
/// If they are not there.
#[must_use]
pub fn runtime_directory() -> PathBuf {
    let directory = std::env::var_os("ERYX_RUNTIME_DIR")
        .map_or_else(|| target().join("eryx-runtime"), PathBuf::from);
    assert!(
        directory.join("manifest.json").exists(),
        "the Python runtime is missing: run `npm run build` first, or set ERYX_RUNTIME_DIR"
    );
    directory
}

/// A new directory of this process for files of a test, on the file system of the runtime's files.
///
/// # Panics
///
/// If it cannot be made.
#[must_use]
pub fn new_directory(name: &str) -> PathBuf {
    let path = target().join(format!("tmp/{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the target directory is ours");
    path
}

/// What is built.
fn target() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = crates.and_then(Path::parent);
    workspace.expect("a folder of crates").join("target")
}
