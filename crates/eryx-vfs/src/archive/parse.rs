//! From tar headers to a tree.

use std::io::{self, Cursor};
use std::ops::Range;
use std::str;

use tar::{Entry, EntryType};

use super::error::{ArchiveError, shown};
use super::tree::Tree;
use super::{Body, Node};
use crate::MAX_PATH;
use crate::name::{check_name, check_path};

type Result<T> = std::result::Result<T, ArchiveError>;
type Source<'a> = Cursor<&'a [u8]>;

const BLOCK: usize = 512;
const NANOSECONDS: u64 = 1_000_000_000;

pub(super) fn parse(bytes: &[u8]) -> Result<Box<[Node]>> {
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut tree = Tree::new();
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let range = contents(&entry, bytes.len())?;
        end = range.end.next_multiple_of(BLOCK);
        add(&mut tree, &entry, range)?;
    }
    let marker = bytes.get(end..).and_then(|rest| rest.get(..BLOCK));
    if !marker.is_some_and(|block| block.iter().all(|byte| *byte == 0)) {
        return Err(ArchiveError::Damaged("its end is missing".to_owned()));
    }
    Ok(tree.finish())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for map_err"
)]
fn damaged(error: io::Error) -> ArchiveError {
    ArchiveError::Damaged(shown(error.to_string().as_bytes()))
}

/// Where an entry's contents are; they must be there in full.
fn contents(entry: &Entry<'_, Source<'_>>, total: usize) -> Result<Range<usize>> {
    let start = usize::try_from(entry.raw_file_position()).ok();
    let len = usize::try_from(entry.size()).ok();
    let end = start
        .zip(len)
        .and_then(|(start, len)| start.checked_add(len));
    match (start, end) {
        (Some(start), Some(end)) if end <= total => Ok(start..end),
        _ => Err(ArchiveError::Damaged("an entry is cut off".to_owned())),
    }
}

fn add(tree: &mut Tree, entry: &Entry<'_, Source<'_>>, range: Range<usize>) -> Result<()> {
    let raw = entry.path_bytes();
    let modified = entry.header().mtime().map_err(damaged)?;
    let modified = modified.saturating_mul(NANOSECONDS);
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let path = parts(&raw)?;
    match kind {
        EntryType::Directory => tree.add_directory(&path, modified),
        // Archives from before ustar mark a directory by a slash behind its name.
        EntryType::Regular if raw.ends_with(b"/") => tree.add_directory(&path, modified),
        EntryType::Regular | EntryType::Continuous => {
            tree.add_leaf(&path, Body::File(range), modified)
        }
        EntryType::Symlink => {
            let target = link_target(entry)?;
            tree.add_leaf(&path, Body::Symlink(target.into()), modified)
        }
        EntryType::Link => {
            let target = link_target(entry)?;
            tree.add_hard_link(&path, &parts(target.as_bytes())?)
        }
        _ => Err(ArchiveError::UnsupportedType(shown(&raw))),
    }
}

fn link_target(entry: &Entry<'_, Source<'_>>) -> Result<String> {
    let raw = entry.link_name_bytes().unwrap_or_default();
    let target = str::from_utf8(&raw).ok();
    target
        .filter(|target| check_path(target).is_ok())
        .map(str::to_owned)
        .ok_or_else(|| ArchiveError::UnusablePath(shown(&raw)))
}

/// The names on a path; none for the root itself. A leading `./` and doubled slashes are dropped.
fn parts(raw: &[u8]) -> Result<Vec<&str>> {
    let unusable = || ArchiveError::UnusablePath(shown(raw));
    let path = str::from_utf8(raw).map_err(|_| unusable())?;
    if path.is_empty() || path.starts_with('/') || path.len() > MAX_PATH {
        return Err(unusable());
    }
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names
        .map(|name| check_name(name).map(|()| name).map_err(|_| unusable()))
        .collect()
}
