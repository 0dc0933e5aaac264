//! The nodes that somebody has met: where they are, and the handles of those that are open.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cap_fs_ext::MetadataExt;
use cap_std::fs::{Dir, File, Metadata as HostMetadata};

use super::error::translated;
use super::listing::Listing;
use super::names::{Numbers, ROOT};
use super::volume::Volume;
use super::{MAX_HOST_HANDLES, MAX_HOST_LISTED, MAX_HOST_NODES};
use crate::{Error, FileIdentity, Kind, MAX_PATH, Metadata, NodeId, Result};

#[derive(Debug)]
pub(super) struct Table {
    nodes: HashMap<NodeId, Node>,
    numbers: Numbers,
    /// Counts calls, to know which nodes were met last.
    now: u64,
    handles: usize,
    open_nodes: usize,
    listed: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Device and inode. None for the root, which is whatever is there.
    identity: Option<(u64, u64)>,
    pub(super) kind: Kind,
    /// From the volume's directory, without links. None once it was removed.
    path: Option<Arc<Path>>,
    pub(super) handle: Option<Handle>,
    /// Shared with forks until one of them finds the directory changed.
    pub(super) listing: Option<Arc<Listing>>,
    opens: u64,
    met: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Handle {
    File { file: Arc<File>, writable: bool },
    Directory(Arc<Dir>),
}

impl Node {
    pub(super) fn path(&self) -> Result<&Path> {
        self.path.as_deref().ok_or(Error::NotFound)
    }

    /// What is there now is still this node.
    pub(super) fn check_identity(&self, metadata: &HostMetadata) -> Result<()> {
        if self
            .identity
            .is_some_and(|known| known != identity(metadata))
        {
            return Err(Error::NotFound);
        }
        Ok(())
    }

    /// Of an open file.
    pub(super) fn file_identity(&self) -> Option<FileIdentity> {
        let Some(Handle::File { file, .. }) = &self.handle else {
            return None;
        };
        let of_handle = || file.metadata().ok().map(|metadata| identity(&metadata));
        let (device, inode) = self.identity.or_else(of_handle)?;
        Some(FileIdentity::Host { device, inode })
    }

    pub(super) fn has_handle_for(&self, write: bool) -> bool {
        match &self.handle {
            Some(Handle::File { writable, .. }) => *writable || !write,
            Some(Handle::Directory(_)) => true,
            None => self.kind == Kind::Symlink,
        }
    }

    pub(super) fn append(&self, volume: &Volume) -> Result<File> {
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink | Kind::Device => return Err(Error::InvalidInput),
        }
        let file = volume.open_append(self.path()?)?;
        self.check_identity(&file.metadata().map_err(translated)?)?;
        Ok(file)
    }

    pub(super) fn metadata(&self, node: NodeId, volume: &Volume) -> Result<Metadata> {
        let found = match &self.handle {
            Some(Handle::File { file, .. }) => file.metadata().map_err(translated),
            Some(Handle::Directory(dir)) => dir.dir_metadata().map_err(translated),
            None => self.path().and_then(|path| volume.symlink_metadata(path)),
        };
        match found {
            Ok(found) => {
                self.check_identity(&found)?;
                Ok(self.shown(node, &found))
            }
            Err(Error::NotFound) if node == ROOT => Ok(self.gone(node)),
            Err(error) => Err(error),
        }
    }

    /// What a guest may know.
    fn shown(&self, node: NodeId, found: &HostMetadata) -> Metadata {
        let modified = found.modified().ok().and_then(|time| {
            let passed = time.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
            u64::try_from(passed.as_nanos()).ok()
        });
        let modified = modified.unwrap_or(0);
        let (size, links) = match self.kind {
            Kind::Directory => (0, 2),
            Kind::File | Kind::Symlink | Kind::Device => (found.len(), found.nlink().min(1)),
        };
        Metadata {
            size,
            links,
            accessed: modified,
            modified,
            changed: modified,
            ..self.gone(node)
        }
    }

    /// The single file of a volume that the host has removed.
    const fn gone(&self, node: NodeId) -> Metadata {
        Metadata {
            node,
            kind: self.kind,
            size: 0,
            links: 0,
            accessed: 0,
            modified: 0,
            changed: 0,
        }
    }
}

impl Table {
    pub(super) fn new(volume: &Volume) -> Self {
        let handle = match volume.kind() {
            Kind::Directory => Some(Handle::Directory(Arc::clone(&volume.dir))),
            _ => None,
        };
        let root = Node {
            identity: None,
            kind: volume.kind(),
            path: Some(volume.file.clone().unwrap_or_default().into()),
            handle,
            listing: None,
            opens: 0,
            met: 0,
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            numbers: Numbers::default(),
            now: 0,
            handles: 0,
            open_nodes: 0,
            listed: 0,
        }
    }

    /// The table of a fork, which takes over what is open. What is not is met again when it is asked for.
    pub(super) fn forked(&self) -> Self {
        let stays = |(id, node): &(&NodeId, &Node)| **id == ROOT || node.opens > 0;
        let nodes: HashMap<_, _> = self
            .nodes
            .iter()
            .filter(stays)
            .map(|(id, node)| (*id, node.clone()))
            .collect();
        Self {
            listed: nodes.values().map(Node::listed).sum(),
            nodes,
            numbers: self.numbers.clone(),
            ..*self
        }
    }

    pub(super) fn get(&self, node: NodeId) -> Result<&Node> {
        self.nodes.get(&node).ok_or(Error::NotFound)
    }

    /// Refuses one more handle than there may be.
    pub(super) const fn check_room(&self) -> Result<()> {
        if self.handles >= MAX_HOST_HANDLES {
            return Err(Error::TooManyOpen);
        }
        Ok(())
    }

    pub(super) fn number(&self, device: u64, inode: u64) -> NodeId {
        self.numbers.of(device, inode)
    }

    /// The node of what was found at `path`.
    pub(super) fn register(
        &mut self,
        metadata: &HostMetadata,
        kind: Kind,
        path: Arc<Path>,
    ) -> NodeId {
        let identity = identity(metadata);
        let id = self.numbers.of(identity.0, identity.1);
        self.now += 1;
        let now = self.now;
        if let Some(known) = self.nodes.get_mut(&id) {
            known.path = Some(path);
            known.met = now;
            known.kind = kind;
            return id;
        }
        self.make_room();
        let node = Node {
            identity: Some(identity),
            kind,
            path: Some(path),
            handle: None,
            listing: None,
            opens: 0,
            met: now,
        };
        self.nodes.insert(id, node);
        id
    }

    /// Forgets the older half of the nodes that are not open, once there are too many.
    fn make_room(&mut self) {
        if self.nodes.len() < MAX_HOST_NODES + self.open_nodes {
            return;
        }
        let closed = |(id, node): &(&NodeId, &Node)| **id != ROOT && node.opens == 0;
        let mut met: Vec<u64> = self
            .nodes
            .iter()
            .filter(closed)
            .map(|(_, node)| node.met)
            .collect();
        let middle = met.len() / 2;
        let (_, border, _) = met.select_nth_unstable(middle);
        let border = *border;
        self.nodes
            .retain(|id, node| *id == ROOT || node.opens > 0 || node.met > border);
        self.listed = self.nodes.values().map(Node::listed).sum();
    }

    pub(super) fn open(&mut self, node: NodeId, handle: Option<Handle>) {
        let Some(known) = self.nodes.get_mut(&node) else {
            return;
        };
        self.open_nodes += usize::from(known.opens == 0);
        known.opens += 1;
        if let Some(handle) = handle {
            self.handles += usize::from(known.handle.is_none());
            known.handle = Some(handle);
        }
    }

    pub(super) fn close(&mut self, node: NodeId) {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.opens > 0) else {
            return;
        };
        known.opens -= 1;
        if known.opens > 0 {
            return;
        }
        self.open_nodes -= 1;
        self.listed -= known.listed();
        known.listing = None;
        if node != ROOT || known.kind == Kind::File {
            self.handles -= usize::from(known.handle.take().is_some());
        }
        if known.path.is_none() {
            self.nodes.remove(&node);
        }
    }

    /// The name is gone. Nodes with a handle live on.
    pub(super) fn removed(&mut self, dir: NodeId, name: &str) {
        if let Ok(path) = self.path_of(dir, name) {
            self.forget(&path);
        }
    }

    pub(super) fn renamed(&mut self, from: (NodeId, &str), to: (NodeId, &str)) {
        let (Ok(old), Ok(new)) = (self.path_of(from.0, from.1), self.path_of(to.0, to.1)) else {
            return;
        };
        self.forget(&new);
        self.nodes.retain(|_, node| {
            let path = node.path.as_deref();
            let Some(below) = path.and_then(|path| path.strip_prefix(&old).ok()) else {
                return true;
            };
            node.path = moved(&new, below);
            node.path.is_some() || node.opens > 0
        });
    }

    fn forget(&mut self, path: &Path) {
        self.nodes.retain(|id, node| {
            if *id == ROOT || node.path.as_deref() != Some(path) {
                return true;
            }
            node.path = None;
            node.opens > 0
        });
    }

    /// Where `name` in `dir` is. A path that is longer than any that can be asked for is not kept.
    pub(super) fn path_of(&self, dir: NodeId, name: &str) -> Result<Arc<Path>> {
        let above = self.get(dir)?.path()?;
        if above.as_os_str().len() + name.len() >= MAX_PATH {
            return Err(Error::NameTooLong);
        }
        Ok(above.join(name).into())
    }

    /// What is known of the entries of `dir`, to be put back.
    pub(super) fn take_listing(&mut self, dir: NodeId) -> Result<Arc<Listing>> {
        let node = self.nodes.get_mut(&dir).ok_or(Error::NotFound)?;
        self.listed -= node.listed();
        Ok(node.listing.take().unwrap_or_default())
    }

    pub(super) fn put_listing(&mut self, dir: NodeId, listing: Arc<Listing>) -> Result<()> {
        if self.listed + listing.len() > MAX_HOST_LISTED {
            for node in self.nodes.values_mut().filter(|node| node.opens == 0) {
                self.listed -= node.listed();
                node.listing = None;
            }
        }
        if self.listed + listing.len() > MAX_HOST_LISTED {
            return Err(Error::TooManyEntries);
        }
        self.listed += listing.len();
        self.nodes.get_mut(&dir).ok_or(Error::NotFound)?.listing = Some(listing);
        Ok(())
    }
}

impl Node {
    fn listed(&self) -> usize {
        self.listing.as_ref().map_or(0, |listing| listing.len())
    }
}

/// Where `below` is once what it is below of is at `new`. None if no path leads there any more: it would be too long.
fn moved(new: &Arc<Path>, below: &Path) -> Option<Arc<Path>> {
    if below.as_os_str().is_empty() {
        // Joining nothing would add a slash.
        return Some(Arc::clone(new));
    }
    let size = new.as_os_str().len() + below.as_os_str().len();
    (size < MAX_PATH).then(|| new.join(below).into())
}

fn identity(metadata: &HostMetadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
