//! Opening by path: everything that `open` may find, make and cut.

use super::walk::{self, End};
use super::{Location, Namespace, change::RACES};
use crate::{Device, Error, Kind, Result};

/// What [`Namespace::open`] is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of open")]
pub struct OpenHow {
    /// To write too.
    pub write: bool,
    /// A link at the end is followed, also a dangling one when a file is made.
    pub follow: bool,
    /// `O_CREAT`.
    pub create: bool,
    /// `O_EXCL`, which means something only with `create`.
    pub exclusive: bool,
    /// `O_TRUNC`.
    pub truncate: bool,
    /// `O_DIRECTORY`.
    pub directory: bool,
}

impl Namespace {
    /// `open`: the node at `path`, found or made, with one more handle that [`FileSystem::closed`](crate::FileSystem::closed)
    /// takes back. All that can be refused is refused before something is made or cut.
    ///
    /// # Errors
    /// `TooManyLinks` for a link that is not followed, `IsADirectory` and `NotADirectory` for the wrong kind, `InvalidInput`
    /// for a directory that is to be made, and those of [`FileSystem::open`](crate::FileSystem::open) and
    /// [`Namespace::create_file`]. Nothing was changed and no handle was counted.
    pub fn open(&self, start: Location, path: &str, how: OpenHow) -> Result<Location> {
        if how.create && how.directory {
            return Err(Error::InvalidInput);
        }
        if how.create && how.exclusive {
            return self.open_new(start, path);
        }
        let mut result = Err(Error::AlreadyExists);
        for _ in 0..RACES {
            result = self.open_once(start, path, how);
            if !matches!(result, Err(Error::AlreadyExists)) {
                break;
            }
        }
        result
    }

    fn open_new(&self, start: Location, path: &str) -> Result<Location> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Error::IsADirectory);
        }
        let node = self.fs(place.dir).create_open(place.dir.node, place.name)?;
        Ok(place.dir.with(node))
    }

    fn open_once(&self, start: Location, path: &str, how: OpenHow) -> Result<Location> {
        match walk::walk(self, start, path, how.follow)? {
            End::Found(at) => self.open_node(at, how).map(|()| at),
            End::Missing { .. } if !how.create => Err(Error::NotFound),
            End::Missing { slash: true, .. } => Err(Error::IsADirectory),
            End::Missing { dir, name, .. } => {
                let node = self.fs(dir).create_open(dir.node, &name)?;
                Ok(dir.with(node))
            }
        }
    }

    fn names_descriptor(&self, at: Location) -> bool {
        matches!(self.fs(at).device(at.node), Some(Device::Descriptor(_)))
    }

    /// Opens what is at `at`, as [`Namespace::open`] does with what it finds.
    ///
    /// # Errors
    /// Those of [`Namespace::open`].
    pub fn open_node(&self, at: Location, how: OpenHow) -> Result<()> {
        let kind = self.metadata(at)?.kind;
        match kind {
            Kind::Symlink => return Err(Error::TooManyLinks),
            Kind::Directory if how.write || how.create || how.truncate => {
                return Err(Error::IsADirectory);
            }
            // A name of a descriptor, which may be that of a directory: only the caller knows.
            Kind::Device if self.names_descriptor(at) => {}
            Kind::File | Kind::Device if how.directory => return Err(Error::NotADirectory),
            Kind::File | Kind::Device | Kind::Directory => {}
        }
        let fs = self.fs(at);
        if (how.write || how.truncate) && fs.is_read_only() {
            return Err(Error::ReadOnly);
        }
        fs.open(at.node, how.write)?;
        // Last: a file is not cut unless it is opened.
        if how.truncate
            && kind != Kind::Device
            && let Err(error) = fs.set_len(at.node, 0)
        {
            fs.closed(at.node);
            return Err(error);
        }
        Ok(())
    }
}
