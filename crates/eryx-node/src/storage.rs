//! `Storage`: what `js/storage.js` makes `VfsStorage` of.

use eryx::{StorageError, StorageKind};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::numbers::whole;

/// Files that sandboxes share. Arguments come checked from `js/storage.js`.
#[napi]
pub struct Storage {
    pub(crate) core: eryx::Storage,
}

/// What is known of a file, directory or link.
#[napi(object, object_from_js = false)]
pub struct MetadataObject {
    /// `file`, `directory` or `symlink`.
    pub kind: &'static str,
    /// Bytes.
    pub size: f64,
    /// Milliseconds since 1970.
    pub mtime_ms: f64,
}

/// One name in a directory.
#[napi(object, object_from_js = false)]
pub struct EntryObject {
    /// Without a path.
    pub name: String,
    /// `file`, `directory` or `symlink`.
    pub kind: &'static str,
    /// Bytes.
    pub size: f64,
}

#[napi]
impl Storage {
    /// An empty storage. A missing limit is none.
    #[napi(constructor, catch_unwind)]
    #[must_use]
    pub fn new(max_bytes: Option<f64>) -> Self {
        let core = eryx::Storage::new(max_bytes.map_or(u64::MAX, whole));
        Self { core }
    }

    /// A storage from a snapshot.
    ///
    /// # Errors
    /// The bytes are no snapshot.
    #[napi(factory, catch_unwind)]
    pub fn from_snapshot(bytes: Uint8Array, max_bytes: Option<f64>) -> Result<Self> {
        let restored = eryx::Storage::from_snapshot(&bytes, max_bytes.map(whole));
        let core = restored.map_err(|error| thrown(&error))?;
        Ok(Self { core })
    }

    /// All of a file.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn read_file(&self, path: String) -> Result<Uint8Array> {
        let read = self.core.read_file(&path);
        read.map(Uint8Array::from).map_err(|error| thrown(&error))
    }

    /// Makes or replaces a file's contents.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn write_file(&self, path: String, data: Uint8Array) -> Result<()> {
        done(self.core.write_file(&path, &data))
    }

    /// Makes a directory, with those above it if `recursive`.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn mkdir(&self, path: String, recursive: bool) -> Result<()> {
        done(if recursive {
            self.core.create_dir_all(&path)
        } else {
            self.core.create_dir(&path)
        })
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn readdir(&self, path: String) -> Result<Vec<EntryObject>> {
        let entries = self.core.read_dir(&path).map_err(|error| thrown(&error))?;
        let objects = entries.into_iter().map(|entry| EntryObject {
            name: entry.name,
            kind: kind(entry.metadata.kind),
            size: number(entry.metadata.size),
        });
        Ok(objects.collect())
    }

    /// What is known of a path. Links are not followed.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn stat(&self, path: String) -> Result<MetadataObject> {
        let metadata = self.core.metadata(&path).map_err(|error| thrown(&error))?;
        Ok(MetadataObject {
            kind: kind(metadata.kind),
            size: number(metadata.size),
            mtime_ms: milliseconds_since_1970(metadata.modified),
        })
    }

    /// Whether a path leads to something.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn exists(&self, path: String) -> bool {
        self.core.exists(&path)
    }

    /// Removes a path, with all below it if `recursive`.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn remove(&self, path: String, recursive: bool) -> Result<()> {
        done(if recursive {
            self.core.remove_all(&path)
        } else {
            self.core.remove(&path)
        })
    }

    /// Moves a path.
    ///
    /// # Errors
    /// See the core.
    #[napi(catch_unwind)]
    pub fn rename(&self, from: String, to: String) -> Result<()> {
        done(self.core.rename(&from, &to))
    }

    /// Bytes charged.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn used_bytes(&self) -> f64 {
        number(self.core.used_bytes())
    }

    /// Everything as bytes.
    ///
    /// # Errors
    /// There is no memory for it.
    #[napi(catch_unwind)]
    pub fn snapshot(&self) -> Result<Uint8Array> {
        let bytes = self.core.snapshot();
        bytes.map(Uint8Array::from).map_err(|error| thrown(&error))
    }
}

fn kind(kind: StorageKind) -> &'static str {
    match kind {
        StorageKind::File => "file",
        StorageKind::Directory => "directory",
        StorageKind::Symlink => "symlink",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "files are at most 2^40 bytes long, and memory is far below 2^53"
)]
fn number(bytes: u64) -> f64 {
    bytes as f64
}

/// Whole milliseconds exactly, and their fraction as far as a double has room for it.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^64 nanoseconds are less than 2^53 milliseconds"
)]
fn milliseconds_since_1970(nanoseconds: u64) -> f64 {
    (nanoseconds / 1_000_000) as f64 + (nanoseconds % 1_000_000) as f64 / 1e6
}

fn done(result: std::result::Result<(), StorageError>) -> Result<()> {
    result.map_err(|error| thrown(&error))
}

/// `CODE reason`, which `js/storage.js` takes apart.
fn thrown(error: &StorageError) -> Error {
    Error::from_reason(match error {
        StorageError::Refused { reason, .. } => format!("{} {reason}", reason.posix_name()),
        error => format!("ERYX_SNAPSHOT {error}"),
    })
}
