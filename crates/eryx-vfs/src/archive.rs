//! A read-only file system over an uncompressed tar archive.

mod error;
mod index;
mod parse;
mod tree;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use error::ArchiveError;
pub use tree::MAX_ARCHIVE_NODES;

use crate::name::check_name;
use crate::{DirEntry, Error, FileSystem, Kind, Metadata, NodeId, Result};

/// Names in a directory and what they name, ascending.
type Entries = Box<[(Arc<str>, NodeId)]>;
type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The tree of a tar archive. Headers are parsed once; contents stay in the archive's bytes (a
/// memory map, usually) and are read from there, so opening touches only the headers' pages.
///
/// Every change is refused with `ReadOnly`. Directories list in order of name. Nodes get the mode
/// and owner of nobody: only names, contents, links and modification times are kept.
pub struct ArchiveFs {
    bytes: Option<Bytes>,
    nodes: Box<[Node]>,
}

/// A node; its `NodeId` is its index.
struct Node {
    body: Body,
    modified: u64,
    names: u64,
}

enum Body {
    /// Where the contents are in the archive.
    File(Range<usize>),
    Directory {
        parent: NodeId,
        entries: Entries,
    },
    Symlink(Box<str>),
}

const ROOT: NodeId = NodeId(0);

impl ArchiveFs {
    /// Parses the headers of a whole archive (ustar, GNU and PAX names). Later entries replace
    /// earlier files of the same path, as `tar` does on extraction.
    ///
    /// # Errors
    /// The archive is damaged or cut, or has an entry that an [`ArchiveError`] names.
    pub fn from_tar(bytes: Bytes) -> std::result::Result<Self, ArchiveError> {
        let nodes = parse::parse((*bytes).as_ref())?;
        Ok(Self {
            bytes: Some(bytes),
            nodes,
        })
    }

    /// The tree of an archive whose index was made before, with [`ArchiveFs::index`]. The headers of a few files are compared with it.
    ///
    /// # Errors
    /// The index is damaged, or that of another archive.
    pub fn from_index(bytes: Bytes, index: &[u8]) -> std::result::Result<Self, ArchiveError> {
        let nodes = index::read(index, (*bytes).as_ref())?;
        Ok(Self {
            bytes: Some(bytes),
            nodes,
        })
    }

    /// The tree, so that [`ArchiveFs::from_index`] need not look for it in the headers.
    #[must_use]
    pub fn index(&self) -> Vec<u8> {
        let archive = self
            .bytes
            .as_ref()
            .map_or(0, |bytes| (**bytes).as_ref().len());
        index::write(&self.nodes, archive)
    }

    /// A tree with nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            bytes: None,
            nodes: tree::Tree::new().finish(),
        }
    }

    /// The contents of the file at `path` (from the root, leading `/` optional), not copied.
    /// Symbolic links are not followed.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let node = parts.try_fold(ROOT, |at, part| self.child(at, part)).ok()?;
        self.contents(node).ok()
    }

    fn node(&self, node: NodeId) -> Result<&Node> {
        let index = usize::try_from(node.0).map_err(|_| Error::NotFound)?;
        self.nodes.get(index).ok_or(Error::NotFound)
    }

    fn entries(&self, dir: NodeId) -> Result<&[(Arc<str>, NodeId)]> {
        match &self.node(dir)?.body {
            Body::Directory { entries, .. } => Ok(entries),
            Body::File(_) | Body::Symlink(_) => Err(Error::NotADirectory),
        }
    }

    fn child(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        let entries = self.entries(dir)?;
        let found = entries.binary_search_by(|(entry, _)| (**entry).cmp(name));
        let index = found.map_err(|_| Error::NotFound)?;
        Ok(entries[index].1)
    }

    fn contents(&self, node: NodeId) -> Result<&[u8]> {
        match &self.node(node)?.body {
            Body::File(range) => {
                let bytes = self.bytes.as_ref().map(|bytes| (**bytes).as_ref());
                Ok(bytes
                    .and_then(|all| all.get(range.clone()))
                    .unwrap_or_default())
            }
            Body::Directory { .. } => Err(Error::IsADirectory),
            Body::Symlink(_) => Err(Error::InvalidInput),
        }
    }

    /// Why `name` cannot be made in `dir`: it is there already, or nothing can be.
    fn refuse_new<T>(&self, dir: NodeId, name: &str) -> Result<T> {
        match self.lookup(dir, name) {
            Ok(_) => Err(Error::AlreadyExists),
            Err(Error::NotFound) => Err(Error::ReadOnly),
            Err(error) => Err(error),
        }
    }

    /// Why an existing node cannot be changed.
    fn refuse_change<T>(&self, node: NodeId) -> Result<T> {
        self.node(node)?;
        Err(Error::ReadOnly)
    }
}

impl Node {
    const fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Directory { .. } => Kind::Directory,
            Body::Symlink(_) => Kind::Symlink,
        }
    }

    fn size(&self) -> u64 {
        let size = match &self.body {
            Body::File(range) => range.len(),
            Body::Directory { entries, .. } => entries.len(),
            Body::Symlink(target) => target.len(),
        };
        size as u64
    }
}

impl fmt::Debug for ArchiveFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveFs")
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl FileSystem for ArchiveFs {
    fn is_read_only(&self) -> bool {
        true
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        let found = self.node(node)?;
        Ok(Metadata {
            node,
            kind: found.kind(),
            size: found.size(),
            links: found.names,
            accessed: found.modified,
            modified: found.modified,
            changed: found.modified,
        })
    }

    fn lookup(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.entries(dir)?;
        check_name(name)?;
        self.child(dir, name)
    }

    fn parent(&self, dir: NodeId) -> Result<NodeId> {
        match &self.node(dir)?.body {
            Body::Directory { parent, .. } => Ok(*parent),
            Body::File(_) | Body::Symlink(_) => Err(Error::NotADirectory),
        }
    }

    fn read_link(&self, node: NodeId) -> Result<Box<str>> {
        match &self.node(node)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            Body::File(_) | Body::Directory { .. } => Err(Error::InvalidInput),
        }
    }

    fn read_dir(&self, dir: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        let entries = self.entries(dir)?;
        let start = usize::try_from(cookie).unwrap_or(usize::MAX);
        let numbered = (1..).zip(entries).skip(start).take(max);
        let entry = |(next, (name, node)): (u64, &(Arc<str>, NodeId))| {
            Ok(DirEntry {
                name: Arc::clone(name),
                node: *node,
                kind: self.node(*node)?.kind(),
                next,
            })
        };
        numbered.map(entry).collect()
    }

    fn read(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let contents = self.contents(node)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let behind = contents.get(start..).unwrap_or_default();
        let count = behind.len().min(buf.len());
        buf[..count].copy_from_slice(&behind[..count]);
        Ok(count)
    }

    fn write(&self, node: NodeId, _offset: u64, _data: &[u8]) -> Result<usize> {
        self.refuse_change(node)
    }

    fn append(&self, node: NodeId, _data: &[u8]) -> Result<(u64, usize)> {
        self.refuse_change(node)
    }

    fn set_len(&self, node: NodeId, _len: u64) -> Result<()> {
        self.refuse_change(node)
    }

    fn set_times(&self, node: NodeId, _accessed: Option<u64>, _mod: Option<u64>) -> Result<()> {
        self.refuse_change(node)
    }

    fn create_file(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.refuse_new(dir, name)
    }

    fn create_open(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.refuse_new(dir, name)
    }

    fn create_dir(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.refuse_new(dir, name)
    }

    fn create_symlink(&self, dir: NodeId, name: &str, _target: &str) -> Result<NodeId> {
        self.refuse_new(dir, name)
    }

    fn hard_link(&self, _node: NodeId, dir: NodeId, name: &str) -> Result<()> {
        self.refuse_new(dir, name)
    }

    fn unlink(&self, dir: NodeId, name: &str) -> Result<()> {
        self.lookup(dir, name)?;
        Err(Error::ReadOnly)
    }

    fn remove_dir(&self, dir: NodeId, name: &str) -> Result<()> {
        self.lookup(dir, name)?;
        Err(Error::ReadOnly)
    }

    fn rename(&self, from: NodeId, from_name: &str, _to: NodeId, _name: &str) -> Result<()> {
        self.lookup(from, from_name)?;
        Err(Error::ReadOnly)
    }

    fn open(&self, node: NodeId, write: bool) -> Result<()> {
        if write {
            return self.refuse_change(node);
        }
        self.node(node).map(|_| ())
    }

    fn opened(&self, _node: NodeId) {}

    fn closed(&self, _node: NodeId) {}
}
