//! Skips work whose inputs did not change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::digest;

/// Collects what a result depends on.
#[derive(Default)]
pub(crate) struct Key {
    text: String,
}

impl Key {
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        let digest = digest::of_bytes(bytes);
        self.text.extend([name, " ", digest.as_str(), "\n"]);
    }

    pub(crate) fn add_files(&mut self, paths: &[PathBuf]) -> Result<()> {
        for path in paths {
            let name = path.file_name().context("a file has a name")?;
            let bytes =
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            self.add(&name.to_string_lossy(), &bytes);
        }
        Ok(())
    }

    /// True if the stamp was made for this key and `outputs` are what they were then.
    pub(crate) fn matches(&self, stamp: &Path, outputs: &[PathBuf]) -> bool {
        let made = fs::read_to_string(stamp);
        made.is_ok_and(|made| self.text(outputs).is_ok_and(|now| now == made))
    }

    /// Writes the stamp: call it when all outputs are complete.
    pub(crate) fn write(&self, stamp: &Path, outputs: &[PathBuf]) -> Result<()> {
        fs::write(stamp, self.text(outputs)?)
            .with_context(|| format!("cannot write {}", stamp.display()))
    }

    fn text(&self, outputs: &[PathBuf]) -> Result<String> {
        let mut all = Self {
            text: self.text.clone(),
        };
        all.add_files(outputs)?;
        Ok(all.text)
    }
}

/// The files in `folder` with one of these extensions, sorted by name. Does not look into folders below.
pub(crate) fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
