//! A directory or a single file of the host.

mod error;
mod links;
mod listing;
mod moves;
mod names;
mod table;
mod volume;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::{Dir, FileExt};

use crate::name::check_name;
use crate::{DirEntry, Error, FileIdentity, FileSystem, Kind, MAX_FILE, Metadata, NodeId, Result};
use error::translated;
use listing::Listing;
use names::ROOT;
use table::{Handle, Table};
use volume::{Access, Volume};

/// Host files that one [`HostFs`] holds open. Opening more is `TooManyOpen`.
pub const MAX_HOST_HANDLES: usize = 256;
/// Nodes that one [`HostFs`] remembers besides open ones. Older ones are forgotten; their numbers come back.
pub const MAX_HOST_NODES: usize = 4096;
/// Entries of a host directory that can be listed. More are `TooManyEntries`.
pub const MAX_HOST_ENTRIES: usize = 1 << 16;
/// Names in all listings that one [`HostFs`] keeps: of directories that are open, and of others until there are too many.
/// More are `TooManyEntries`.
pub const MAX_HOST_LISTED: usize = 1 << 17;
/// Entries of a directory, with all below it, that are looked at when it is moved to another directory. More are
/// `TooManyEntries`.
pub const MAX_HOST_MOVED: usize = 1 << 14;

/// Files of the host: a directory with all below it, or a single file.
///
/// Nothing outside can be reached: paths are resolved by cap-std below the directory, links that lead out of it are
/// refused, and so is making such a link. Files, directories and links are all there is: other things are left out of
/// listings and refused with `NotPermitted`, and so are names that are not UTF-8, which are `NotFound`. Metadata is kind,
/// size and time of modification; numbers of nodes are not those of the host.
///
/// What others change on the host is seen at once. A node is one file: if another one takes its place, the node is gone
/// (`NotFound`), unless it is open. Calls wait for the host's disk.
#[derive(Debug)]
pub struct HostFs {
    volume: Arc<Volume>,
    table: Mutex<Table>,
}

impl HostFs {
    /// Levels of directories below one that is moved to another directory. Deeper ones are `TooManyEntries`.
    pub const MAX_MOVED_LEVELS: usize = 128;

    /// The directory or file at `path`, a link followed. With `read_only`, every change is refused with `ReadOnly`.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, or `NotPermitted` for something that is neither a file nor a directory.
    pub fn open(path: &Path, read_only: bool) -> Result<Self> {
        Volume::open(path, read_only).map(|volume| Self::of(Arc::new(volume)))
    }

    fn of(volume: Arc<Volume>) -> Self {
        let table = Mutex::new(Table::new(&volume));
        Self { volume, table }
    }

    /// The same files for somebody else: nothing that one user opens or remembers counts for the other.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::of(Arc::clone(&self.volume))
    }

    /// Whether it is a directory or a single file.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.volume.kind()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_writable(&self) -> Result<()> {
        if self.volume.read_only {
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    /// The directory `node`, opened if it is not.
    fn directory(&self, node: NodeId) -> Result<Arc<Dir>> {
        let table = self.table();
        let known = table.get(node)?;
        if known.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if let Some(Handle::Directory(directory)) = &known.handle {
            return Ok(Arc::clone(directory));
        }
        let directory = self.volume.open_directory(known.path()?)?;
        known.check_identity(&directory.dir_metadata().map_err(translated)?)?;
        Ok(Arc::new(directory))
    }

    /// A handle of the file `node`, opened if it is not, or not for that.
    fn file(&self, node: NodeId, access: Access) -> Result<Arc<cap_std::fs::File>> {
        let table = self.table();
        let known = table.get(node)?;
        match known.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink | Kind::Device => return Err(Error::InvalidInput),
        }
        match &known.handle {
            Some(Handle::File { file, writable }) if access.is_met_by(*writable) => {
                Ok(Arc::clone(file))
            }
            _ => {
                let file = self.volume.open_file(known.path()?, access)?;
                known.check_identity(&file.metadata().map_err(translated)?)?;
                Ok(Arc::new(file))
            }
        }
    }

    /// Registers what is called `name` in `dir`.
    fn enter(&self, dir: NodeId, directory: &Dir, name: &str) -> Result<(NodeId, Kind)> {
        let path = self.table().path_of(dir, name)?;
        let metadata = directory.symlink_metadata(name).map_err(translated)?;
        let kind = volume::kind_of(metadata.file_type()).ok_or(Error::NotPermitted)?;
        Ok((self.table().register(&metadata, kind, path), kind))
    }

    /// How many directories of the volume `dir` is below, if it is still where it was met.
    fn depth(&self, dir: NodeId) -> Result<usize> {
        let table = self.table();
        let known = table.get(dir)?;
        let path = known.path()?;
        if dir != ROOT {
            let found = moves::without_links(&self.volume.dir, path)?;
            known.check_identity(&found)?;
        }
        Ok(path.components().count())
    }

    /// Makes `name` in `dir`, and registers it. What cannot be registered is taken away again by `undo`.
    fn make(
        &self,
        dir: NodeId,
        name: &str,
        make: impl FnOnce(&Dir) -> std::io::Result<()>,
        undo: impl FnOnce(&Dir) -> std::io::Result<()>,
    ) -> Result<NodeId> {
        let directory = self.directory(dir)?;
        // Refused before something is made.
        self.table().path_of(dir, name)?;
        make(&directory).map_err(translated)?;
        self.enter(dir, &directory, name)
            .map(|(node, _)| node)
            .inspect_err(|_| {
                // It may be gone already: then that was why.
                let _ = undo(&directory);
            })
    }

    /// Makes a file. Returns it registered, with its handle.
    fn make_file(&self, dir: NodeId, name: &str) -> Result<(NodeId, cap_std::fs::File)> {
        self.check_writable()?;
        let directory = self.directory(dir)?;
        check_name(name)?;
        let path = self.table().path_of(dir, name)?;
        let file = volume::create(&directory, name)?;
        let metadata = file.metadata().map_err(translated)?;
        let node = self.table().register(&metadata, Kind::File, path);
        Ok((node, file))
    }

    /// A handle that `node` gets while it is open.
    fn handle(&self, node: NodeId, kind: Kind, write: bool) -> Result<Option<Handle>> {
        match kind {
            Kind::Symlink | Kind::Device => Ok(None),
            Kind::Directory => self.directory(node).map(Handle::Directory).map(Some),
            Kind::File => {
                let writable = match self.file(node, Access::of(!self.volume.read_only)) {
                    Err(Error::Denied | Error::ReadOnly) if !write => None,
                    opened => Some(opened?),
                };
                Ok(Some(match writable {
                    Some(file) => Handle::File {
                        file,
                        writable: !self.volume.read_only,
                    },
                    None => Handle::File {
                        file: self.file(node, Access::Read)?,
                        writable: false,
                    },
                }))
            }
        }
    }
}

impl FileSystem for HostFs {
    fn root(&self) -> NodeId {
        ROOT
    }

    fn is_read_only(&self) -> bool {
        self.volume.read_only
    }

    fn contains_links(&self) -> bool {
        true
    }

    fn for_fork(&self) -> Option<Arc<dyn FileSystem>> {
        let table = Mutex::new(self.table().forked());
        let volume = Arc::clone(&self.volume);
        Some(Arc::new(Self { volume, table }))
    }

    fn identity(&self, node: NodeId) -> Option<FileIdentity> {
        self.table().get(node).ok()?.file_identity()
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        let table = self.table();
        table.get(node)?.metadata(node, &self.volume)
    }

    fn lookup(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.find(dir, name).map(|(node, _)| node)
    }

    fn find(&self, dir: NodeId, name: &str) -> Result<(NodeId, Kind)> {
        let directory = self.directory(dir)?;
        check_name(name)?;
        self.enter(dir, &directory, name)
    }

    fn parent(&self, dir: NodeId) -> Result<NodeId> {
        let mut table = self.table();
        let known = table.get(dir)?;
        if known.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let Some(above) = known.path()?.parent().filter(|path| *path != Path::new("")) else {
            return Ok(ROOT);
        };
        let above: Arc<Path> = above.into();
        let metadata = self.volume.symlink_metadata(&above)?;
        if !metadata.is_dir() {
            return Err(Error::NotFound);
        }
        Ok(table.register(&metadata, Kind::Directory, above))
    }

    fn read_link(&self, node: NodeId) -> Result<Box<str>> {
        let table = self.table();
        let known = table.get(node)?;
        if known.kind != Kind::Symlink {
            return Err(Error::InvalidInput);
        }
        let path = known.path()?;
        known.check_identity(&self.volume.symlink_metadata(path)?)?;
        links::read(&self.volume, path)
    }

    fn read_dir(&self, dir: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        let directory = self.directory(dir)?;
        let mut table = self.table();
        if cookie == 0 || table.get(dir)?.listing.is_none() {
            let device = volume::device(&directory)?;
            let listing = table.take_listing(dir)?;
            let listing = listing.refreshed(&directory, |inode| table.number(device, inode))?;
            table.put_listing(dir, listing)?;
        }
        let listing = table.get(dir)?.listing.as_ref();
        Ok(listing.map_or_else(Vec::new, |listing| Listing::after(listing, cookie, max)))
    }

    fn read(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let file = self.file(node, Access::Read)?;
        if i64::try_from(offset).is_err() {
            return Ok(0);
        }
        let mut done = 0;
        while done < buf.len() {
            match file.read_at(&mut buf[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(translated(error)),
            }
        }
        Ok(done)
    }

    fn write(&self, node: NodeId, offset: u64, data: &[u8]) -> Result<usize> {
        self.check_writable()?;
        let file = self.file(node, Access::Write)?;
        write_at(&file, offset, data)
    }

    fn append(&self, node: NodeId, data: &[u8]) -> Result<(u64, usize)> {
        self.check_writable()?;
        let opened = self.table().get(node)?.append(&self.volume);
        match opened {
            Ok(mut file) => volume::append(&mut file, data),
            // Unlinked: only this handle can write to it.
            Err(Error::NotFound) => {
                let file = self.file(node, Access::Write)?;
                let end = file.metadata().map_err(translated)?.len();
                let count = write_at(&file, end, data)?;
                Ok((end + count as u64, count))
            }
            Err(error) => Err(error),
        }
    }

    fn set_len(&self, node: NodeId, len: u64) -> Result<()> {
        self.check_writable()?;
        if len > MAX_FILE {
            return Err(Error::FileTooLarge);
        }
        let file = self.file(node, Access::Write)?;
        file.set_len(len).map_err(translated)
    }

    fn set_times(&self, node: NodeId, accessed: Option<u64>, modified: Option<u64>) -> Result<()> {
        self.check_writable()?;
        let table = self.table();
        let known = table.get(node)?;
        let path = known.path()?;
        known.check_identity(&self.volume.symlink_metadata(path)?)?;
        self.volume.set_times(path, accessed, modified)
    }

    fn create_file(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.make_file(dir, name).map(|(node, _)| node)
    }

    fn create_open(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.table().check_room()?;
        let (node, file) = self.make_file(dir, name)?;
        let handle = Handle::File {
            file: Arc::new(file),
            writable: true,
        };
        self.table().open(node, Some(handle));
        Ok(node)
    }

    fn create_dir(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        self.check_writable()?;
        check_name(name)?;
        self.make(
            dir,
            name,
            |directory| directory.create_dir(name),
            |directory| directory.remove_dir(name),
        )
    }

    fn create_symlink(&self, dir: NodeId, name: &str, target: &str) -> Result<NodeId> {
        self.check_writable()?;
        check_name(name)?;
        links::check_new(target)?;
        self.make(
            dir,
            name,
            |directory| directory.symlink(target, name),
            |directory| directory.remove_file(name),
        )
    }

    fn hard_link(&self, node: NodeId, dir: NodeId, name: &str) -> Result<()> {
        self.check_writable()?;
        let directory = self.directory(dir)?;
        check_name(name)?;
        let _moving = moves::lock(&directory)?;
        let depth = self.depth(dir)?;
        let table = self.table();
        let known = table.get(node)?;
        if known.kind == Kind::Directory {
            return Err(Error::NotPermitted);
        }
        let path = known.path()?;
        let metadata = self.volume.symlink_metadata(path)?;
        known.check_identity(&metadata)?;
        if metadata.is_symlink() {
            moves::check_link(&self.volume.dir, path, depth)?;
        }
        self.volume.hard_link(path, &directory, name)
    }

    fn unlink(&self, dir: NodeId, name: &str) -> Result<()> {
        self.check_writable()?;
        let (_, kind) = self.find(dir, name)?;
        if kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        let directory = self.directory(dir)?;
        directory.remove_file(name).map_err(translated)?;
        self.table().removed(dir, name);
        Ok(())
    }

    fn remove_dir(&self, dir: NodeId, name: &str) -> Result<()> {
        self.check_writable()?;
        let directory = self.directory(dir)?;
        check_name(name)?;
        directory.remove_dir(name).map_err(translated)?;
        self.table().removed(dir, name);
        Ok(())
    }

    fn rename(&self, from: NodeId, from_name: &str, to: NodeId, to_name: &str) -> Result<()> {
        self.check_writable()?;
        let (old, new) = (self.directory(from)?, self.directory(to)?);
        let _moving = moves::lock(&new)?;
        let source = self.find(from, from_name)?;
        match self.find(to, to_name) {
            Ok(target) if target.0 == source.0 => return Ok(()),
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        match source.1 {
            Kind::File | Kind::Device => {}
            Kind::Symlink => moves::check_link(&old, from_name, self.depth(to)?)?,
            // The directories above each link in it stay the same ones, so `..` in a link leads where it did. Equal nodes
            // are one directory: `old` was open when `new` was found, so no other one had its inode by then.
            Kind::Directory if from == to => {}
            Kind::Directory => moves::check_directory(&old, from_name, self.depth(to)?)?,
        }
        self.table().path_of(to, to_name)?;
        old.rename(from_name, &new, to_name).map_err(translated)?;
        self.table().renamed((from, from_name), (to, to_name));
        Ok(())
    }

    fn open(&self, node: NodeId, write: bool) -> Result<()> {
        let kind = {
            let table = self.table();
            let known = table.get(node)?;
            if known.has_handle_for(write) {
                drop(table);
                self.opened(node);
                return Ok(());
            }
            if known.handle.is_none() {
                table.check_room()?;
            }
            known.kind
        };
        if write {
            self.check_writable()?;
        }
        let handle = self.handle(node, kind, write)?;
        self.table().open(node, handle);
        Ok(())
    }

    fn opened(&self, node: NodeId) {
        self.table().open(node, None);
    }

    fn closed(&self, node: NodeId) {
        self.table().close(node);
    }
}

/// Writes what [`MAX_FILE`] and the disk let through.
fn write_at(file: &cap_std::fs::File, offset: u64, data: &[u8]) -> Result<usize> {
    if data.is_empty() {
        return Ok(0);
    }
    let room = usize::try_from(MAX_FILE.saturating_sub(offset)).unwrap_or(usize::MAX);
    if room == 0 {
        return Err(Error::FileTooLarge);
    }
    let data = &data[..data.len().min(room)];
    file.write_at(data, offset).map_err(translated)
}
