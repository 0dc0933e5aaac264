//! Everything behind the lock of a [`super::MemoryFs`]: the node table, the handles, the quota.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::directory::{Directory, Key};
use super::node::{Body, Node};
use super::quota::Quota;
use crate::cow_map::CowMap;
use crate::{Error, Kind, NodeId, Result};

pub(super) const ROOT: NodeId = NodeId(1);

/// The tree. A clone shares every node, chunk and name until one side changes it.
#[derive(Clone, Debug)]
pub(super) struct State {
    nodes: CowMap<Arc<Node>>,
    /// Open handles by node; absent means none.
    handles: CowMap<u64>,
    last_node: u64,
    hasher: RandomState,
    pub(super) quota: Quota,
}

impl State {
    pub(super) fn new(max_bytes: u64, now: u64) -> Self {
        let mut nodes = CowMap::new();
        let root = Node::new(Body::Directory(Directory::new(ROOT)), now);
        nodes.insert(ROOT.0, Arc::new(root));
        Self {
            nodes,
            handles: CowMap::new(),
            last_node: ROOT.0,
            hasher: RandomState::new(),
            quota: Quota {
                used: 0,
                max: max_bytes,
            },
        }
    }

    pub(super) fn key<'a>(&self, name: &'a str) -> Key<'a> {
        let hash = self.hasher.hash_one(name);
        Key { hash, name }
    }

    pub(super) fn node(&self, node: NodeId) -> Result<&Node> {
        let found = self.nodes.get(node.0).ok_or(Error::NotFound)?;
        Ok(found)
    }

    pub(super) fn node_mut(&mut self, node: NodeId) -> Result<&mut Node> {
        let found = self.nodes.get_mut(node.0).ok_or(Error::NotFound)?;
        Ok(Arc::make_mut(found))
    }

    /// The node and the quota it is charged to, to change both.
    pub(super) fn node_and_quota(&mut self, node: NodeId) -> Result<(&mut Node, &mut Quota)> {
        let found = self.nodes.get_mut(node.0).ok_or(Error::NotFound)?;
        Ok((Arc::make_mut(found), &mut self.quota))
    }

    /// The entry `name` of `dir`, if there is one.
    pub(super) fn entry(&self, dir: NodeId, name: &str) -> Result<Option<(NodeId, Kind)>> {
        let directory = self.node(dir)?.directory()?;
        let entry = directory.get(self.key(name));
        Ok(entry.map(|entry| (entry.node, entry.kind)))
    }

    /// As [`State::entry`], where the entry must be there.
    pub(super) fn existing(&self, dir: NodeId, name: &str) -> Result<(NodeId, Kind)> {
        self.entry(dir, name)?.ok_or(Error::NotFound)
    }

    /// Adds a node that the quota has already been charged for.
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.last_node += 1;
        self.nodes.insert(self.last_node, Arc::new(node));
        NodeId(self.last_node)
    }

    /// The node with the smallest number from `from` on.
    pub(super) fn first_node_from(&self, from: u64) -> Option<(NodeId, &Node)> {
        let (node, found) = self.nodes.first_from(from)?;
        Some((NodeId(node), found))
    }

    pub(super) const fn last_node(&self) -> u64 {
        self.last_node
    }

    /// Puts in a node that was saved under this number. Those of new nodes are above all that were put in.
    pub(super) fn put(&mut self, id: NodeId, node: Node) {
        self.last_node = self.last_node.max(id.0);
        self.nodes.insert(id.0, Arc::new(node));
    }

    /// Numbers of new nodes are above `last`.
    pub(super) const fn reserve_nodes(&mut self, last: u64) {
        if self.last_node < last {
            self.last_node = last;
        }
    }

    /// Frees nodes without a name that nobody has open. Linear in the nodes.
    pub(super) fn free_unused(&mut self) {
        let mut from = ROOT.0;
        while let Some((node, _)) = self.first_node_from(from) {
            self.free_if_unused(node);
            from = node.0 + 1;
        }
    }

    /// Takes one name away from a node, and frees it if that was its last name and nobody has it open.
    pub(super) fn drop_name(&mut self, node: NodeId, now: u64) {
        if let Ok(found) = self.node_mut(node) {
            found.names = found.names.saturating_sub(1);
            found.changed = now;
        }
        self.free_if_unused(node);
    }

    pub(super) fn open(&mut self, node: NodeId) -> Result<()> {
        self.node(node)?;
        let count = self.handles.get(node.0).copied().unwrap_or(0);
        self.handles.insert(node.0, count.saturating_add(1));
        Ok(())
    }

    pub(super) fn close(&mut self, node: NodeId) {
        match self.handles.get(node.0) {
            None => {}
            Some(1) => {
                self.handles.remove(node.0);
                self.free_if_unused(node);
            }
            Some(&count) => {
                self.handles.insert(node.0, count - 1);
            }
        }
    }

    pub(super) fn close_all(&mut self) {
        while let Some(node) = self.handles.last_key() {
            self.handles.remove(node);
            self.free_if_unused(NodeId(node));
        }
    }

    fn free_if_unused(&mut self, node: NodeId) {
        let unused = self.node(node).is_ok_and(|found| found.names == 0);
        if !unused || self.handles.get(node.0).is_some() {
            return;
        }
        if let Some(freed) = self.nodes.remove(node.0) {
            self.quota.give_back(freed.cost());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CowMap, Directory, Node};
    use crate::memory::chunk::Chunk;
    use crate::{CHUNK_OVERHEAD, ENTRY_OVERHEAD, NODE_OVERHEAD};
    use std::sync::Arc;

    const MALLOC: usize = 8 + 15;

    #[test]
    fn the_overheads_cover_the_structures() {
        let shared = 16;
        let target = shared + MALLOC;
        let node = shared + size_of::<Node>() + MALLOC + target;
        let maps = CowMap::<Arc<Node>>::BYTES_PER_KEY + CowMap::<u64>::BYTES_PER_KEY;
        assert!((node + maps) as u64 <= NODE_OVERHEAD, "{node} + {maps}");

        let entry = Directory::BYTES_PER_ENTRY;
        assert!(entry as u64 <= ENTRY_OVERHEAD, "{entry}");

        let chunk = shared + size_of::<Vec<u8>>() + MALLOC + MALLOC;
        let chunk = chunk + CowMap::<Chunk>::BYTES_PER_KEY;
        assert!(chunk as u64 <= CHUNK_OVERHEAD, "{chunk}");
    }
}
