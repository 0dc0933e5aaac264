//! The memory image: an interpreter with everything imported, frozen.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use eryx::internals::builder::{Boot, Frozen};
use eryx_vfs::FileSystem as _;

use crate::strip::Stripped;
use crate::{library, stamp};

/// Prepares an interpreter with the modules of `guest_python` and freezes it.
///
/// # Errors
/// The preparation raised.
pub(crate) fn freeze(
    module: &Path,
    stripped: &Stripped,
    library: Vec<u8>,
    guest_python: &Path,
) -> Result<Frozen> {
    let mut boot = prepare(module, stripped, library, guest_python)?;
    let modules = names(&mut boot, "sys", "sys.modules")?;
    let builtins = names(&mut boot, "builtins", "vars(builtins)")?;
    let mut frozen = boot.freeze().map_err(|error| anyhow!(error))?;
    frozen.manifest.modules = modules;
    frozen.manifest.builtins = builtins;
    Ok(frozen)
}

/// An interpreter as it is when it is frozen.
///
/// # Errors
/// The preparation raised.
pub(crate) fn prepare(
    module: &Path,
    stripped: &Stripped,
    library: Vec<u8>,
    guest_python: &Path,
) -> Result<Boot> {
    let (mut boot, root) = library::boot(module, stripped, library)?;
    let folder = root.lookup(root.root(), "eryx")?;
    for path in stamp::files(guest_python, &["py"])? {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a module has a name")?;
        let node = root.create_file(folder, name)?;
        root.write(node, 0, &fs::read(&path)?)?;
    }
    let prepare = "import _eryx_image\n_eryx_image.prepare()";
    boot.exec(prepare)
        .map_err(|error| anyhow!("the image cannot be prepared: {error}"))?;
    Ok(boot)
}

/// The keys of a dict of Python's that do not begin with an underscore, sorted.
fn names(boot: &mut Boot, module: &str, dict: &str) -> Result<Vec<String>> {
    let output = boot
        .exec(&format!(
            "import {module}\nprint(' '.join(sorted(name for name in {dict} if not name.startswith('_'))), flush=True)\ndel {module}"
        ))
        .map_err(|error| anyhow!(error))?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}
