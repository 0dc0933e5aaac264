//! The tree of an archive as bytes, so that whoever opens the archive need not look at each of its headers.
//!
//! [`MAGIC`], the archive's size, the number of nodes, and the nodes in order of their ids: kind, time of modification, number of
//! names, and what the kind has besides. Numbers are LEB128, texts have their length before them.

use std::str;
use std::sync::Arc;

use super::error::ArchiveError;
use super::{Body, Entries, MAX_ARCHIVE_NODES, Node};
use crate::NodeId;
use crate::name::{check_name, check_path};

const MAGIC: &[u8] = b"eryx tar index 1";
const FILE: u64 = 0;
const DIRECTORY: u64 = 1;
const SYMLINK: u64 = 2;

const BLOCK: usize = 512;
/// Files whose headers are compared with the index.
const SAMPLES: usize = 16;

pub(super) fn write(nodes: &[Node], archive: usize) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, archive);
    put(&mut bytes, nodes.len());
    for node in nodes {
        write_node(&mut bytes, node);
    }
    bytes
}

fn write_node(bytes: &mut Vec<u8>, node: &Node) {
    let kind = match node.body {
        Body::File(_) => FILE,
        Body::Directory { .. } => DIRECTORY,
        Body::Symlink(_) => SYMLINK,
    };
    for number in [kind, node.modified, node.names] {
        put_u64(bytes, number);
    }
    match &node.body {
        Body::File(range) => {
            put(bytes, range.start);
            put(bytes, range.len());
        }
        Body::Directory { parent, entries } => {
            put_u64(bytes, parent.0);
            put(bytes, entries.len());
            for (name, node) in entries {
                put_text(bytes, name);
                put_u64(bytes, node.0);
            }
        }
        Body::Symlink(target) => put_text(bytes, target),
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    put_u64(bytes, number as u64);
}

fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The nodes, if the index is whole and is that of `archive`.
pub(super) fn read(index: &[u8], archive: &[u8]) -> Result<Box<[Node]>, ArchiveError> {
    let nodes = nodes(index, archive.len()).ok_or(ArchiveError::WrongIndex)?;
    if !matches!(nodes[0].body, Body::Directory { .. }) || !fits(&nodes, archive) {
        return Err(ArchiveError::WrongIndex);
    }
    Ok(nodes)
}

/// Whether the headers of some files are where the index says: reading all would cost what the index saves.
fn fits(nodes: &[Node], archive: &[u8]) -> bool {
    let files = nodes.iter().filter_map(|node| match &node.body {
        Body::File(range) => Some(range),
        _ => None,
    });
    let step = (nodes.len() / SAMPLES).max(1);
    files.step_by(step).all(|range| {
        let header = range.start.checked_sub(BLOCK);
        let header = header.and_then(|at| archive.get(at..range.start));
        header.is_some_and(|header| {
            let header = tar::Header::from_byte_slice(header);
            header.entry_size().ok() == Some(range.len() as u64)
        })
    })
}

fn nodes(index: &[u8], archive: usize) -> Option<Box<[Node]>> {
    let mut reader = Reader(index.strip_prefix(MAGIC)?);
    if reader.size()? != archive {
        return None;
    }
    let count = reader.size()?;
    if count == 0 || count > MAX_ARCHIVE_NODES.min(index.len()) {
        return None;
    }
    let nodes: Option<Box<[Node]>> = (0..count).map(|_| reader.node(archive, count)).collect();
    nodes.filter(|_| reader.0.is_empty())
}

/// What is left of an index. Everything is checked: wrong bytes give `None`.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn node(&mut self, archive: usize, count: usize) -> Option<Node> {
        let [kind, modified, names] = [self.number()?, self.number()?, self.number()?];
        let body = match kind {
            FILE => {
                let start = self.size()?;
                let end = start.checked_add(self.size()?)?;
                Body::File((end <= archive).then_some(start..end)?)
            }
            DIRECTORY => Body::Directory {
                parent: self.id(count)?,
                entries: self.entries(count)?,
            },
            SYMLINK => {
                let target = self.text()?;
                check_path(target).ok()?;
                Body::Symlink(target.into())
            }
            _ => return None,
        };
        Some(Node {
            body,
            modified,
            names,
        })
    }

    /// The entries of a directory: ascending, as they are searched by halves.
    fn entries(&mut self, count: usize) -> Option<Entries> {
        let size = self.size().filter(|&size| size < count)?;
        let mut entries = Vec::with_capacity(size);
        let mut last = "";
        for _ in 0..size {
            let name = self.text()?;
            check_name(name).ok()?;
            if name <= last {
                return None;
            }
            entries.push((Arc::from(name), self.id(count)?));
            last = name;
        }
        Some(entries.into())
    }

    fn id(&mut self, count: usize) -> Option<NodeId> {
        let id = self.number()?;
        (id < count as u64).then_some(NodeId(id))
    }

    fn text(&mut self) -> Option<&'a str> {
        let size = self.size()?;
        let (text, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
