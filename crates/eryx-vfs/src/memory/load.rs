//! A tree from bytes that anybody may have made. The layout is in docs/vfs-snapshot.md.
//!
//! Everything is charged to the quota before room is made for it, so the quota bounds the memory that
//! any input can take. Work is linear in the input.

use std::io::{self, Read};
use std::str;
use std::sync::Arc;

use super::MemoryFs;
use super::chunk::{CHUNK_SIZE, Chunk};
use super::content::{Content, MAX_FILE};
use super::directory::Directory;
use super::node::{Body, Node};
use super::quota::{NODE_OVERHEAD, chunk_cost, entry_cost};
use super::save::{END, kind_number};
use super::state::{ROOT, State};
use crate::name::{check_name, check_path};
use crate::{Kind, MAX_NAME, MAX_PATH, NodeId};

/// Numbers of nodes and cookies of entries beyond this are refused: no tree counts so far, and there
/// must be numbers left for what is made later.
const MAX_NUMBER: u64 = 1 << 62;

/// Why bytes are no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The bytes cannot be read, or end too soon.
    #[error("the tree cannot be read: {}", .0.kind())]
    Unreadable(#[from] io::Error),
    /// They contradict the layout or each other.
    #[error("{0}")]
    Damaged(&'static str),
    /// They hold more than the quota allows.
    #[error("the files take more than {0} bytes")]
    TooLarge(u64),
}

type Result<T> = std::result::Result<T, TreeError>;

impl MemoryFs {
    /// A tree from what [`MemoryFs::save`] wrote, with this quota. Unlinked nodes are kept although
    /// nobody has them open: [`FileSystem::opened`](crate::FileSystem::opened) takes one over, and
    /// [`MemoryFs::free_unused`] frees the others.
    ///
    /// # Errors
    /// The bytes are no tree, or more than the quota. They may come from anywhere.
    pub fn load(from: &mut impl Read, max_bytes: u64) -> Result<Self> {
        let mut loader = Loader {
            from,
            state: State::new(max_bytes, 0),
        };
        loader.nodes()?;
        let mut state = loader.state;
        connect(&mut state)?;
        check_reachable(&state)?;
        Ok(Self::of(state))
    }
}

struct Loader<'r, R> {
    from: &'r mut R,
    state: State,
}

impl<R: Read> Loader<'_, R> {
    fn nodes(&mut self) -> Result<()> {
        let last_node = self.number()?;
        let mut last = 0;
        loop {
            let kind = self.byte()?;
            if kind == END {
                break;
            }
            let id = self.number()?;
            if last == 0 && id != ROOT.0 {
                return damaged("the first node is not the root");
            }
            if id <= last || id > last_node {
                return damaged("the numbers of the nodes are not in order");
            }
            last = id;
            self.node(NodeId(id), kind)?;
        }
        if last == 0 {
            return damaged("there is no root");
        }
        if last_node > MAX_NUMBER {
            return damaged("the number of a node is too large");
        }
        self.state.reserve_nodes(last_node);
        Ok(())
    }

    fn node(&mut self, id: NodeId, kind: u8) -> Result<()> {
        let (accessed, modified, changed) = (self.number()?, self.number()?, self.number()?);
        if id != ROOT {
            self.charge(NODE_OVERHEAD)?;
        }
        let body = match kind_of(kind)? {
            Kind::File | Kind::Device => Body::File(self.content()?),
            Kind::Directory => Body::Directory(self.directory()?),
            Kind::Symlink => Body::Symlink(self.target()?),
        };
        if id == ROOT && !matches!(body, Body::Directory(_)) {
            return damaged("the root is not a directory");
        }
        let node = Node {
            body,
            names: u64::from(id == ROOT),
            accessed,
            modified,
            changed,
        };
        self.state.put(id, node);
        Ok(())
    }

    fn content(&mut self) -> Result<Content> {
        let len = self.number()?;
        if len > MAX_FILE {
            return damaged("a file is too long");
        }
        let mut content = Content::hole(len);
        let mut next = 0;
        for _ in 0..self.number()? {
            let index = self.number()?;
            let size = usize::from(u16::from_le_bytes(self.bytes()?));
            let end = index
                .checked_mul(CHUNK_SIZE as u64)
                .and_then(|start| start.checked_add(size as u64));
            if index < next || !(1..=CHUNK_SIZE).contains(&size) || end.is_none_or(|end| end > len)
            {
                return damaged("a piece of a file is not within it");
            }
            next = index + 1;
            self.charge(chunk_cost(Some(size)))?;
            let chunk = Chunk::filled(size, |bytes| self.from.read_exact(bytes))?;
            content.put_chunk(index, chunk);
        }
        Ok(content)
    }

    fn directory(&mut self) -> Result<Directory> {
        let last_cookie = self.number()?;
        let mut directory = Directory::new(ROOT);
        let mut last = 0;
        for _ in 0..self.number()? {
            let cookie = self.number()?;
            if cookie <= last || cookie > last_cookie {
                return damaged("the entries of a directory are not in order");
            }
            last = cookie;
            self.entry(cookie, &mut directory)?;
        }
        if last_cookie > MAX_NUMBER {
            return damaged("the number of an entry is too large");
        }
        directory.reserve_cookies(last_cookie);
        Ok(directory)
    }

    fn entry(&mut self, cookie: u64, directory: &mut Directory) -> Result<()> {
        let node = NodeId(self.number()?);
        let kind = kind_of(self.byte()?)?;
        let mut buffer = [0; MAX_NAME];
        let len = usize::from(self.byte()?);
        let name = self.text(&mut buffer[..len])?;
        if check_name(name).is_err() {
            return damaged("a name is not allowed");
        }
        self.charge(entry_cost(name))?;
        let key = self.state.key(name);
        if directory.get(key).is_some() {
            return damaged("a name is there twice");
        }
        directory.put(cookie, key, node, kind);
        Ok(())
    }

    fn target(&mut self) -> Result<Arc<str>> {
        let mut buffer = [0; MAX_PATH];
        let len = usize::from(u16::from_le_bytes(self.bytes()?));
        let Some(buffer) = buffer.get_mut(..len) else {
            return damaged("the target of a link is too long");
        };
        let target = self.text(buffer)?;
        if check_path(target).is_err() {
            return damaged("the target of a link is not allowed");
        }
        self.charge(target.len() as u64)?;
        Ok(Arc::from(target))
    }

    fn text<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b str> {
        self.from.read_exact(buffer)?;
        str::from_utf8(buffer).or_else(|_| damaged("a name is not UTF-8"))
    }

    fn charge(&mut self, bytes: u64) -> Result<()> {
        let max = self.state.quota.max;
        let taken = self.state.quota.take(bytes);
        taken.map_err(|_| TreeError::TooLarge(max))
    }

    fn number(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.bytes().map(|[byte]| byte)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn kind_of(number: u8) -> Result<Kind> {
    [Kind::File, Kind::Directory, Kind::Symlink]
        .into_iter()
        .find(|&kind| kind_number(kind) == number)
        .map_or_else(|| damaged("a node is of no known kind"), Ok)
}

/// Counts the names of every node and tells directories their parent.
fn connect(state: &mut State) -> Result<()> {
    let mut from = ROOT.0;
    while let Some((parent, node)) = state.first_node_from(from) {
        from = parent.0 + 1;
        let Ok(directory) = node.directory().cloned() else {
            continue;
        };
        let mut after = 0;
        while let Some((cookie, entry)) = directory.next(after) {
            connect_entry(state, parent, entry.node, entry.kind)?;
            after = cookie;
        }
    }
    Ok(())
}

fn connect_entry(state: &mut State, parent: NodeId, node: NodeId, kind: Kind) -> Result<()> {
    let Ok(found) = state.node_mut(node) else {
        return damaged("an entry names a node that is not there");
    };
    if found.kind() != kind {
        return damaged("an entry and its node are of different kinds");
    }
    found.names += 1;
    if let Ok(directory) = found.directory_mut() {
        directory.parent = parent;
        if found.names > 1 {
            return damaged("a directory has two parents");
        }
    }
    Ok(())
}

/// Every directory is below the root, or was removed while open and is empty.
fn check_reachable(state: &State) -> Result<()> {
    let mut unseen = 0_u64;
    let mut from = ROOT.0;
    while let Some((id, node)) = state.first_node_from(from) {
        from = id.0 + 1;
        match node.directory() {
            Ok(_) if node.names > 0 => unseen += 1,
            Ok(directory) if directory.len() > 0 => {
                return damaged("a removed directory has entries");
            }
            _ => {}
        }
    }
    let mut pending = vec![ROOT];
    while let Some(directory) = pending.pop() {
        unseen -= 1;
        push_directories(state, directory, &mut pending);
    }
    if unseen > 0 {
        return damaged("directories are in a circle");
    }
    Ok(())
}

/// Each directory has one parent, so it is pushed once.
fn push_directories(state: &State, at: NodeId, into: &mut Vec<NodeId>) {
    let Ok(directory) = state.node(at).and_then(Node::directory) else {
        return;
    };
    let mut after = 0;
    while let Some((cookie, entry)) = directory.next(after) {
        if entry.kind == Kind::Directory {
            into.push(entry.node);
        }
        after = cookie;
    }
}

const fn damaged<T>(what: &'static str) -> Result<T> {
    Err(TreeError::Damaged(what))
}
