//! Moving things and giving them more names, without making a link of the host's lead out of the volume.
//!
//! A link may be where it is as long as it first goes up, no further than to the top of the volume, and then only down. A set
//! of such links leads nowhere else, however they follow each other: a step up starts in the directory that the link is in.
//! Links that code makes only go down. So what has to be looked at is what a move takes along.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, Metadata};

use super::MAX_HOST_MOVED;
use super::error::translated;
use super::volume;
use crate::{Error, Result};

/// Runs that move something at the same time would invalidate what the other has looked at. One lock for some devices each:
/// a device that hangs does not hold up all others.
static MOVES: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

/// Held from the first look to the move. Of two directories that something is moved between, both are on one device.
pub(super) fn lock(directory: &Dir) -> Result<MutexGuard<'static, ()>> {
    let device = volume::device(directory)?;
    let index = usize::try_from(device % MOVES.len() as u64).unwrap_or(0);
    Ok(MOVES[index].lock().unwrap_or_else(PoisonError::into_inner))
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

/// Refuses the directory `name` in `dir` if a link in it would lead out when it is moved to a directory that is `depth`
/// directories below the top.
pub(super) fn check_directory(dir: &Dir, name: &str, depth: usize) -> Result<()> {
    let top = dir.open_dir_nofollow(name).map_err(translated)?;
    let mut left = MAX_HOST_MOVED;
    let mut path = PathBuf::new();
    let mut levels = vec![check_entries(&top, depth + 1, &mut left)?];
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.pop() else {
            levels.pop();
            path.pop();
            continue;
        };
        path.push(name);
        let below = top.open_dir_nofollow(&path).map_err(translated)?;
        let depth = depth + 1 + levels.len();
        levels.push(check_entries(&below, depth, &mut left)?);
    }
    Ok(())
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
