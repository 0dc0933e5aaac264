//! A whole tree as bytes. The layout is in docs/vfs-snapshot.md.

use std::io::{self, Write};

use super::MemoryFs;
use super::content::Content;
use super::directory::Directory;
use super::node::{Body, Node};
use crate::{Kind, NodeId};

/// Before each node; 0 ends the tree.
pub(super) const END: u8 = 0;

/// How the layout writes a kind.
pub(super) const fn kind_number(kind: Kind) -> u8 {
    match kind {
        // A tree in memory has no devices.
        Kind::File | Kind::Device => 1,
        Kind::Directory => 2,
        Kind::Symlink => 3,
    }
}

impl MemoryFs {
    /// Writes the tree as it is now: contents, holes, links, times, numbers of nodes and cookies of
    /// entries. Unlinked nodes that are open are written too; the handles and the quota are not.
    /// Others may go on changing the tree meanwhile.
    ///
    /// # Errors
    /// What `into` answers.
    pub fn save(&self, into: &mut impl Write) -> io::Result<()> {
        let state = self.state().clone();
        into.write_all(&state.last_node().to_le_bytes())?;
        let mut from = 0;
        while let Some((id, node)) = state.first_node_from(from) {
            write_node(into, id, node)?;
            from = id.0 + 1;
        }
        into.write_all(&[END])
    }
}

fn write_node(into: &mut impl Write, id: NodeId, node: &Node) -> io::Result<()> {
    into.write_all(&[kind_number(node.kind())])?;
    for number in [id.0, node.accessed, node.modified, node.changed] {
        into.write_all(&number.to_le_bytes())?;
    }
    match &node.body {
        Body::File(content) => write_content(into, content),
        Body::Directory(directory) => write_directory(into, directory),
        Body::Symlink(target) => {
            into.write_all(&length::<2>(target.len())?)?;
            into.write_all(target.as_bytes())
        }
    }
}

fn write_content(into: &mut impl Write, content: &Content) -> io::Result<()> {
    into.write_all(&content.len().to_le_bytes())?;
    into.write_all(&content.chunk_count().to_le_bytes())?;
    let mut from = 0;
    while let Some((index, chunk)) = content.next_chunk(from) {
        into.write_all(&index.to_le_bytes())?;
        into.write_all(&length::<2>(chunk.len())?)?;
        into.write_all(chunk.bytes())?;
        from = index + 1;
    }
    Ok(())
}

fn write_directory(into: &mut impl Write, directory: &Directory) -> io::Result<()> {
    into.write_all(&directory.last_cookie().to_le_bytes())?;
    into.write_all(&directory.len().to_le_bytes())?;
    let mut after = 0;
    while let Some((cookie, entry)) = directory.next(after) {
        into.write_all(&cookie.to_le_bytes())?;
        into.write_all(&entry.node.0.to_le_bytes())?;
        into.write_all(&[kind_number(entry.kind)])?;
        into.write_all(&length::<1>(entry.name.len())?)?;
        into.write_all(entry.name.as_bytes())?;
        after = cookie;
    }
    Ok(())
}

/// A length in `N` bytes. Names, targets and chunks are short enough by their own limits.
fn length<const N: usize>(len: usize) -> io::Result<[u8; N]> {
    let bytes = (len as u64).to_le_bytes();
    match bytes.split_first_chunk::<N>() {
        Some((low, high)) if high.iter().all(|&byte| byte == 0) => Ok(*low),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
