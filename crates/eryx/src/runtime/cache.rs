//! Compiled code in the user's cache directory.
//!
//! It is machine code, so it is only loaded from a directory that belongs to us and that nobody else can write to, and
//! only if its content hash is the one that was stored with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// A directory that only we write to.
#[derive(Debug)]
pub(crate) struct CodeCache(PathBuf);

impl CodeCache {
    /// `ERYX_CACHE_DIR`, or `eryx` in `XDG_CACHE_HOME`, or in `~/.cache`. `None` if there is none that can be trusted.
    pub(crate) fn open() -> Option<Self> {
        let from = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let directory = from("ERYX_CACHE_DIR")
            .or_else(|| Some(from("XDG_CACHE_HOME")?.join("eryx")))
            .or_else(|| Some(from("HOME")?.join(".cache/eryx")))?;
        Self::at(directory)
    }

    fn at(directory: PathBuf) -> Option<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .ok()?;
        is_ours(&directory).then_some(Self(directory))
    }

    /// The file called `name`, if it is there and whole.
    pub(crate) fn get(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.join(name);
        let stored = std::fs::read_to_string(self.0.join(format!("{name}.sha256"))).ok()?;
        let content = std::fs::read(&path).ok()?;
        (is_ours(&path) && hash(&content) == stored).then_some(path)
    }

    /// Stores `content` as `name`. Another process that does the same at the same time does no harm.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> Option<PathBuf> {
        self.write(&format!("{name}.sha256"), hash(content).as_bytes())?;
        self.write(name, content)?;
        self.get(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Option<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let partial = self
            .0
            .join(format!("{name}.{}-{write}", std::process::id()));
        let mut file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .ok()?;
        file.write_all(content).ok()?;
        std::fs::rename(&partial, self.0.join(name)).ok()
    }
}

/// Whether `path` belongs to this user and nobody else may write to it.
fn is_ours(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.uid() == user && metadata.permissions().mode() & 0o022 == 0)
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(content: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(content) {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("eryx-cache-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_was_put_is_got() {
        let cache = CodeCache::at(directory("put")).expect("ours");
        assert_eq!(cache.get("a"), None);
        let path = cache.put("a", b"code").expect("written");
        assert_eq!(cache.get("a"), Some(path.clone()));
        std::fs::write(&path, b"evil").expect("written");
        assert_eq!(cache.get("a"), None);
    }

    #[test]
    fn a_directory_that_others_write_to_is_not_used() {
        let path = directory("mode");
        drop(CodeCache::at(path.clone()).expect("ours"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("ours");
        assert!(CodeCache::at(path).is_none());
    }

    #[test]
    fn a_link_is_not_a_directory_of_ours() {
        let (target, link) = (directory("target"), directory("link"));
        std::fs::create_dir(&target).expect("created");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        assert!(CodeCache::at(link).is_none());
    }
}
