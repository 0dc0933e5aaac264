//! The entries of a directory with cookies that stay while it is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str;
use std::sync::Arc;

use cap_std::fs::Dir;
use std::os::unix::fs::DirEntryExt;

use super::MAX_HOST_ENTRIES;
use super::error::translated;
use super::volume::kind_of;
use crate::name::check_name;
use crate::{DirEntry, Error, Kind, NodeId, Result};

/// What was in a directory when it was last read from its start. A name keeps its cookie from one time to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    entries: BTreeMap<u64, DirEntry>,
    cookies: HashMap<Arc<str>, u64>,
}

impl Listing {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The listing after another look at the directory: the same one if nothing changed.
    pub(super) fn refreshed(
        self: Arc<Self>,
        directory: &Dir,
        number: impl Fn(u64) -> NodeId,
    ) -> Result<Arc<Self>> {
        let found = self.look(directory, number)?;
        let same = |(name, node, kind): &(Arc<str>, NodeId, Kind)| {
            let entry = self.cookies.get(name).and_then(|at| self.entries.get(at));
            entry.is_some_and(|entry| entry.node == *node && entry.kind == *kind)
        };
        if found.len() == self.len() && found.iter().all(same) {
            return Ok(self);
        }
        let mut listing = Arc::unwrap_or_clone(self);
        let there: HashSet<_> = found.iter().map(|(name, ..)| Arc::clone(name)).collect();
        for (name, node, kind) in found {
            listing.put(name, node, kind);
        }
        listing.cookies.retain(|name, _| there.contains(name));
        let stays = |_: &u64, entry: &mut DirEntry| there.contains(&entry.name);
        listing.entries.retain(stays);
        Ok(Arc::new(listing))
    }

    /// What is in the directory. Names that are known already take no memory of their own.
    fn look(
        &self,
        directory: &Dir,
        number: impl Fn(u64) -> NodeId,
    ) -> Result<Vec<(Arc<str>, NodeId, Kind)>> {
        let mut found = Vec::new();
        for entry in directory.entries().map_err(translated)? {
            let entry = entry.map_err(translated)?;
            let name = entry.file_name();
            let kind = entry.file_type().ok().and_then(kind_of);
            let (Some(name), Some(kind)) = (name.to_str(), kind) else {
                continue;
            };
            if check_name(name).is_err() {
                continue;
            }
            if found.len() >= MAX_HOST_ENTRIES {
                return Err(Error::TooManyEntries);
            }
            let known = self.cookies.get_key_value(name);
            let name = known.map_or_else(|| Arc::from(name), |(known, _)| Arc::clone(known));
            found.push((name, number(entry.ino()), kind));
        }
        Ok(found)
    }

    fn put(&mut self, name: Arc<str>, node: NodeId, kind: Kind) {
        let last = self.entries.last_key_value().map_or(0, |(last, _)| *last);
        let next = *self.cookies.entry(Arc::clone(&name)).or_insert(last + 1);
        let entry = DirEntry {
            name,
            node,
            kind,
            next,
        };
        self.entries.insert(next, entry);
    }

    /// Up to `max` entries behind `cookie`.
    pub(super) fn after(&self, cookie: u64, max: usize) -> Vec<DirEntry> {
        let Some(from) = cookie.checked_add(1) else {
            return Vec::new();
        };
        let behind = self.entries.range(from..);
        behind.take(max).map(|(_, entry)| entry.clone()).collect()
    }
}
