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

    /// The listing after another look at the directory.
    pub(super) fn refreshed(
        mut self,
        directory: &Dir,
        number: impl Fn(u64) -> NodeId,
    ) -> Result<Self> {
        let mut there = HashSet::new();
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
            if there.len() >= MAX_HOST_ENTRIES {
                return Err(Error::TooManyEntries);
            }
            let name = Arc::from(name);
            self.put(&name, number(entry.ino()), kind);
            there.insert(name);
        }
        self.cookies.retain(|name, _| there.contains(name));
        self.entries.retain(|_, entry| there.contains(&entry.name));
        Ok(self)
    }

    fn put(&mut self, name: &Arc<str>, node: NodeId, kind: Kind) {
        let last = self.entries.last_key_value().map_or(0, |(last, _)| *last);
        let next = *self.cookies.entry(Arc::clone(name)).or_insert(last + 1);
        let name = Arc::clone(name);
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
