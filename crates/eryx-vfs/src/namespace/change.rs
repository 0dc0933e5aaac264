//! Changing the tree by path: what `open(O_CREAT)`, `mkdir`, `unlink`, `rename` and so on ask for.

use super::walk::{self, End, Place};
use super::{Location, Namespace};
use crate::{Error, Kind, Result};

/// Times that another user of the same file system may come in between before a create gives up.
pub(super) const RACES: u32 = 16;

impl Namespace {
    /// `open` with `O_CREAT | O_EXCL`: makes a file where nothing is, not even a dangling link.
    ///
    /// # Errors
    /// `AlreadyExists`, `IsADirectory` for a path that ends in `/`, `NoSpace`, `ReadOnly`, or the
    /// path does not resolve.
    pub fn create_file(&self, start: Location, path: &str) -> Result<Location> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Error::IsADirectory);
        }
        let node = self.fs(place.dir).create_file(place.dir.node, place.name)?;
        Ok(place.dir.with(node))
    }

    /// `open` with `O_CREAT`: the node at `path`, and whether it was made. Links are followed; a
    /// dangling one gets the file it points to.
    ///
    /// # Errors
    /// `IsADirectory` for a missing path that ends in `/`, `NoSpace`, `ReadOnly`, or the path does
    /// not resolve.
    pub fn open_or_create(&self, start: Location, path: &str) -> Result<(Location, bool)> {
        let mut result = Err(Error::AlreadyExists);
        for _ in 0..RACES {
            result = self.open_or_create_once(start, path);
            if !matches!(result, Err(Error::AlreadyExists)) {
                break;
            }
        }
        result
    }

    fn open_or_create_once(&self, start: Location, path: &str) -> Result<(Location, bool)> {
        match walk::walk(self, start, path, true)? {
            End::Found(at) => Ok((at, false)),
            End::Missing { slash: true, .. } => Err(Error::IsADirectory),
            End::Missing { dir, name, .. } => {
                let node = self.fs(dir).create_file(dir.node, &name)?;
                Ok((dir.with(node), true))
            }
        }
    }

    /// `mkdir`. The path may end in `/`.
    ///
    /// # Errors
    /// `AlreadyExists`, `NoSpace`, `ReadOnly`, or the path does not resolve.
    pub fn create_dir(&self, start: Location, path: &str) -> Result<Location> {
        let place = self.free_place(start, path)?;
        let node = self.fs(place.dir).create_dir(place.dir.node, place.name)?;
        Ok(place.dir.with(node))
    }

    /// `symlink`: makes `path` a link to `target`, which is not looked at.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for a path that ends in `/`, `NoSpace`, `ReadOnly`, the target is
    /// refused, or the path does not resolve.
    pub fn create_symlink(&self, target: &str, start: Location, path: &str) -> Result<Location> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Error::NotFound);
        }
        let fs = self.fs(place.dir);
        let node = fs.create_symlink(place.dir.node, place.name, target)?;
        Ok(place.dir.with(node))
    }

    /// `link`: gives the file or link `at` the further name `path`.
    ///
    /// # Errors
    /// `CrossDevice` on another mount, `NotPermitted` for a directory, `AlreadyExists`, `NotFound`
    /// for a path that ends in `/`, `NoSpace`, `ReadOnly`, or the path does not resolve.
    pub fn hard_link(&self, at: Location, start: Location, path: &str) -> Result<()> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Error::NotFound);
        }
        if at.mount != place.dir.mount {
            return Err(Error::CrossDevice);
        }
        let fs = self.fs(place.dir);
        fs.hard_link(at.node, place.dir.node, place.name)
    }

    /// `unlink`: removes the name of a file or link.
    ///
    /// # Errors
    /// `IsADirectory`, `NotADirectory` for slashes after a file, `NotPermitted` for a mount point,
    /// `ReadOnly`, or the path does not resolve.
    pub fn unlink(&self, start: Location, path: &str) -> Result<()> {
        let place = walk::place(self, start, path)?;
        if place.is_special() {
            return Err(Error::IsADirectory);
        }
        self.movable(&place)?;
        self.fs(place.dir).unlink(place.dir.node, place.name)
    }

    /// `rmdir`: removes an empty directory.
    ///
    /// # Errors
    /// `NotADirectory`, `NotEmpty` (also for `..`), `InvalidInput` for `.`, `NotPermitted` for a
    /// mount point or `/`, `ReadOnly`, or the path does not resolve.
    pub fn remove_dir(&self, start: Location, path: &str) -> Result<()> {
        let place = walk::place(self, start, path)?;
        match place.name {
            "." if path.starts_with('/') && place.dir == self.root() => {
                return Err(Error::NotPermitted);
            }
            "." => return Err(Error::InvalidInput),
            ".." => return Err(Error::NotEmpty),
            _ => {}
        }
        self.movable(&place)?;
        self.fs(place.dir).remove_dir(place.dir.node, place.name)
    }

    /// `rename`, as [`crate::FileSystem::rename`].
    ///
    /// # Errors
    /// Those of [`crate::FileSystem::rename`]; `CrossDevice` between mounts, `NotPermitted` for a mount
    /// point, `Busy` for `.`, `..` and `/`, `NotADirectory` if a slash follows the old or
    /// the new name of a file, or a path does not resolve.
    pub fn rename(
        &self,
        from_start: Location,
        from: &str,
        to_start: Location,
        to: &str,
    ) -> Result<()> {
        let from = walk::place(self, from_start, from)?;
        let to = walk::place(self, to_start, to)?;
        if from.is_special() || to.is_special() {
            return Err(Error::Busy);
        }
        if from.dir.mount != to.dir.mount {
            return Err(Error::CrossDevice);
        }
        let kind = self.movable(&from)?;
        if to.slash && kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        match self.movable(&to) {
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        let fs = self.fs(from.dir);
        fs.rename(from.dir.node, from.name, to.dir.node, to.name)
    }

    /// A place with nothing at it yet.
    pub(super) fn free_place<'p>(&self, start: Location, path: &'p str) -> Result<Place<'p>> {
        let place = walk::place(self, start, path)?;
        if place.is_special() || self.entry(&place).is_ok() {
            return Err(Error::AlreadyExists);
        }
        Ok(place)
    }

    /// What is at a place, if it is no mount point and no file with a slash behind its name.
    fn movable(&self, place: &Place<'_>) -> Result<Kind> {
        let (at, kind) = self.entry(place)?;
        if place.slash && kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if self.uncover(at) != at {
            return Err(Error::NotPermitted);
        }
        Ok(kind)
    }
}

impl Location {
    /// Another node of the same mount.
    pub(super) const fn with(self, node: crate::NodeId) -> Self {
        Self { node, ..self }
    }
}
