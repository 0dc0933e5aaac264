//! Changes of the standard library: faults of its Python part that users meet, and that later versions mend.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::stamp;

/// Applies each `.patch` of `folder` to the file that it names. What is above a patch's header says why it is there.
///
/// # Errors
/// A patch does not fit: the library has other lines there, so the patch may no longer be needed.
pub fn apply(folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for path in stamp::files(folder, &["patch"])? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        apply_one(&text, files).with_context(|| format!("{} does not fit", path.display()))?;
    }
    Ok(())
}

fn apply_one(text: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let patch = diffy::Patch::from_str(text)?;
    let name = patch
        .original()
        .and_then(|name| name.strip_prefix("a/"))
        .context("its header names no file of the library: --- a/NAME.py")?;
    let content = files
        .get_mut(name)
        .ok_or_else(|| anyhow!("there is no {name} in the library"))?;
    *content = diffy::apply(std::str::from_utf8(content)?, &patch)?.into_bytes();
    Ok(())
}
