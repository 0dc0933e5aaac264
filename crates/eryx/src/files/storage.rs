//! [`Storage`]: files that outlive a run, shared by every sandbox they are given to.

mod error;
mod remove;
mod snapshot;

use std::sync::Arc;

use eryx_vfs::{FileSystem, Kind, Location, MemoryFs, Metadata, Namespace};

pub use error::StorageError;

use crate::caps::{MAX_ENTRIES_AT_ONCE, MAX_READ};
use error::Context;

/// Files in memory, with a quota. Clones share them.
///
/// Paths are absolute or relative to the top; both mean the same. `..` at the top stays there. Links are followed inside
/// the storage only, and an absolute one starts at its top, wherever a guest has it mounted. What one user changes, the
/// others see at once.
///
/// ```
/// use eryx::Storage;
///
/// let files = Storage::new(1 << 20);
/// files.create_dir_all("reports/2026")?;
/// files.write_file("/reports/2026/may.txt", b"sunny")?;
/// assert_eq!(files.read_file("reports/2026/../2026/may.txt")?, b"sunny");
/// let copy = Storage::from_snapshot(&files.snapshot()?, None)?;
/// assert_eq!(copy.used_bytes(), files.used_bytes());
/// # Ok::<(), eryx::StorageError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Storage {
    files: Arc<MemoryFs>,
    /// The files alone at `/`, to resolve paths in.
    namespace: Namespace,
}

/// What is behind a name of a [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// What is known of a file, directory or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageMetadata {
    /// What it is.
    pub kind: StorageKind,
    /// Bytes of a file or of a link's target; number of entries of a directory.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970.
    pub modified: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageEntry {
    /// The name, without a path.
    pub name: String,
    /// What it names. Links are not followed.
    pub metadata: StorageMetadata,
}

impl Storage {
    /// An empty storage that may hold so many bytes of contents, names and directories, counted as `docs/security.md`
    /// says.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self::of(MemoryFs::new(max_bytes))
    }

    fn of(files: MemoryFs) -> Self {
        let files = Arc::new(files);
        let namespace = Namespace::new(Arc::clone(&files) as _);
        Self { files, namespace }
    }

    /// An independent storage with the same contents, in constant time. Its tree keeps the open handles of this one.
    pub(crate) fn fork(&self) -> Self {
        Self::of(self.files.fork())
    }

    /// The tree itself.
    pub(crate) fn tree(&self) -> &MemoryFs {
        &self.files
    }

    /// The tree itself, for mounting.
    pub(crate) fn file_system(&self) -> Arc<MemoryFs> {
        Arc::clone(&self.files)
    }

    /// All of a file.
    ///
    /// # Errors
    /// There is no such file, or it is longer than the storage may hold.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, StorageError> {
        self.read(path).context(path)
    }

    fn read(&self, path: &str) -> eryx_vfs::Result<Vec<u8>> {
        let at = self.resolve(path, true)?;
        let size = self.namespace.metadata(at)?.size;
        let most = self.files.max_bytes().min(MAX_READ);
        let size = usize::try_from(size)
            .ok()
            .filter(|&size| size as u64 <= most);
        let size = size.ok_or(eryx_vfs::Error::FileTooLarge)?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size)
            .map_err(|_| eryx_vfs::Error::FileTooLarge)?;
        bytes.resize(size, 0);
        let read = self.files.read(at.node, 0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Puts `data` into a file, which is made if it is not there. One that is there keeps its names and its open handles.
    ///
    /// # Errors
    /// Its directory is not there, or there is no room: then the file holds what fits.
    pub fn write_file(&self, path: &str, data: &[u8]) -> Result<(), StorageError> {
        self.write(path, data).context(path)
    }

    fn write(&self, path: &str, data: &[u8]) -> eryx_vfs::Result<()> {
        let (at, _) = self.namespace.open_or_create(self.namespace.root(), path)?;
        self.files.set_len(at.node, 0)?;
        if !data.is_empty() && self.files.write(at.node, 0, data)? < data.len() {
            return Err(eryx_vfs::Error::NoSpace);
        }
        Ok(())
    }

    /// Makes a directory in one that is there.
    ///
    /// # Errors
    /// The name is taken, or there is no room.
    pub fn create_dir(&self, path: &str) -> Result<(), StorageError> {
        let made = self.namespace.create_dir(self.namespace.root(), path);
        made.map(|_| ()).context(path)
    }

    /// Makes a directory and those above it, as far as they are not there.
    ///
    /// # Errors
    /// Something on the way is no directory, or there is no room.
    pub fn create_dir_all(&self, path: &str) -> Result<(), StorageError> {
        self.make_all(path).context(path)
    }

    fn make_all(&self, path: &str) -> eryx_vfs::Result<()> {
        if path.is_empty() {
            return Err(eryx_vfs::Error::NotFound);
        }
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let ends = slashes.filter(|&at| at > 0).chain([path.len()]);
        for end in ends {
            match self
                .namespace
                .create_dir(self.namespace.root(), &path[..end])
            {
                Ok(_) | Err(eryx_vfs::Error::AlreadyExists) => {}
                Err(error) => return Err(error),
            }
        }
        let at = self.resolve(path, true)?;
        match self.namespace.metadata(at)?.kind {
            Kind::Directory => Ok(()),
            _ => Err(eryx_vfs::Error::AlreadyExists),
        }
    }

    /// The entries of a directory, in the order in which they were made.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn read_dir(&self, path: &str) -> Result<Vec<StorageEntry>, StorageError> {
        self.list(path).context(path)
    }

    fn list(&self, path: &str) -> eryx_vfs::Result<Vec<StorageEntry>> {
        let at = self.resolve(path, true)?;
        let mut entries = Vec::new();
        let mut cookie = 0;
        loop {
            let some = self.files.read_dir(at.node, cookie, MAX_ENTRIES_AT_ONCE)?;
            let Some(last) = some.last() else {
                return Ok(entries);
            };
            cookie = last.next;
            // What was removed meanwhile has no metadata any more.
            entries.extend(some.iter().filter_map(|entry| {
                let metadata = self.files.metadata(entry.node).ok()?;
                Some(StorageEntry {
                    name: entry.name.to_string(),
                    metadata: metadata.into(),
                })
            }));
        }
    }

    /// What is known of `path`. A link at its end is not followed.
    ///
    /// # Errors
    /// There is nothing.
    pub fn metadata(&self, path: &str) -> Result<StorageMetadata, StorageError> {
        let found = self.resolve(path, false);
        let found = found.and_then(|at| self.namespace.metadata(at));
        found.map(StorageMetadata::from).context(path)
    }

    /// Whether `path` leads to something. Links are followed: one that leads nowhere does not exist.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path, true).is_ok()
    }

    /// Removes a file, a link or an empty directory.
    ///
    /// # Errors
    /// There is nothing; the directory is not empty, or the top.
    pub fn remove(&self, path: &str) -> Result<(), StorageError> {
        self.remove_one(path).context(path)
    }

    fn remove_one(&self, path: &str) -> eryx_vfs::Result<()> {
        let root = self.namespace.root();
        // What is above would be emptied under a name that is not its own.
        if matches!(&*self.namespace.resolve_parent(root, path)?.1, "." | "..") {
            return Err(eryx_vfs::Error::NotPermitted);
        }
        match self.namespace.unlink(root, path) {
            Err(eryx_vfs::Error::IsADirectory) => self.namespace.remove_dir(root, path),
            done => done,
        }
    }

    /// Removes a file, a link or a directory with all that is in it.
    ///
    /// # Errors
    /// There is nothing; it is the top; or somebody keeps adding to the directory: then part of it is removed.
    pub fn remove_all(&self, path: &str) -> Result<(), StorageError> {
        remove::all(self, path).context(path)
    }

    /// Moves `from` to `to`, replacing a file or an empty directory there in one step.
    ///
    /// # Errors
    /// There is nothing at `from`; what is at `to` cannot be replaced; a directory would come below itself.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let root = self.namespace.root();
        self.namespace.rename(root, from, root, to).context(from)
    }

    /// Bytes charged now; 0 for an empty storage.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.files.used_bytes()
    }

    /// Bytes that may be charged.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.files.max_bytes()
    }

    fn resolve(&self, path: &str, follow_last: bool) -> eryx_vfs::Result<Location> {
        self.namespace
            .resolve(self.namespace.root(), path, follow_last)
    }
}

impl From<Metadata> for StorageMetadata {
    fn from(metadata: Metadata) -> Self {
        Self {
            kind: match metadata.kind {
                // A storage has no devices.
                Kind::File | Kind::Device => StorageKind::File,
                Kind::Directory => StorageKind::Directory,
                Kind::Symlink => StorageKind::Symlink,
            },
            size: metadata.size,
            modified: metadata.modified,
        }
    }
}
