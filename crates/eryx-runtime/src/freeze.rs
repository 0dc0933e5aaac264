//! The memory image: an interpreter with everything imported, frozen.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use eryx::builder::Frozen;
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
    let modules = boot
        .exec("import sys\nprint(' '.join(sorted(name for name in sys.modules if not name.startswith('_'))), flush=True)\ndel sys")
        .map_err(|error| anyhow!(error))?;
    let mut frozen = boot.freeze().map_err(|error| anyhow!(error))?;
    let modules = String::from_utf8(modules.stdout)?;
    frozen.manifest.modules = modules.split_whitespace().map(str::to_owned).collect();
    Ok(frozen)
}
