//! Unpacks wheels and npm tarballs. Their hashes were checked before, so their contents are trusted.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::lock::Source;

/// Makes `folder` hold exactly what `archive` holds. A folder that is half there is never seen under that name.
pub(super) fn replace(archive: &Path, source: Source, folder: &Path) -> Result<()> {
    let incoming = folder.with_extension(format!("incoming-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(&incoming)?;
    let file = BufReader::new(File::open(archive)?);
    match source {
        Source::Pypi => zip::ZipArchive::new(file)?.extract(&incoming)?,
        Source::Npm => {
            tar::Archive::new(flate2::bufread::GzDecoder::new(file)).unpack(&incoming)?;
        }
    }
    fs::rename(&incoming, folder).with_context(|| format!("cannot make {}", folder.display()))
}
