//! Archives that are damaged, hostile, or hold what is not supported.

use std::sync::Arc;

use eryx_test::fuzz;
use eryx_vfs::{ArchiveError, ArchiveFs, FileSystem, MAX_ARCHIVE_NODES, MAX_NAME, NodeId};
use proptest::prelude::*;

use tar::EntryType;

use super::{Tar, add, header, link, open, raw, sample};

fn empty() -> Tar {
    Tar::new(Vec::new())
}

/// Reads all there is; only panics and loops matter.
fn walk(fs: &ArchiveFs) {
    let mut buf = [0; 64];
    for node in (0..)
        .map(NodeId)
        .take_while(|node| fs.metadata(*node).is_ok())
    {
        let _ = fs.read(node, 0, &mut buf);
        let _ = fs.read_link(node);
        let _ = fs.read_dir(node, 0, 1000);
    }
}

#[test]
fn no_prefix_of_an_archive_is_taken_for_the_whole() {
    let bytes = sample().into_inner().unwrap();
    let whole = bytes.len() - 1024;
    for len in (0..=whole).step_by(64) {
        let result = ArchiveFs::from_tar(Arc::new(bytes[..len].to_vec()));
        assert!(matches!(result, Err(ArchiveError::Damaged(_))), "{len}");
    }
    assert!(ArchiveFs::from_tar(Arc::new(bytes[..whole + 512].to_vec())).is_ok());
    assert!(ArchiveFs::from_tar(Arc::new(vec![0_u8; 1024])).is_ok());
    assert!(ArchiveFs::from_tar(Arc::new(b"PK\x03\x04".repeat(300))).is_err());
}

#[test]
fn unusable_paths_are_refused() {
    let long = "n".repeat(MAX_NAME + 1);
    for path in [
        &b"../x"[..],
        b"/x",
        b"a/../../x",
        b"..",
        b"\xff\xfe",
        b"a/../b",
    ] {
        let mut tar = empty();
        raw(&mut tar, EntryType::Regular, path);
        let error = open(tar).unwrap_err();
        assert!(
            matches!(error, ArchiveError::UnusablePath(_)),
            "{path:?} {error}"
        );
    }
    let mut tar = empty();
    add(&mut tar, &long, b"");
    assert!(matches!(open(tar), Err(ArchiveError::UnusablePath(_))));
}

#[test]
fn devices_and_unknown_types_are_refused() {
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::new(b'Z'),
    ] {
        let mut tar = empty();
        raw(&mut tar, kind, b"dev");
        let expected = ArchiveError::UnsupportedType("dev".into());
        assert_eq!(open(tar).unwrap_err(), expected);
    }
}

#[test]
fn contradictions_are_refused() {
    let mut through_file = empty();
    add(&mut through_file, "a", b"");
    add(&mut through_file, "a/b", b"");
    let mut through_link = empty();
    link(&mut through_link, EntryType::Symlink, "a", "/etc");
    add(&mut through_link, "a/b", b"");
    let mut over_directory = empty();
    add(&mut over_directory, "a/b", b"");
    add(&mut over_directory, "a", b"");
    let mut to_directory = empty();
    add(&mut to_directory, "a/b", b"");
    link(&mut to_directory, EntryType::Link, "c", "a");
    for tar in [through_file, through_link, over_directory, to_directory] {
        let error = open(tar).unwrap_err();
        assert!(matches!(error, ArchiveError::Conflict(_)), "{error}");
    }
    let mut missing = empty();
    link(&mut missing, EntryType::Link, "c", "gone");
    let expected = ArchiveError::MissingTarget("gone".into());
    assert_eq!(open(missing).unwrap_err(), expected);
}

#[test]
fn a_size_beyond_the_end_is_refused() {
    for size in [1, 5_000, u64::MAX / 2, u64::MAX - 10, u64::MAX] {
        let mut header = header(EntryType::Regular, 0);
        header.set_path("a").unwrap();
        header.set_size(size);
        header.set_cksum();
        let bytes = header.as_bytes().to_vec();
        let error = ArchiveFs::from_tar(Arc::new(bytes)).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged(_)), "{error}");
    }
}

#[test]
fn few_bytes_do_not_make_many_nodes() {
    let mut tar = empty();
    for n in 0..=MAX_ARCHIVE_NODES / 2000 {
        add(&mut tar, &format!("{n:03}/{}f", "d/".repeat(2000)), b"");
    }
    assert_eq!(open(tar).unwrap_err(), ArchiveError::TooManyEntries);
}

#[test]
fn bytes_that_shrink_later_read_as_nothing() {
    struct Shrinks(Vec<u8>, std::sync::atomic::AtomicBool);
    impl AsRef<[u8]> for Shrinks {
        fn as_ref(&self) -> &[u8] {
            let first = self.1.swap(false, std::sync::atomic::Ordering::Relaxed);
            if first { &self.0 } else { &[] }
        }
    }
    let bytes = Shrinks(sample().into_inner().unwrap(), true.into());
    let fs = ArchiveFs::from_tar(Arc::new(bytes)).unwrap();
    assert_eq!(fs.file("lib/a.py"), Some(&b""[..]));
    walk(&fs);
}

#[test]
fn changed_bytes_never_panic() {
    let change = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    fuzz::run(
        "vfs-archive",
        &(change, any::<bool>()),
        |(changes, fix_checksums)| {
            let mut bytes = sample().into_inner().unwrap();
            for (at, byte) in changes {
                *at.get_mut(&mut bytes) = byte;
            }
            if fix_checksums {
                for block in bytes.chunks_exact_mut(512) {
                    if &block[257..262] == b"ustar" {
                        block[148..156].fill(b' ');
                        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                    }
                }
            }
            if let Ok(fs) = ArchiveFs::from_tar(Arc::new(bytes)) {
                walk(&fs);
            }
            Ok(())
        },
    );
}
