//! The directory behind a volume. Every call on the host is here or on a `Dir` or `File` that came from here.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_fs_ext::{SystemTimeSpec, ambient_authority};
use cap_std::fs::{Dir, File, FileType, Metadata, OpenOptions};

use super::error::translated;
use crate::{Error, Kind, MAX_FILE, Result};

/// What a handle is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Reading too.
    Write,
}

impl Access {
    pub(super) const fn of(write: bool) -> Self {
        if write { Self::Write } else { Self::Read }
    }

    pub(super) const fn is_met_by(self, writable: bool) -> bool {
        writable || matches!(self, Self::Read)
    }
}

#[derive(Debug)]
pub(super) struct Volume {
    /// The directory, or the one that holds the single file.
    pub(super) dir: Arc<Dir>,
    /// The name of the single file.
    pub(super) file: Option<PathBuf>,
    pub(super) read_only: bool,
}

impl Volume {
    pub(super) fn open(path: &Path, read_only: bool) -> Result<Self> {
        let path = path.canonicalize().map_err(translated)?;
        let kind = path.metadata().map_err(translated)?.file_type();
        let file = match path.file_name() {
            _ if kind.is_dir() => None,
            Some(name) if kind.is_file() => Some(PathBuf::from(name)),
            _ => return Err(Error::NotPermitted),
        };
        let directory = match path.parent() {
            Some(parent) if file.is_some() => parent,
            _ => &path,
        };
        let dir = Dir::open_ambient_dir(directory, ambient_authority()).map_err(translated)?;
        Ok(Self {
            dir: Arc::new(dir),
            file,
            read_only,
        })
    }

    pub(super) const fn kind(&self) -> Kind {
        if self.file.is_some() {
            Kind::File
        } else {
            Kind::Directory
        }
    }

    pub(super) fn symlink_metadata(&self, path: &Path) -> Result<Metadata> {
        self.dir.symlink_metadata(path).map_err(translated)
    }

    pub(super) fn open_directory(&self, path: &Path) -> Result<Dir> {
        self.dir.open_dir_nofollow(path).map_err(translated)
    }

    /// Opens a regular file. Never waits for the other end of a pipe.
    pub(super) fn open_file(&self, path: &Path, access: Access) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write);
        self.open_with(path, &mut options)
    }

    /// Opens a regular file to write at its end only.
    pub(super) fn open_append(&self, path: &Path) -> Result<File> {
        self.open_with(path, OpenOptions::new().append(true))
    }

    fn open_with(&self, path: &Path, options: &mut OpenOptions) -> Result<File> {
        options.follow(FollowSymlinks::No).nonblock(true);
        let file = self.dir.open_with(path, options).map_err(translated)?;
        if !file.metadata().map_err(translated)?.is_file() {
            return Err(Error::NotFound);
        }
        Ok(file)
    }

    pub(super) fn hard_link(&self, path: &Path, to: &Dir, name: &str) -> Result<()> {
        self.dir.hard_link(path, to, name).map_err(translated)
    }

    pub(super) fn set_times(
        &self,
        path: &Path,
        accessed: Option<u64>,
        modified: Option<u64>,
    ) -> Result<()> {
        let time = |time: Option<u64>| time.map(absolute).transpose();
        let path = if path == Path::new("") {
            Path::new(".")
        } else {
            path
        };
        self.dir
            .set_symlink_times(path, time(accessed)?, time(modified)?)
            .map_err(translated)
    }
}

/// Nanoseconds since 1970.
fn absolute(time: u64) -> Result<SystemTimeSpec> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(time));
    let time = time.ok_or(Error::InvalidInput)?;
    Ok(SystemTimeSpec::Absolute(
        cap_std::time::SystemTime::from_std(time),
    ))
}

/// Makes an empty file where nothing is. Opened to read and write, whatever its mode will let later ones do.
pub(super) fn create(directory: &Dir, name: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    directory.open_with(name, &options).map_err(translated)
}

/// Writes at the end, wherever others have moved it, and returns where it is then.
pub(super) fn append(file: &mut File, data: &[u8]) -> Result<(u64, usize)> {
    let len = file.metadata().map_err(translated)?.len();
    if data.is_empty() {
        return Ok((len, 0));
    }
    let room = usize::try_from(MAX_FILE.saturating_sub(len)).unwrap_or(usize::MAX);
    if room == 0 {
        return Err(Error::FileTooLarge);
    }
    let data = &data[..data.len().min(room)];
    let count = file.write(data).map_err(translated)?;
    Ok((file.stream_position().map_err(translated)?, count))
}

/// The device that a directory is on.
pub(super) fn device(directory: &Dir) -> Result<u64> {
    let metadata = directory.dir_metadata().map_err(translated)?;
    Ok(MetadataExt::dev(&metadata))
}

/// Nothing for what is neither file, directory nor link.
pub(super) fn kind_of(kind: FileType) -> Option<Kind> {
    if kind.is_file() {
        Some(Kind::File)
    } else if kind.is_dir() {
        Some(Kind::Directory)
    } else if kind.is_symlink() {
        Some(Kind::Symlink)
    } else {
        None
    }
}
