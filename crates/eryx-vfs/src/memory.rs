//! A file system in memory: quota, copy-on-write forks, POSIX semantics.

mod chunk;
mod content;
mod directory;
mod entries;
mod load;
mod node;
mod quota;
mod rename;
mod save;
mod state;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use content::MAX_FILE;
pub use load::TreeError;
pub use quota::{CHUNK_OVERHEAD, ENTRY_OVERHEAD, NODE_OVERHEAD};
pub use rename::MAX_DEPTH;

use crate::clock::now;
use crate::name::check_name;
use crate::{DirEntry, Error, FileIdentity, FileSystem, Kind, Metadata, NodeId, Result};
use node::Body;
use rename::Place;
use state::{ROOT, State};

/// A read-write tree in memory that never holds more than its quota.
///
/// Charged are: [`NODE_OVERHEAD`] per file, directory and link; [`ENTRY_OVERHEAD`] and the name's
/// bytes per name; a link's target; and per stored chunk of 16 KiB of a file [`CHUNK_OVERHEAD`] and
/// its bytes, rounded up to 64 (1 KiB for chunks over 1 KiB). Holes are free. An unlinked file that is open
/// stays charged. A call that would exceed the quota fails with `NoSpace` and changes nothing,
/// except that a write stores the part that fits. Reading does not change `accessed`.
///
/// ```
/// use eryx_vfs::{FileSystem, MemoryFs};
///
/// let storage = MemoryFs::new(1 << 20);
/// let file = storage.create_file(storage.root(), "note")?;
/// storage.append(file, b"hello")?;
/// let fork = storage.fork();
/// fork.append(file, b" there")?;
/// assert_eq!(storage.metadata(file)?.size, 5);
/// assert_eq!(fork.metadata(file)?.size, 11);
/// # Ok::<(), eryx_vfs::Error>(())
/// ```
pub struct MemoryFs {
    state: RwLock<State>,
    /// No other tree of the process has it.
    number: u64,
}

impl MemoryFs {
    /// An empty tree that may be charged up to `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self::of(State::new(max_bytes, now()))
    }

    fn of(state: State) -> Self {
        static TREES: AtomicU64 = AtomicU64::new(0);
        Self {
            state: RwLock::new(state),
            number: TREES.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A second tree with the same nodes, contents, quota and open handles, in constant time. What
    /// one writes afterwards the other does not see. Both are charged in full. A fork for somebody
    /// who takes over no handles needs [`MemoryFs::close_all`].
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.state().clone())
    }

    /// Becomes a copy of `other`, its quota included, in constant time.
    pub fn replace_with(&self, other: &Self) {
        let state = other.state().clone();
        *self.state_mut() = state;
    }

    /// Forgets all open handles and frees what only they kept. Linear in the open nodes.
    pub fn close_all(&self) {
        self.state_mut().close_all();
    }

    /// Frees unlinked nodes that nobody has open, which only a tree from [`MemoryFs::load`] can hold.
    /// Linear in the nodes.
    pub fn free_unused(&self) {
        self.state_mut().free_unused();
    }

    /// Bytes charged now; 0 for an empty tree.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state().quota.used
    }

    /// Bytes that may be charged.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.state().quota.max
    }

    /// Changes the limit. Below `used_bytes` nothing is lost, but nothing can grow.
    pub fn set_max_bytes(&self, max_bytes: u64) {
        self.state_mut().quota.max = max_bytes;
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows the quota, not the contents: they are the guest's.
impl fmt::Debug for MemoryFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = self.state().quota;
        f.debug_struct("MemoryFs")
            .field("used_bytes", &quota.used)
            .field("max_bytes", &quota.max)
            .finish_non_exhaustive()
    }
}

impl FileSystem for MemoryFs {
    fn root(&self) -> NodeId {
        ROOT
    }

    fn identity(&self, node: NodeId) -> Option<FileIdentity> {
        let tree = self.number;
        Some(FileIdentity::Memory { tree, node })
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        Ok(self.state().node(node)?.metadata(node))
    }

    fn lookup(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.find(dir, name).map(|(node, _)| node)
    }

    fn find(&self, dir: NodeId, name: &str) -> Result<(NodeId, Kind)> {
        let state = self.state();
        state.node(dir)?.directory()?;
        check_name(name)?;
        state.existing(dir, name)
    }

    fn parent(&self, dir: NodeId) -> Result<NodeId> {
        let state = self.state();
        let parent = state.node(dir)?.directory()?.parent;
        state.node(parent).map(|_| parent)
    }

    fn read_link(&self, node: NodeId) -> Result<Box<str>> {
        match &self.state().node(node)?.body {
            Body::Symlink(target) => Ok(Box::from(&**target)),
            Body::File(_) | Body::Directory(_) => Err(Error::InvalidInput),
        }
    }

    fn read_dir(&self, dir: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        let state = self.state();
        Ok(state.node(dir)?.directory()?.list(cookie, max))
    }

    fn read(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(self.state().node(node)?.content()?.read(offset, buf))
    }

    fn write(&self, node: NodeId, offset: u64, data: &[u8]) -> Result<usize> {
        let mut state = self.state_mut();
        let (found, quota) = state.node_and_quota(node)?;
        let count = found.content_mut()?.write(offset, data, quota)?;
        if count > 0 {
            found.touch(now());
        }
        Ok(count)
    }

    fn append(&self, node: NodeId, data: &[u8]) -> Result<(u64, usize)> {
        let mut state = self.state_mut();
        let (found, quota) = state.node_and_quota(node)?;
        let content = found.content_mut()?;
        let count = content.write(content.len(), data, quota)?;
        let end = content.len();
        if count > 0 {
            found.touch(now());
        }
        Ok((end, count))
    }

    fn set_len(&self, node: NodeId, len: u64) -> Result<()> {
        let mut state = self.state_mut();
        let (found, quota) = state.node_and_quota(node)?;
        found.content_mut()?.set_len(len, quota)?;
        found.touch(now());
        Ok(())
    }

    fn set_times(&self, node: NodeId, accessed: Option<u64>, modified: Option<u64>) -> Result<()> {
        let mut state = self.state_mut();
        let found = state.node_mut(node)?;
        found.accessed = accessed.unwrap_or(found.accessed);
        found.modified = modified.unwrap_or(found.modified);
        found.changed = now();
        Ok(())
    }

    fn create_file(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.state_mut().create_file(dir, name, now())
    }

    fn create_open(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        let mut state = self.state_mut();
        let node = state.create_file(dir, name, now())?;
        state.open(node)?;
        Ok(node)
    }

    fn create_dir(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.state_mut().create_dir(dir, name, now())
    }

    fn create_symlink(&self, dir: NodeId, name: &str, target: &str) -> Result<NodeId> {
        self.state_mut().create_symlink(dir, name, target, now())
    }

    fn hard_link(&self, node: NodeId, dir: NodeId, name: &str) -> Result<()> {
        self.state_mut().hard_link(node, dir, name, now())
    }

    fn unlink(&self, dir: NodeId, name: &str) -> Result<()> {
        self.state_mut().unlink(dir, name, now())
    }

    fn remove_dir(&self, dir: NodeId, name: &str) -> Result<()> {
        self.state_mut().remove_dir(dir, name, now())
    }

    fn rename(&self, from: NodeId, from_name: &str, to: NodeId, to_name: &str) -> Result<()> {
        let from = Place {
            dir: from,
            name: from_name,
        };
        let to = Place {
            dir: to,
            name: to_name,
        };
        self.state_mut().rename(from, to, now())
    }

    fn open(&self, node: NodeId, _write: bool) -> Result<()> {
        self.state_mut().open(node)
    }

    fn opened(&self, node: NodeId) {
        // A node that is gone is ignored.
        let _ = self.state_mut().open(node);
    }

    fn closed(&self, node: NodeId) {
        self.state_mut().close(node);
    }
}
