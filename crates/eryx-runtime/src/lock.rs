//! The lock file: which inputs, and their checksums.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// All inputs from outside, pinned by hash. Read from `inputs.lock.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// One entry per package.
    #[serde(rename = "input")]
    pub inputs: Vec<Input>,
}

/// One package of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The registry it comes from.
    pub source: Source,
    /// What the build calls it, if not by the package's name.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The package's name there.
    pub name: String,
    /// The exact version.
    pub version: String,
    /// The files of that version that the build may use.
    #[serde(rename = "file")]
    pub files: Vec<LockedFile>,
    /// What the build takes out of the file, by the name it gets in the cache.
    #[serde(default, rename = "extracted", skip_serializing_if = "Vec::is_empty")]
    pub extracted: Vec<Extracted>,
}

/// A package registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Wheels, by `python3 -m pip download`.
    Pypi,
    /// Tarballs, by `npm pack`.
    Npm,
}

/// One downloadable file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// The build host it is for, as `os-arch` of [`std::env::consts`]; absent: any host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// pip's platform tag; absent: `any`, or not a wheel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The exact file name.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of the file.
    pub sha256: String,
}

/// A file inside an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extracted {
    /// Its name in the cache.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of its contents.
    pub sha256: String,
}

impl Lock {
    /// Reads and checks a lock file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a lock file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the lock file {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the lock file {}", path.display()))
    }

    /// Parses the text of a lock file. File names must be plain names: they become paths in the cache.
    ///
    /// # Errors
    /// Not TOML, unknown fields, or a name or checksum of the wrong shape.
    pub fn parse(text: &str) -> Result<Self> {
        let lock: Self = toml::from_str(text)?;
        for input in &lock.inputs {
            for file in &input.files {
                check(&file.name, &file.sha256)?;
            }
            for file in &input.extracted {
                check(&file.name, &file.sha256)?;
            }
        }
        Ok(lock)
    }

    /// The input that the build calls by this name.
    ///
    /// # Errors
    /// There is none.
    pub fn input(&self, name: &str) -> Result<&Input> {
        self.inputs
            .iter()
            .find(|input| input.called() == name)
            .with_context(|| format!("the lock file has no input named {name}"))
    }
}

impl Input {
    /// The name that the build knows it by.
    #[must_use]
    pub fn called(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// The file for the host this program runs on.
    ///
    /// # Errors
    /// The package has no file locked for this host.
    pub fn file_for_host(&self) -> Result<&LockedFile> {
        self.file_for(&format!(
            "{}-{}",
            std::env::consts::OS,
            std::env::consts::ARCH
        ))
    }

    /// The file for a host named `os-arch`, for example `linux-x86_64`.
    ///
    /// # Errors
    /// The package has no file locked for that host.
    pub fn file_for(&self, host: &str) -> Result<&LockedFile> {
        self.files
            .iter()
            .find(|file| file.host.as_deref().is_none_or(|wanted| wanted == host))
            .with_context(|| {
                format!(
                    "{} {} is not locked for {host}: add a [[input.file]] with this host and run the lock update",
                    self.name, self.version
                )
            })
    }
}

fn check(name: &str, sha256: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
        bail!("{name:?} is not a plain file name");
    }
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("the sha256 of {name} is not 64 hexadecimal digits");
    }
    Ok(())
}
