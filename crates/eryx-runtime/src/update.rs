//! Computes the checksums of the lock file again.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::inputs::download;
use crate::lock::{Extracted, Input, Lock, LockedFile};
use crate::{Layout, Progress, digest, musl, wheel};

const HEADER: &str = "\
# Inputs of the runtime, pinned by hash. The checksums are written by the builder's lock update
# (`eryx_runtime::update::update`): to move to another version edit `version`, run it, read the diff.
";

/// Downloads every input that the lock file names (all hosts, not only this one) at the version it names, and writes
/// file names, checksums and extracted files back. Hosts and platform tags stay as they are; comments are lost.
///
/// # Errors
/// A download fails, or an input does not have the files the build needs.
pub fn update(layout: &Layout, progress: &mut dyn Progress) -> Result<Lock> {
    let path = layout.lock_file();
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lock: Lock = toml::from_str(&text)?;
    for input in &mut lock.inputs {
        progress.line(&format!("locking {} {}", input.name, input.version));
        lock_input(layout, input)?;
    }
    fs::remove_dir_all(layout.cache.join("update"))?;
    let text = format!("{HEADER}\n{}", toml::to_string(&lock)?);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(lock)
}

fn lock_input(layout: &Layout, input: &mut Input) -> Result<()> {
    let wanted = input.files.clone();
    let called = input.called().to_owned();
    for (file, wanted) in input.files.iter_mut().zip(&wanted) {
        let folder = empty_folder(layout, &called)?;
        let path = download::package(input.source, &input.name, &input.version, wanted, &folder)?;
        let name = path.file_name().context("a download has a name")?;
        *file = LockedFile {
            name: name.to_string_lossy().into_owned(),
            sha256: digest::of_file(&path)?,
            ..wanted.clone()
        };
        if !input.extracted.is_empty() {
            input.extracted = extracted(&called, &fs::read(&path)?)?;
        }
        let kept = layout.cache.join("downloads");
        fs::create_dir_all(&kept)?;
        fs::rename(&path, kept.join(name))?;
    }
    Ok(())
}

fn extracted(input: &str, archive: &[u8]) -> Result<Vec<Extracted>> {
    if input == musl::NAME {
        return Ok(vec![Extracted {
            name: musl::NAME.to_owned(),
            sha256: musl::fingerprint(&musl::sources(archive)?),
        }]);
    }
    let mut files: Vec<_> = wheel::libraries(archive)?
        .into_iter()
        .map(|file| Extracted {
            sha256: digest::of_bytes(&file.bytes),
            name: file.name,
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// An empty folder: whatever a download leaves in it is the file.
fn empty_folder(layout: &Layout, name: &str) -> Result<PathBuf> {
    let folder = layout.cache.join("update").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
