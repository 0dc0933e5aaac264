//! The tree while its archive is being read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::error::{ArchiveError, shown};
use super::{Body, Node, ROOT};
use crate::NodeId;

type Result<T> = std::result::Result<T, ArchiveError>;

/// Most files, directories and links of one archive, the directories that only paths name included.
pub const MAX_ARCHIVE_NODES: usize = 1 << 18;

/// Nodes by index. Directories keep their entries apart until [`Tree::finish`].
pub(super) struct Tree {
    nodes: Vec<Draft>,
}

struct Draft {
    node: Node,
    /// Empty unless the node is a directory.
    entries: BTreeMap<Arc<str>, usize>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Draft::directory(ROOT, 0);
        Self { nodes: vec![root] }
    }

    pub(super) fn add_directory(&mut self, path: &[&str], modified: u64) -> Result<()> {
        let directory = self.directory(path)?;
        self.nodes[directory].node.modified = modified;
        Ok(())
    }

    /// Adds a file or a link, in place of an earlier one.
    pub(super) fn add_leaf(&mut self, path: &[&str], body: Body, modified: u64) -> Result<()> {
        let draft = Draft {
            node: Node {
                body,
                modified,
                names: 0,
            },
            entries: BTreeMap::new(),
        };
        self.check_name_free(path)?;
        let leaf = self.push(draft)?;
        self.name(path, leaf)
    }

    pub(super) fn add_hard_link(&mut self, path: &[&str], target: &[&str]) -> Result<()> {
        let missing = || ArchiveError::MissingTarget(join(target));
        let found = self.find(target).ok_or_else(missing)?;
        if self.nodes[found].is_directory() {
            return Err(ArchiveError::Conflict(join(path)));
        }
        self.check_name_free(path)?;
        self.name(path, found)
    }

    /// Sorted, and without what only building needs.
    pub(super) fn finish(self) -> Box<[Node]> {
        let nodes = self.nodes.into_iter();
        nodes.map(Draft::finish).collect()
    }

    fn push(&mut self, draft: Draft) -> Result<usize> {
        if self.nodes.len() >= MAX_ARCHIVE_NODES {
            return Err(ArchiveError::TooManyEntries);
        }
        self.nodes.push(draft);
        Ok(self.nodes.len() - 1)
    }

    fn find(&self, path: &[&str]) -> Option<usize> {
        let entry = |at: Option<usize>, name: &&str| self.nodes[at?].entries.get(*name).copied();
        path.iter().fold(Some(0), entry)
    }

    /// The directory at `path`, made with all above it where missing.
    fn directory(&mut self, path: &[&str]) -> Result<usize> {
        let mut at = 0;
        for name in path {
            at = match self.nodes[at].entries.get(*name) {
                Some(&next) if self.nodes[next].is_directory() => next,
                Some(_) => return Err(ArchiveError::Conflict(join(path))),
                None => self.make_directory(at, name)?,
            };
        }
        Ok(at)
    }

    fn make_directory(&mut self, parent: usize, name: &str) -> Result<usize> {
        let made = self.push(Draft::directory(node_id(parent), 0))?;
        let above = &mut self.nodes[parent];
        above.entries.insert(Arc::from(name), made);
        above.node.names += 1;
        Ok(made)
    }

    fn check_name_free(&self, path: &[&str]) -> Result<()> {
        match self.find(path) {
            Some(there) if self.nodes[there].is_directory() => {
                Err(ArchiveError::Conflict(join(path)))
            }
            _ => Ok(()),
        }
    }

    /// Lets `path` name a file or a link.
    fn name(&mut self, path: &[&str], node: usize) -> Result<()> {
        let Some((name, above)) = path.split_last() else {
            return Err(ArchiveError::Conflict(String::new()));
        };
        let directory = self.directory(above)?;
        let replaced = match self.nodes[directory].entries.entry(Arc::from(*name)) {
            Entry::Vacant(entry) => {
                entry.insert(node);
                None
            }
            Entry::Occupied(mut entry) => Some(entry.insert(node)),
        };
        if let Some(replaced) = replaced {
            self.nodes[replaced].node.names -= 1;
        }
        self.nodes[node].node.names += 1;
        Ok(())
    }
}

impl Draft {
    fn directory(parent: NodeId, modified: u64) -> Self {
        let body = Body::Directory {
            parent,
            entries: Box::new([]),
        };
        let node = Node {
            body,
            modified,
            names: 2,
        };
        Self {
            node,
            entries: BTreeMap::new(),
        }
    }

    const fn is_directory(&self) -> bool {
        matches!(self.node.body, Body::Directory { .. })
    }

    fn finish(self) -> Node {
        let mut node = self.node;
        if let Body::Directory { entries, .. } = &mut node.body {
            let sorted = self.entries.into_iter();
            *entries = sorted.map(|(name, node)| (name, node_id(node))).collect();
        }
        node
    }
}

const fn node_id(index: usize) -> NodeId {
    NodeId(index as u64)
}

fn join(path: &[&str]) -> String {
    shown(path.join("/").as_bytes())
}
