//! Listings of host directories: how many names are kept, and who shares them.

use std::fs;

use eryx_vfs::{Error, FileSystem, HostFs, MAX_HOST_ENTRIES, MAX_HOST_LISTED, NodeId};

use super::{Scratch, fill};
use crate::support::names;

fn list(fs: &dyn FileSystem, dir: NodeId) -> Result<usize, Error> {
    fs.read_dir(dir, 0, usize::MAX).map(|list| list.len())
}

fn opened(fs: &HostFs, name: &str) -> NodeId {
    let node = fs.lookup(fs.root(), name).unwrap();
    fs.open(node, false).unwrap();
    node
}

#[test]
fn entries_and_names_that_are_kept_are_capped() {
    let scratch = Scratch::new("listed_names");
    let dirs = MAX_HOST_LISTED / MAX_HOST_ENTRIES;
    for n in 0..=dirs {
        fill(&scratch.path(&format!("d{n}")), MAX_HOST_ENTRIES);
    }
    let fs = scratch.open(true);
    let open: Vec<_> = (0..=dirs).map(|n| opened(&fs, &format!("d{n}"))).collect();
    for dir in &open[..dirs] {
        assert_eq!(list(&fs, *dir), Ok(MAX_HOST_ENTRIES));
    }
    assert_eq!(list(&fs, open[dirs]), Err(Error::TooManyEntries));
    // A closed one is kept by nobody.
    fs.closed(open[0]);
    assert_eq!(list(&fs, open[dirs]), Ok(MAX_HOST_ENTRIES));
    // The count of a fork is its own.
    let fork = fs.for_fork().unwrap();
    assert_eq!(list(&*fork, open[1]), Ok(MAX_HOST_ENTRIES));
    fs::write(scratch.path("d1/more"), "").unwrap();
    assert_eq!(list(&fs, open[1]), Err(Error::TooManyEntries));
    fs::remove_file(scratch.path("d1/more")).unwrap();
    assert_eq!(list(&fs, open[1]), Ok(MAX_HOST_ENTRIES));
}

#[test]
fn a_fork_goes_on_with_what_is_open() {
    let scratch = Scratch::new("forked_listing");
    for name in ["a", "b", "c"] {
        scratch.put(&format!("d/{name}"), name);
    }
    let fs = scratch.open(true);
    let dir = opened(&fs, "d");
    let file = fs.lookup(dir, "a").unwrap();
    fs.open(file, false).unwrap();
    let first = fs.read_dir(dir, 0, 1).unwrap();
    let closed = fs.lookup(dir, "b").unwrap();
    let fork = fs.for_fork().unwrap();
    // Cookies and numbers stay what they were.
    let rest = |fs: &dyn FileSystem| fs.read_dir(dir, first[0].next, 9).unwrap();
    assert_eq!(rest(&*fork), rest(&fs));
    assert_eq!(fork.read(file, 0, &mut [0; 9]), Ok(1));
    // What was met and is not open is met again.
    assert_eq!(fork.metadata(closed), Err(Error::NotFound));
    assert_eq!(fork.lookup(dir, "b"), Ok(closed));
    // A change is seen by whoever looks again.
    fs::remove_file(scratch.path("d/a")).unwrap();
    scratch.put("d/e", "");
    let mut fresh = names(&*fork, dir);
    fresh.sort();
    assert_eq!(fresh, ["b", "c", "e"]);
    assert_eq!(rest(&fs).len(), 2);
    fork.closed(file);
    assert_eq!(fs.read(file, 0, &mut [0; 9]), Ok(1));
}

#[test]
fn the_same_listing_keeps_its_cookies() {
    let scratch = Scratch::new("same_listing");
    fill(&scratch.path("d"), 100);
    let fs = scratch.open(true);
    let dir = opened(&fs, "d");
    let before = fs.read_dir(dir, 0, usize::MAX).unwrap();
    assert_eq!(fs.read_dir(dir, 0, usize::MAX).unwrap(), before);
    fs::rename(scratch.path("d/7"), scratch.path("d/new")).unwrap();
    let after = fs.read_dir(dir, 0, usize::MAX).unwrap();
    let (same, changed): (Vec<_>, Vec<_>) =
        after.into_iter().partition(|entry| before.contains(entry));
    assert_eq!((same.len(), changed.len()), (99, 1));
    assert!(changed[0].next > before[99].next);
}
