//! The index of an archive: the same tree without a look at each header, and nothing else in its place.

use std::sync::Arc;

use eryx_test::fuzz;
use eryx_vfs::{ArchiveError, ArchiveFs, FileSystem, NodeId};
use proptest::prelude::*;

use super::{Tar, add, sample};

/// An archive and its index.
fn indexed(tar: Tar) -> (Vec<u8>, Vec<u8>) {
    let archive = tar.into_inner().expect("it is in memory");
    let index = ArchiveFs::from_tar(Arc::new(archive.clone()))
        .expect("a good archive")
        .index();
    (archive, index)
}

fn open(archive: &[u8], index: &[u8]) -> Result<ArchiveFs, ArchiveError> {
    ArchiveFs::from_index(Arc::new(archive.to_vec()), index)
}

/// Everything that can be asked of a tree, by node.
fn told(fs: &ArchiveFs) -> String {
    let nodes = (0..)
        .map(NodeId)
        .take_while(|node| fs.metadata(*node).is_ok());
    let node = |node| {
        let mut start = [0; 16];
        let read = fs.read(node, 0, &mut start);
        let entries = fs.read_dir(node, 0, 1000).map(|entries| {
            let entries = entries.into_iter();
            entries
                .map(|entry| format!("{entry:?}"))
                .collect::<Vec<_>>()
        });
        let (link, parent) = (fs.read_link(node), fs.parent(node));
        format!(
            "{:?} {read:?} {start:?} {entries:?} {link:?} {parent:?}\n",
            fs.metadata(node)
        )
    };
    nodes.map(node).collect()
}

#[test]
fn the_tree_is_that_of_the_archive() {
    let (archive, index) = indexed(sample());
    let read = ArchiveFs::from_tar(Arc::new(archive.clone())).expect("a good archive");
    let found = open(&archive, &index).expect("its index");
    assert_eq!(told(&found), told(&read));
    assert_eq!(found.index(), index);
}

#[test]
fn no_prefix_of_an_index_is_taken_for_the_whole() {
    let (archive, index) = indexed(sample());
    for len in 0..index.len() {
        let refused = open(&archive, &index[..len]).unwrap_err();
        assert_eq!(refused, ArchiveError::WrongIndex, "{len}");
    }
    let longer = [&*index, b"\0"].concat();
    assert!(open(&archive, &longer).is_err());
}

#[test]
fn an_index_of_another_archive_is_refused() {
    let (archive, index) = indexed(sample());
    let mut longer = sample();
    add(&mut longer, "more", b"");
    let (longer, _) = indexed(longer);
    assert!(open(&longer, &index).is_err());
    assert!(open(&archive[..archive.len() - 512], &index).is_err());
    // Of the same size, but with other files in it.
    let mut other = Tar::new(Vec::new());
    add(&mut other, "one", &vec![1; archive.len() - 1536]);
    let (other, _) = indexed(other);
    assert_eq!(other.len(), archive.len());
    assert!(open(&other, &index).is_err());
    for byte in [0, 0xFF, b'0'] {
        assert!(open(&vec![byte; archive.len()], &index).is_err(), "{byte}");
    }
}

#[test]
fn changed_bytes_never_panic() {
    let (archive, index) = indexed(sample());
    let change = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    fuzz::run("vfs-archive-index", &change, |changes| {
        let mut index = index.clone();
        for (at, byte) in changes {
            *at.get_mut(&mut index) = byte;
        }
        if let Ok(fs) = open(&archive, &index) {
            told(&fs);
        }
        Ok(())
    });
}
