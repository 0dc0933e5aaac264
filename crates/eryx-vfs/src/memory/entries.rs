//! Making and removing names.

use std::sync::Arc;

use super::content::Content;
use super::directory::Directory;
use super::node::{Body, Node};
use super::quota::{NODE_OVERHEAD, entry_cost};
use super::state::State;
use crate::name::{check_name, check_path};
use crate::{Error, Kind, NodeId, Result};

impl State {
    pub(super) fn create_file(&mut self, dir: NodeId, name: &str, now: u64) -> Result<NodeId> {
        self.create(dir, name, Body::File(Content::new()), now)
    }

    pub(super) fn create_dir(&mut self, dir: NodeId, name: &str, now: u64) -> Result<NodeId> {
        self.create(dir, name, Body::Directory(Directory::new(dir)), now)
    }

    pub(super) fn create_symlink(
        &mut self,
        dir: NodeId,
        name: &str,
        target: &str,
        now: u64,
    ) -> Result<NodeId> {
        check_path(target)?;
        // Refused before the target is copied: a full file system does no work per call.
        self.check_room(NODE_OVERHEAD + target.len() as u64)?;
        self.create(dir, name, Body::Symlink(Arc::from(target)), now)
    }

    const fn check_room(&self, bytes: u64) -> Result<()> {
        if bytes > self.quota.available() {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    fn create(&mut self, dir: NodeId, name: &str, body: Body, now: u64) -> Result<NodeId> {
        self.check_free(dir, name)?;
        let node = Node::new(body, now);
        let kind = node.kind();
        self.quota.take(node.cost() + entry_cost(name))?;
        let node = self.add(node);
        self.add_entry(dir, name, node, kind, now)?;
        Ok(node)
    }

    /// `dir` is a directory that is still in the tree, and `name` can be added to it.
    fn check_free(&self, dir: NodeId, name: &str) -> Result<()> {
        check_name(name)?;
        if self.entry(dir, name)?.is_some() {
            return Err(Error::AlreadyExists);
        }
        self.check_in_tree(dir)
    }

    pub(super) fn check_in_tree(&self, node: NodeId) -> Result<()> {
        if self.node(node)?.names == 0 {
            return Err(Error::NotFound);
        }
        Ok(())
    }

    pub(super) fn add_entry(
        &mut self,
        dir: NodeId,
        name: &str,
        node: NodeId,
        kind: Kind,
        now: u64,
    ) -> Result<()> {
        let key = self.key(name);
        let parent = self.node_mut(dir)?;
        parent.directory_mut()?.insert(key, node, kind);
        parent.touch(now);
        Ok(())
    }

    pub(super) fn hard_link(
        &mut self,
        node: NodeId,
        dir: NodeId,
        name: &str,
        now: u64,
    ) -> Result<()> {
        let kind = self.node(node)?.kind();
        if kind == Kind::Directory {
            return Err(Error::NotPermitted);
        }
        self.check_in_tree(node)?;
        self.check_free(dir, name)?;
        self.quota.take(entry_cost(name))?;
        self.add_entry(dir, name, node, kind, now)?;
        let linked = self.node_mut(node)?;
        linked.names += 1;
        linked.changed = now;
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: NodeId, name: &str, now: u64) -> Result<()> {
        check_name(name)?;
        match self.existing(dir, name)? {
            (_, Kind::Directory) => Err(Error::IsADirectory),
            _ => self.remove_entry(dir, name, now),
        }
    }

    pub(super) fn remove_dir(&mut self, dir: NodeId, name: &str, now: u64) -> Result<()> {
        check_name(name)?;
        let (node, _) = self.existing(dir, name)?;
        self.check_empty(node)?;
        self.remove_entry(dir, name, now)
    }

    pub(super) fn check_empty(&self, node: NodeId) -> Result<()> {
        if self.node(node)?.directory()?.len() > 0 {
            return Err(Error::NotEmpty);
        }
        Ok(())
    }

    fn remove_entry(&mut self, dir: NodeId, name: &str, now: u64) -> Result<()> {
        let key = self.key(name);
        let parent = self.node_mut(dir)?;
        let entry = parent.directory_mut()?.remove(key);
        parent.touch(now);
        self.quota.give_back(entry_cost(name));
        self.drop_name(entry.ok_or(Error::NotFound)?.node, now);
        Ok(())
    }
}
