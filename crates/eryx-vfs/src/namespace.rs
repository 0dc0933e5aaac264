//! What a guest sees as `/`: a table of mounts.

mod change;
mod open;
mod walk;

pub use open::OpenHow;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::{ArchiveFs, Error, FileSystem, Kind, Metadata, NodeId, Result};

/// Most mounts of one namespace, the root included.
pub const MAX_MOUNTS: usize = 256;

/// A node of one of the mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Which mount, in the order they were made; 0 is the root.
    pub mount: u32,
    /// The node in that mount's file system.
    pub node: NodeId,
}

/// A table of mounts. Clones are cheap and independent: one allocation and one reference count per
/// mount.
///
/// A [`Location`] of an unknown mount (from a damaged snapshot, say) leads to an empty read-only
/// file system.
#[derive(Clone, Debug)]
pub struct Namespace {
    mounts: Vec<Mount>,
    /// By mount, the place in an earlier mount that it covers; none for the root.
    covered: Arc<Vec<Option<Location>>>,
}

#[derive(Clone, Debug)]
struct Mount {
    fs: Arc<dyn FileSystem>,
    root: NodeId,
}

static NOWHERE: LazyLock<Arc<dyn FileSystem>> = LazyLock::new(|| Arc::new(ArchiveFs::empty()));

impl Namespace {
    /// One file system at `/`. Its root must be a directory for any path to resolve.
    #[must_use]
    pub fn new(root: Arc<dyn FileSystem>) -> Self {
        Self {
            mounts: vec![Mount::new(root)],
            covered: Arc::new(vec![None]),
        }
    }

    /// Mounts `fs` over `path`, a directory that exists; or over a file, if the root of `fs` is one.
    /// It may cover an earlier mount.
    ///
    /// # Errors
    /// `path` does not resolve; `NotADirectory` if one of the two is a directory and the other is
    /// not; `InvalidInput` beyond [`MAX_MOUNTS`].
    pub fn mount(&mut self, path: &str, fs: Arc<dyn FileSystem>) -> Result<()> {
        let point = self.resolve(self.root(), path, true)?;
        let mount = Mount::new(fs);
        let kind = self.metadata(point)?.kind;
        if kind == Kind::Symlink || kind != mount.fs.metadata(mount.root)?.kind {
            return Err(Error::NotADirectory);
        }
        if self.mounts.len() >= MAX_MOUNTS {
            return Err(Error::InvalidInput);
        }
        self.mounts.push(mount);
        Arc::make_mut(&mut self.covered).push(Some(point));
        Ok(())
    }

    /// Puts another file system in the place of mount `mount`; nothing happens for an unknown one.
    /// Mounts on it stay only if it has their mount points under the same nodes, as a fork does.
    pub fn replace(&mut self, mount: u32, fs: Arc<dyn FileSystem>) {
        if let Some(old) = self.mounts.get_mut(mount as usize) {
            *old = Mount::new(fs);
        }
    }

    /// Puts the file systems that tell users apart in the place of themselves, as a fork has them. Returns their mounts.
    pub fn fork_users(&mut self) -> Vec<u32> {
        let mut forked = Vec::new();
        for (number, mount) in (0..).zip(&mut self.mounts) {
            if let Some(fs) = mount.fs.for_fork() {
                mount.fs = fs;
                forked.push(number);
            }
        }
        forked
    }

    /// The mount whose root is at `path`.
    #[must_use]
    pub fn mount_at(&self, path: &str) -> Option<u32> {
        let at = self.resolve(self.root(), path, true).ok()?;
        let mount = self.mounts.get(at.mount as usize)?;
        (mount.root == at.node).then_some(at.mount)
    }

    /// Where `/` leads.
    #[must_use]
    pub fn root(&self) -> Location {
        let node = self.mounts.first().map_or(NodeId(0), |mount| mount.root);
        self.uncover(Location { mount: 0, node })
    }

    /// The file system that `at` is in.
    #[must_use]
    pub fn fs(&self, at: Location) -> &Arc<dyn FileSystem> {
        let mount = self.mounts.get(at.mount as usize);
        mount.map_or_else(|| &*NOWHERE, |mount| &mount.fs)
    }

    /// What `stat` reports of `at`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn metadata(&self, at: Location) -> Result<Metadata> {
        self.fs(at).metadata(at.node)
    }

    /// `st_dev`: equal for all mounts of the same file system, 1 or more.
    #[must_use]
    pub fn device(&self, at: Location) -> u64 {
        let fs = self.fs(at);
        let mut mounts = (1..).zip(&self.mounts);
        let first = mounts.find(|(_, mount)| Arc::ptr_eq(&mount.fs, fs));
        first.map_or(u64::MAX, |(device, _)| device)
    }

    /// The node at `path`: relative to the directory `start`, or from the root of the namespace if
    /// it begins with `/`. Links on the way are followed; one at the end if `follow_last`, or if a
    /// slash comes after it. `..` at the root stays there.
    ///
    /// # Errors
    /// `NotFound` (also for the empty path), `NotADirectory`, `TooManyLinks`, `NameTooLong`, and
    /// `InvalidInput` for a NUL.
    pub fn resolve(&self, start: Location, path: &str, follow_last: bool) -> Result<Location> {
        match walk::walk(self, start, path, follow_last)? {
            walk::End::Found(at) => Ok(at),
            walk::End::Missing { .. } => Err(Error::NotFound),
        }
    }

    /// The directory that holds, or would hold, the last component of `path`, and that component
    /// without trailing slashes. It is not looked up, except that slashes after something that is
    /// no directory are refused. A path that ends in `.` or `..` gives that as the name and one of
    /// slashes only gives `.`; every [`FileSystem`] refuses both with `InvalidInput`.
    ///
    /// The methods that change the tree ([`Namespace::unlink`] and so on) are the complete ones:
    /// they also spare mount points and tell `mkdir("a/")` from `symlink("x", "a/")`.
    ///
    /// # Errors
    /// As [`Namespace::resolve`].
    pub fn resolve_parent<'p>(
        &self,
        start: Location,
        path: &'p str,
    ) -> Result<(Location, Cow<'p, str>)> {
        let place = walk::place(self, start, path)?;
        if place.slash && !place.is_special() {
            match self.entry(&place) {
                Ok((_, Kind::Directory)) | Err(Error::NotFound) => {}
                Ok(_) => return Err(Error::NotADirectory),
                Err(error) => return Err(error),
            }
        }
        Ok((place.dir, Cow::Borrowed(place.name)))
    }

    /// What is at a place, mounts not entered.
    fn entry(&self, place: &walk::Place<'_>) -> Result<(Location, Kind)> {
        let mount = place.dir.mount;
        let (node, kind) = self.fs(place.dir).find(place.dir.node, place.name)?;
        Ok((Location { mount, node }, kind))
    }

    /// The root of the topmost mount that covers `at`, or `at`.
    fn uncover(&self, mut at: Location) -> Location {
        // A mount can only be covered by later ones, so one pass finds them all.
        for (mount, covered) in (0..).zip(self.covered.iter()) {
            if *covered == Some(at)
                && let Some(above) = self.mounts.get(mount as usize)
            {
                at = Location {
                    mount,
                    node: above.root,
                };
            }
        }
        at
    }

    /// The place that a mount covers, if `at` is its root and it is not the first.
    fn below(&self, at: Location) -> Option<Location> {
        let index = at.mount as usize;
        let mount = self.mounts.get(index)?;
        let is_root = mount.root == at.node;
        (*self.covered.get(index)?).filter(|_| is_root)
    }
}

impl Mount {
    fn new(fs: Arc<dyn FileSystem>) -> Self {
        let root = fs.root();
        Self { fs, root }
    }
}
