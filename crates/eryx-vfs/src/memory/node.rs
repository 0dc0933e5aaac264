//! One file, directory or link.

use std::sync::Arc;

use super::content::Content;
use super::directory::Directory;
use super::quota::NODE_OVERHEAD;
use crate::{Error, Kind, Metadata, NodeId, Result};

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Content),
    Directory(Directory),
    Symlink(Arc<str>),
}

/// A node of the tree. `names` counts directory entries that point to it (1 for the root).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) names: u64,
    pub(super) accessed: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
}

impl Node {
    pub(super) const fn new(body: Body, now: u64) -> Self {
        Self {
            body,
            names: 1,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Directory(_) => Kind::Directory,
            Body::Symlink(_) => Kind::Symlink,
        }
    }

    /// Marks a change of the contents.
    pub(super) const fn touch(&mut self, now: u64) {
        self.modified = now;
        self.changed = now;
    }

    /// What the quota holds for this node, names apart.
    pub(super) fn cost(&self) -> u64 {
        NODE_OVERHEAD
            + match &self.body {
                Body::File(content) => content.charged(),
                Body::Directory(_) => 0,
                Body::Symlink(target) => target.len() as u64,
            }
    }

    pub(super) fn metadata(&self, node: NodeId) -> Metadata {
        let (size, links) = match &self.body {
            Body::File(content) => (content.len(), self.names),
            Body::Directory(directory) => {
                let links = if self.names == 0 {
                    0
                } else {
                    2 + directory.subdirs
                };
                (directory.len(), links)
            }
            Body::Symlink(target) => (target.len() as u64, self.names),
        };
        Metadata {
            node,
            kind: self.kind(),
            size,
            links,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
        }
    }

    pub(super) const fn content(&self) -> Result<&Content> {
        match &self.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(Error::IsADirectory),
            Body::Symlink(_) => Err(Error::InvalidInput),
        }
    }

    pub(super) const fn content_mut(&mut self) -> Result<&mut Content> {
        match &mut self.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(Error::IsADirectory),
            Body::Symlink(_) => Err(Error::InvalidInput),
        }
    }

    pub(super) const fn directory(&self) -> Result<&Directory> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            Body::File(_) | Body::Symlink(_) => Err(Error::NotADirectory),
        }
    }

    pub(super) const fn directory_mut(&mut self) -> Result<&mut Directory> {
        match &mut self.body {
            Body::Directory(directory) => Ok(directory),
            Body::File(_) | Body::Symlink(_) => Err(Error::NotADirectory),
        }
    }
}
