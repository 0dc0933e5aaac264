//! Removing a directory with all that is in it.

use eryx_vfs::{Error, FileSystem, Kind, MemoryFs, NodeId, Result};

use super::Storage;
use crate::caps::MAX_ENTRIES_AT_ONCE;

/// Times that somebody else may add to a directory while it is emptied.
const RACES: u32 = 16;

/// As `rm -r`. Without recursion: a guest may nest directories as deep as the quota lets it.
pub(super) fn all(storage: &Storage, path: &str) -> Result<()> {
    let mut result = storage.remove_one(path);
    for _ in 0..RACES {
        if !matches!(result, Err(Error::NotEmpty)) {
            return result;
        }
        let at = storage.resolve(path, false)?;
        empty(&storage.files, at.node)?;
        result = storage.remove_one(path);
    }
    result
}

/// Removes what is in `top` now.
fn empty(files: &MemoryFs, top: NodeId) -> Result<()> {
    let mut at = top;
    let mut above: Vec<(NodeId, String)> = Vec::new();
    loop {
        if let Some((below, name)) = remove_files(files, at)? {
            above.push((at, name));
            at = below;
            continue;
        }
        let Some((parent, name)) = above.pop() else {
            return Ok(());
        };
        removed(files.remove_dir(parent, &name))?;
        at = parent;
    }
}

/// Removes the files and empty directories in `dir`. The first directory with entries ends that and is returned.
fn remove_files(files: &MemoryFs, dir: NodeId) -> Result<Option<(NodeId, String)>> {
    let mut cookie = 0;
    loop {
        let entries = files.read_dir(dir, cookie, MAX_ENTRIES_AT_ONCE)?;
        let Some(last) = entries.last() else {
            return Ok(None);
        };
        cookie = last.next;
        for entry in &entries {
            let result = match entry.kind {
                Kind::Directory => files.remove_dir(dir, &entry.name),
                Kind::File | Kind::Symlink | Kind::Device => files.unlink(dir, &entry.name),
            };
            match result {
                Err(Error::NotEmpty) => return Ok(Some((entry.node, entry.name.to_string()))),
                result => removed(result)?,
            }
        }
    }
}

/// Somebody else may have been there first.
fn removed(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound | Error::NotADirectory | Error::IsADirectory) => Ok(()),
        result => result,
    }
}
