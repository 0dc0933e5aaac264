//! Moving things and giving them more names, without making a link of the host's lead out of the volume.
//!
//! A link may be where it is as long as it first goes up, no further than to the top of the volume, and then only down. A set
//! of such links leads nowhere else, however they follow each other: a step up starts in the directory that the link is in.
//! Links that code makes only go down. So what has to be looked at is what a move takes along.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, Metadata};

use super::error::translated;
use super::volume;
use super::{HostFs, MAX_HOST_MOVED};
use crate::{Error, Result};

/// Runs that move something at the same time would invalidate what the other has looked at. One lock for some devices each:
/// a device that hangs does not hold up all others.
static MOVES: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

/// How long a move waits for others. Moves of files and links take far less; looking at a large directory takes longer.
const PATIENCE: Duration = Duration::from_millis(4);

/// Held from the first look to the move. Of two directories that something is moved between, both are on one device.
///
/// `Busy` if others hold it all the time: waiting holds a worker, and no deadline ends it. Nothing is moved without the lock.
pub(super) fn lock(directory: &Dir) -> Result<MutexGuard<'static, ()>> {
    let device = volume::device(directory)?;
    let index = usize::try_from(device % MOVES.len() as u64).unwrap_or(0);
    let start = Instant::now();
    loop {
        match MOVES[index].try_lock() {
            Ok(held) => return Ok(held),
            Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::yield_now(),
            Err(TryLockError::WouldBlock) => return Err(Error::Busy),
        }
    }
}

/// The directory at `path`, which no link leads to.
pub(super) fn without_links(top: &Dir, path: &Path) -> Result<Metadata> {
    let mut at = top.try_clone().map_err(translated)?;
    for part in path.components() {
        at = at.open_dir_nofollow(part).map_err(translated)?;
    }
    at.dir_metadata().map_err(translated)
}

/// Refuses the link if it would lead out, `depth` directories below the top.
pub(super) fn check_link(dir: &Dir, path: impl AsRef<Path>, depth: usize) -> Result<()> {
    let target = dir.read_link_contents(path).map_err(translated)?;
    match climbs(&target) {
        Some(up) if up <= depth => Ok(()),
        _ => Err(Error::NotPermitted),
    }
}

/// How often a target goes up before it only goes down. None if it is no such target.
fn climbs(target: &Path) -> Option<usize> {
    let mut up = 0;
    let mut down = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => down = true,
            Component::ParentDir if !down => up += 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(up)
}

/// A directory that is looked at, and the names of those in it that were not yet.
struct Level {
    dir: Dir,
    below: Vec<OsString>,
}

impl Level {
    /// Looks at the directory `name` in `dir`, which no link leads to.
    fn open(dir: &Dir, name: &OsStr, depth: usize, left: &mut usize) -> Result<Self> {
        let dir = dir.open_dir_nofollow(name).map_err(translated)?;
        let below = check_entries(&dir, depth, left)?;
        Ok(Self { dir, below })
    }
}

/// Refuses the directory `name` in `dir` if a link in it would lead out when it is moved to a directory that is `depth`
/// directories below the top.
///
/// Each directory is opened in the one that it was found in, by its name alone. So the work grows with the entries, however
/// deep they are, and what a program of the host moves meanwhile does not change where the next name is looked for: that
/// directory is held open. A link that takes a directory's place is not followed. Other runs move nothing meanwhile, as the
/// lock is held; what they make or remove leads nowhere up.
///
/// Handles are held for one way down, and one more for the entries that are read.
pub(super) fn check_directory(dir: &Dir, name: &str, depth: usize) -> Result<()> {
    let mut left = MAX_HOST_MOVED;
    let mut levels = vec![Level::open(dir, name.as_ref(), depth + 1, &mut left)?];
    loop {
        let count = levels.len();
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        let Some(name) = level.below.pop() else {
            levels.pop();
            continue;
        };
        if count > HostFs::MAX_MOVED_LEVELS {
            return Err(Error::TooManyEntries);
        }
        let below = Level::open(&level.dir, &name, depth + 1 + count, &mut left)?;
        levels.push(below);
    }
}

/// Refuses links in one directory, and returns the directories in it.
fn check_entries(dir: &Dir, depth: usize, left: &mut usize) -> Result<Vec<OsString>> {
    let mut below = Vec::new();
    for entry in dir.entries().map_err(translated)? {
        *left = left.checked_sub(1).ok_or(Error::TooManyEntries)?;
        let entry = entry.map_err(translated)?;
        let kind = entry.file_type().map_err(translated)?;
        if kind.is_symlink() {
            check_link(dir, entry.file_name(), depth)?;
        } else if kind.is_dir() {
            below.push(entry.file_name());
        }
    }
    Ok(below)
}

#[cfg(test)]
mod tests {
    use super::climbs;
    use std::path::Path;

    #[test]
    fn how_far_targets_go_up() {
        for (target, up) in [
            ("a/b", Some(0)),
            ("./a", Some(0)),
            ("..", Some(1)),
            ("../../a/./b", Some(2)),
            (".././../a", Some(2)),
            ("a/..", None),
            ("../a/../b", None),
            ("/", None),
            ("/a", None),
        ] {
            assert_eq!(climbs(Path::new(target)), up, "{target}");
        }
    }
}
