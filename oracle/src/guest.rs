//! The guest programs, compiled with the runtime's own compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use eryx_runtime::lock::Lock;
use eryx_runtime::{Layout, inputs};

/// `guest/<name>.c` as a WASI command.
///
/// # Errors
/// The compiler cannot be had, or refuses the source.
pub fn compiled(name: &str) -> Result<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layout = Layout::in_workspace(&here.join(".."));
    let lock = Lock::read(&layout.lock_file())?;
    let inputs = inputs::fetch(&layout, &lock, &mut |line: &str| eprintln!("{line}"))?;
    let into = tempfile::tempdir()?;
    let wasm: PathBuf = into.path().join("guest.wasm");
    let output = Command::new(inputs.zig.join("zig"))
        .env("ZIG_GLOBAL_CACHE_DIR", &inputs.zig_cache)
        .env("ZIG_LOCAL_CACHE_DIR", inputs.zig_cache.join("local"))
        .args(["cc", "-target", "wasm32-wasi", "-O2", "-Wall", "-Werror"])
        .arg(here.join("guest").join(name).with_extension("c"))
        .arg("-o")
        .arg(&wasm)
        .output()
        .context("zig does not start")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(std::fs::read(wasm)?)
}
