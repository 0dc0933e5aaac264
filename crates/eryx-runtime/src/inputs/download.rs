//! Gets one file of a package through the registry's own client.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::Tool;
use crate::lock::{Input, LockedFile, Source};
use crate::{Layout, digest};

/// The locked file of an input for this host, downloaded unless the cache has it, and checked in both cases.
///
/// # Errors
/// The client is missing or fails, or the file has another name or hash than the lock file says.
pub fn locked(layout: &Layout, input: &Input) -> Result<PathBuf> {
    let file = input.file_for_host()?;
    let folder = layout.cache.join("downloads");
    let kept = folder.join(&file.name);
    if kept.exists() {
        if digest::of_file(&kept)? == file.sha256 {
            return Ok(kept);
        }
        fs::remove_file(&kept)?;
    }
    let incoming = folder.join(format!("incoming-{}", std::process::id()));
    fs::create_dir_all(&incoming)?;
    let downloaded = download(input, file, &incoming, &kept);
    fs::remove_dir_all(&incoming)?;
    downloaded.map(|()| kept)
}

fn download(input: &Input, file: &LockedFile, incoming: &Path, kept: &Path) -> Result<()> {
    let path = package(input.source, &input.name, &input.version, file, incoming)?;
    check(&path, file)?;
    fs::rename(&path, kept).with_context(|| format!("cannot make {}", kept.display()))
}

/// Downloads one file of a package into the empty folder `folder` and returns its path.
///
/// # Errors
/// The client is missing or fails, or leaves anything but one file.
pub fn package(
    source: Source,
    name: &str,
    version: &str,
    file: &LockedFile,
    folder: &Path,
) -> Result<PathBuf> {
    match source {
        Source::Pypi => pip(
            &format!("{name}=={version}"),
            file.platform.as_deref(),
            folder,
        ),
        Source::Npm => npm(&format!("{name}@{version}"), folder),
    }?;
    let files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    match files.as_slice() {
        [file] => Ok(file.path()),
        _ => bail!(
            "the download of {name} {version} left {} files",
            files.len()
        ),
    }
}

/// `CPython` 3.12 on any machine: the wheel is never imported, so what this host runs does not matter.
fn pip(requirement: &str, platform: Option<&str>, folder: &Path) -> Result<()> {
    let mut command = Tool::Python.command();
    command
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary=:all:"])
        .args(["--python-version", "3.12", "--implementation", "cp"])
        .args(["--abi", "abi3", "--abi", "none"])
        .args(["--platform", platform.unwrap_or("any"), "--dest"])
        .arg(folder)
        .arg(requirement);
    Tool::Python.run(&mut command).map(drop)
}

fn npm(package: &str, folder: &Path) -> Result<()> {
    let mut command = Tool::Npm.command();
    command
        .args(["pack", "--silent", "--pack-destination"])
        .arg(folder)
        .arg(package);
    Tool::Npm.run(&mut command).map(drop)
}

fn check(path: &Path, file: &LockedFile) -> Result<()> {
    if path.file_name() != Some(file.name.as_ref()) {
        let name = path.file_name().unwrap_or_default().display();
        bail!(
            "the download is named {name}, the lock file says {}",
            file.name
        );
    }
    let found = digest::of_file(path)?;
    if found != file.sha256 {
        bail!(
            "{} has sha256 {found}, the lock file says {}",
            file.name,
            file.sha256
        );
    }
    Ok(())
}
