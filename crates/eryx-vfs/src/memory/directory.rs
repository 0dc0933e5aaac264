//! One directory: entries in the order they were made, found by the hash of their name.

use std::sync::Arc;

use crate::cow_map::CowMap;
use crate::{DirEntry, Kind, NodeId};

/// One name. `same_hash` is the cookie of the next entry whose name has the same hash, or 0.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) node: NodeId,
    pub(super) kind: Kind,
    same_hash: u64,
}

/// A name with its hash. The hash is keyed, so a guest cannot make names collide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) hash: u64,
    pub(super) name: &'a str,
}

/// Entries by cookie, which only grows: reading on from a cookie neither repeats nor skips.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) parent: NodeId,
    pub(super) subdirs: u64,
    last_cookie: u64,
    by_cookie: CowMap<Entry>,
    by_hash: CowMap<u64>,
}

impl Directory {
    /// Host bytes per entry besides its name.
    #[cfg(test)]
    pub(super) const BYTES_PER_ENTRY: usize =
        CowMap::<Entry>::BYTES_PER_KEY + CowMap::<u64>::BYTES_PER_KEY + 16 + 8 + 15;

    pub(super) const fn new(parent: NodeId) -> Self {
        Self {
            parent,
            subdirs: 0,
            last_cookie: 0,
            by_cookie: CowMap::new(),
            by_hash: CowMap::new(),
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.by_cookie.len()
    }

    pub(super) const fn last_cookie(&self) -> u64 {
        self.last_cookie
    }

    /// The entry behind `cookie`, with its own cookie.
    pub(super) fn next(&self, cookie: u64) -> Option<(u64, &Entry)> {
        self.by_cookie.first_from(cookie.checked_add(1)?)
    }

    /// Cookies of new entries are above `last`.
    pub(super) const fn reserve_cookies(&mut self, last: u64) {
        if self.last_cookie < last {
            self.last_cookie = last;
        }
    }

    /// Puts in an entry that was saved under this cookie. Its name is not there yet.
    pub(super) fn put(&mut self, cookie: u64, key: Key<'_>, node: NodeId, kind: Kind) {
        self.reserve_cookies(cookie);
        self.insert_at(cookie, key, node, kind);
    }

    pub(super) fn get(&self, key: Key<'_>) -> Option<&Entry> {
        self.by_cookie.get(self.cookie(key)?)
    }

    fn cookie(&self, key: Key<'_>) -> Option<u64> {
        let mut cookie = *self.by_hash.get(key.hash)?;
        loop {
            let entry = self.by_cookie.get(cookie)?;
            if *entry.name == *key.name {
                return Some(cookie);
            }
            cookie = entry.same_hash;
        }
    }

    /// Adds a name that is not there, behind all others.
    pub(super) fn insert(&mut self, key: Key<'_>, node: NodeId, kind: Kind) {
        self.last_cookie += 1;
        self.insert_at(self.last_cookie, key, node, kind);
    }

    fn insert_at(&mut self, cookie: u64, key: Key<'_>, node: NodeId, kind: Kind) {
        let same_hash = self.by_hash.insert(key.hash, cookie).unwrap_or(0);
        let name = Arc::from(key.name);
        let entry = Entry {
            name,
            node,
            kind,
            same_hash,
        };
        self.by_cookie.insert(cookie, entry);
        self.subdirs += u64::from(kind == Kind::Directory);
    }

    pub(super) fn remove(&mut self, key: Key<'_>) -> Option<Entry> {
        self.take(key).map(|(_, entry)| entry)
    }

    fn take(&mut self, key: Key<'_>) -> Option<(u64, Entry)> {
        let cookie = self.cookie(key)?;
        let entry = self.by_cookie.remove(cookie)?;
        self.subdirs -= u64::from(entry.kind == Kind::Directory);
        let head = *self.by_hash.get(key.hash)?;
        if head != cookie {
            self.unchain(head, cookie, entry.same_hash);
        } else if entry.same_hash == 0 {
            self.by_hash.remove(key.hash);
        } else {
            self.by_hash.insert(key.hash, entry.same_hash);
        }
        Some((cookie, entry))
    }

    /// Makes the entry in the chain from `head` that points to `gone` point to `next`.
    fn unchain(&mut self, head: u64, gone: u64, next: u64) {
        let mut at = head;
        while let Some(entry) = self.by_cookie.get(at) {
            if entry.same_hash != gone {
                at = entry.same_hash;
                continue;
            }
            if let Some(entry) = self.by_cookie.get_mut(at) {
                entry.same_hash = next;
            }
            return;
        }
    }

    /// Lets an existing name stand for another node. It keeps its place in the order.
    pub(super) fn replace(&mut self, key: Key<'_>, node: NodeId, kind: Kind) {
        let Some(entry) = self.cookie(key).and_then(|at| self.by_cookie.get_mut(at)) else {
            return;
        };
        let before = u64::from(entry.kind == Kind::Directory);
        entry.node = node;
        entry.kind = kind;
        self.subdirs = self.subdirs - before + u64::from(kind == Kind::Directory);
    }

    /// Gives an entry a name that is not there. It keeps its place, so that a loop which renames
    /// what it reads comes to an end.
    pub(super) fn rename(&mut self, from: Key<'_>, to: Key<'_>) {
        if let Some((cookie, entry)) = self.take(from) {
            self.insert_at(cookie, to, entry.node, entry.kind);
        }
    }

    /// Up to `max` entries behind `cookie`.
    pub(super) fn list(&self, cookie: u64, max: usize) -> Vec<DirEntry> {
        let entries = usize::try_from(self.len()).unwrap_or(usize::MAX);
        let mut list = Vec::with_capacity(max.min(entries).min(1024));
        let mut after = cookie;
        while list.len() < max {
            let from = after.checked_add(1);
            let Some((next, entry)) = from.and_then(|from| self.by_cookie.first_from(from)) else {
                break;
            };
            list.push(DirEntry {
                name: Arc::clone(&entry.name),
                node: entry.node,
                kind: entry.kind,
                next,
            });
            after = next;
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::{Directory, Key};
    use crate::{Kind, NodeId};

    fn key(name: &str) -> Key<'_> {
        Key { hash: 7, name }
    }

    fn names(directory: &Directory) -> Vec<String> {
        let list = directory.list(0, 100);
        list.iter().map(|entry| entry.name.to_string()).collect()
    }

    #[test]
    fn names_with_equal_hashes_are_told_apart() {
        let mut directory = Directory::new(NodeId(1));
        for (node, name) in (10..).zip(["a", "b", "c", "d"]) {
            directory.insert(key(name), NodeId(node), Kind::File);
        }
        for (node, name) in (10..).zip(["a", "b", "c", "d"]) {
            assert_eq!(directory.get(key(name)).unwrap().node, NodeId(node));
        }
        assert_eq!(directory.remove(key("b")).unwrap().node, NodeId(11));
        assert_eq!(directory.remove(key("d")).unwrap().node, NodeId(13));
        directory.rename(key("a"), key("z"));
        assert!(directory.remove(key("a")).is_none());
        assert_eq!(names(&directory), ["z", "c"]);
        assert_eq!(directory.remove(key("z")).unwrap().node, NodeId(10));
        assert_eq!(directory.remove(key("c")).unwrap().node, NodeId(12));
        assert_eq!(directory.len(), 0);
        assert!(directory.get(key("c")).is_none());
    }
}
