//! The one interface between a guest's file calls and whatever holds the files.

use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;

/// Identity of a node inside one [`FileSystem`]. Never reused, so a stale one is `NotFound`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// What is special about a node of a [`DeviceFs`](crate::DeviceFs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// It makes or takes bytes itself.
    Bytes,
    /// It stands for the descriptor of this number that the caller has.
    Descriptor(u32),
    /// A directory: the descriptors that the caller has.
    Descriptors,
}

/// Tells a file from all others of the process, through whichever [`FileSystem`] it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileIdentity {
    /// In memory.
    Memory {
        /// The number of the tree.
        tree: u64,
        /// The node in it.
        node: NodeId,
    },
    /// A file of the host.
    Host {
        /// Its device.
        device: u64,
        /// Its inode.
        inode: u64,
    },
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Device,
}

/// What `stat` reports of a node. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The node itself: `st_ino`.
    pub node: NodeId,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file or of a link target; number of entries of a directory.
    pub size: u64,
    /// Names of a file; 2 + subdirectories for a directory; 0 once unlinked.
    pub links: u64,
    /// Set at creation and by `set_times`; reading does not change it.
    pub accessed: u64,
    /// Last change of the contents.
    pub modified: u64,
    /// Last change of contents or metadata.
    pub changed: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without a path.
    pub name: Arc<str>,
    /// The node it names.
    pub node: NodeId,
    /// What the node is.
    pub kind: Kind,
    /// The cookie that continues after this entry.
    pub next: u64,
}

/// A tree of files, directories and links, addressed by node. It never follows a link and never
/// sees a path; [`crate::Namespace`] does both.
///
/// Names that are empty, `.`, `..`, too long, or hold `/` or NUL are refused by every call that
/// takes one. Calls on a node that is gone answer `NotFound`; calls on a node of the wrong kind
/// answer `NotADirectory`, `IsADirectory` or `InvalidInput`. A call that fails changed nothing.
pub trait FileSystem: Send + Sync + Debug {
    /// The top node: a directory, or a file in a file system that holds only one.
    fn root(&self) -> NodeId;

    /// Whether every change is refused. Opening a file for writing is then refused too.
    fn is_read_only(&self) -> bool {
        false
    }

    /// The same files for a fork of a user, which takes over what that has open: from then on, what one of the two opens does
    /// not count for the other. None if users need not be told apart.
    fn for_fork(&self) -> Option<Arc<dyn FileSystem>> {
        None
    }

    /// What a node of a [`DeviceFs`](crate::DeviceFs) is.
    fn device(&self, node: NodeId) -> Option<Device> {
        let _ = node;
        None
    }

    /// What tells an open file from others. None where files never change, and for a node that is not open.
    fn identity(&self, node: NodeId) -> Option<FileIdentity> {
        let _ = node;
        None
    }

    /// What `stat` reports.
    ///
    /// # Errors
    /// `NotFound`.
    fn metadata(&self, node: NodeId) -> Result<Metadata>;

    /// The node called `name` in `dir`.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or the name is refused.
    fn lookup(&self, dir: NodeId, name: &str) -> Result<NodeId>;

    /// As [`FileSystem::lookup`], with the kind in the same step.
    ///
    /// # Errors
    /// As [`FileSystem::lookup`].
    fn find(&self, dir: NodeId, name: &str) -> Result<(NodeId, Kind)> {
        let node = self.lookup(dir, name)?;
        Ok((node, self.metadata(node)?.kind))
    }

    /// The directory that holds the directory `dir`; the root is its own parent.
    ///
    /// # Errors
    /// `NotADirectory`; `NotFound` if the parent is gone.
    fn parent(&self, dir: NodeId) -> Result<NodeId>;

    /// The target of a symbolic link, as it was given.
    ///
    /// # Errors
    /// `InvalidInput` for a node that is no link.
    fn read_link(&self, node: NodeId) -> Result<Box<str>>;

    /// Up to `max` entries after `cookie` (0 = from the start), without `.` and `..`. While others
    /// change the directory, no name repeats and none vanishes that is there all the time.
    ///
    /// # Errors
    /// `NotADirectory`.
    fn read_dir(&self, dir: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>>;

    /// Fills `buf` from `offset` and returns the bytes read: 0 at or beyond the end.
    ///
    /// # Errors
    /// `IsADirectory`, `InvalidInput` for a link.
    fn read(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Writes at `offset`; a gap before it reads as zeros. A write that the quota or
    /// [`crate::MAX_FILE`] cuts returns the shorter count.
    ///
    /// # Errors
    /// `NoSpace` and `FileTooLarge` if not one byte fits.
    fn write(&self, node: NodeId, offset: u64, data: &[u8]) -> Result<usize>;

    /// Writes at the end, in one step with finding it; returns the new end and the bytes written.
    ///
    /// # Errors
    /// As [`FileSystem::write`].
    fn append(&self, node: NodeId, data: &[u8]) -> Result<(u64, usize)>;

    /// Cuts a file, or lengthens it with zeros that take no room.
    ///
    /// # Errors
    /// `FileTooLarge`, `IsADirectory`, `InvalidInput`.
    fn set_len(&self, node: NodeId, len: u64) -> Result<()>;

    /// Sets the times that are given; `changed` becomes now.
    ///
    /// # Errors
    /// `NotFound`, `ReadOnly`.
    fn set_times(&self, node: NodeId, accessed: Option<u64>, modified: Option<u64>) -> Result<()>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// `AlreadyExists`, `NoSpace`, `NotFound` in a removed directory.
    fn create_file(&self, dir: NodeId, name: &str) -> Result<NodeId>;

    /// As [`FileSystem::create_file`], and [`FileSystem::open`] of it, to write too: both or neither.
    ///
    /// # Errors
    /// Those of the two. Then nothing was made.
    fn create_open(&self, dir: NodeId, name: &str) -> Result<NodeId>;

    /// Makes an empty directory.
    ///
    /// # Errors
    /// As [`FileSystem::create_file`].
    fn create_dir(&self, dir: NodeId, name: &str) -> Result<NodeId>;

    /// Makes a symbolic link. The target need not exist.
    ///
    /// # Errors
    /// As [`FileSystem::create_file`], and the target is refused (empty, NUL, too long).
    fn create_symlink(&self, dir: NodeId, name: &str, target: &str) -> Result<NodeId>;

    /// Gives a file or link one more name.
    ///
    /// # Errors
    /// `NotPermitted` for a directory; `NotFound` for a node without any name left.
    fn hard_link(&self, node: NodeId, dir: NodeId, name: &str) -> Result<()>;

    /// Removes a name of a file or link. The node lives on while it has other names or is open.
    ///
    /// # Errors
    /// `IsADirectory`, `NotFound`.
    fn unlink(&self, dir: NodeId, name: &str) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotADirectory`, `NotEmpty`, `NotFound`.
    fn remove_dir(&self, dir: NodeId, name: &str) -> Result<()>;

    /// Moves an entry, replacing a file or an empty directory in one step. Two names of one node:
    /// nothing happens, as POSIX asks.
    ///
    /// # Errors
    /// `InvalidInput` for a directory into its own subtree; `NotADirectory`, `IsADirectory` or
    /// `NotEmpty` for a target that cannot be replaced.
    fn rename(&self, from: NodeId, from_name: &str, to: NodeId, to_name: &str) -> Result<()>;

    /// Whether symbolic links in it must not lead out of it. A walk then refuses with `NotPermitted` what a link's target
    /// would do outside: start at the top of the namespace, or go above the root of this file system.
    fn contains_links(&self) -> bool {
        false
    }

    /// As [`FileSystem::opened`], for a handle that reads, or with `write` also writes.
    ///
    /// # Errors
    /// The node cannot be opened for that: `NotFound`, `ReadOnly`, `Denied`, `TooManyOpen`. No handle was counted.
    fn open(&self, node: NodeId, write: bool) -> Result<()>;

    /// One more handle keeps the node alive after its last name is gone. Unknown nodes are ignored:
    /// ask for the metadata afterwards if somebody else may have removed it meanwhile.
    fn opened(&self, node: NodeId);

    /// One handle less; the last one frees a node without names.
    fn closed(&self, node: NodeId);
}
