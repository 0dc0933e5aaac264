//! Storages as bytes.

use std::io::Write;

use eryx::{DEFAULT_RESTORED_BYTES, Storage, StorageError};
use sha2::{Digest, Sha256};

use crate::support::{printed_by, sandbox_of};

/// Magic, version, quota, size of the tree.
const HEADER: usize = 28;
const CHECKSUM: usize = 32;

fn sample() -> Storage {
    let files = Storage::new(1 << 20);
    files.create_dir_all("a/b").expect("room");
    files.write_file("a/b/f", b"hello").expect("room");
    files.write_file("g", &vec![7; 40_000]).expect("room");
    files
}

fn bytes() -> Vec<u8> {
    sample().snapshot().expect("memory")
}

fn refused(bytes: &[u8]) -> String {
    let restored = Storage::from_snapshot(bytes, None);
    match restored.expect_err("refused") {
        StorageError::Snapshot(message) => message,
        other => panic!("{other:?}"),
    }
}

/// Puts the right checksum behind bytes that were changed.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - CHECKSUM;
    let checksum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

/// A snapshot of our own making.
fn forged(quota: u64, size: u64, tree: &[u8]) -> Vec<u8> {
    let mut frame = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("memory");
    frame.write_all(tree).expect("memory");
    let frame = frame.finish().expect("memory");
    let (quota, size) = (quota.to_le_bytes(), size.to_le_bytes());
    let version = 1_u32.to_le_bytes();
    signed(
        [
            b"ERYX-VFS",
            &version[..],
            &quota,
            &size,
            &frame,
            &[0; CHECKSUM],
        ]
        .concat(),
    )
}

#[test]
fn everything_comes_back() {
    let files = sample();
    let copy = Storage::from_snapshot(&files.snapshot().expect("memory"), None).expect("ours");
    assert_eq!(copy.read_file("a/b/f").expect("there"), b"hello");
    assert_eq!(copy.read_file("g").expect("there"), vec![7; 40_000]);
    assert_eq!(
        copy.read_dir("/").expect("there"),
        files.read_dir("/").expect("there")
    );
    assert_eq!(
        (copy.used_bytes(), copy.max_bytes()),
        (files.used_bytes(), 1 << 20)
    );
    copy.write_file("new", b"x").expect("room");
    assert!(!files.exists("new"));
}

#[test]
fn the_quota_is_saved_given_or_capped() {
    let restore = |bytes: &[u8], max| Storage::from_snapshot(bytes, max);
    let large = Storage::new(u64::MAX);
    large.write_file("f", b"x").expect("room");
    let large = large.snapshot().expect("memory");
    assert_eq!(
        restore(&large, None).expect("ours").max_bytes(),
        DEFAULT_RESTORED_BYTES
    );
    assert_eq!(restore(&large, Some(5000)).expect("ours").max_bytes(), 5000);
    let used = sample().used_bytes();
    assert_eq!(
        restore(&bytes(), Some(used)).expect("fits").used_bytes(),
        used
    );
    let error = restore(&bytes(), Some(used - 1))
        .expect_err("too much")
        .to_string();
    assert_eq!(
        error,
        format!("snapshot: the files take more than {} bytes", used - 1)
    );
}

#[tokio::test]
async fn it_is_one_moment_of_a_storage_in_use() {
    let files = Storage::new(8 << 20);
    files.write_file("n", b"0 0").expect("room");
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    let code = "import os\nfor i in range(3000):\n    open('new', 'w').write(f'{i} {i}')\n    os.rename('new', 'n')\nopen('done', 'w')";
    let run = tokio::spawn(async move { printed_by(&sandbox, code).await });
    let mut seen = std::collections::HashSet::new();
    while !files.exists("done") {
        let copy = Storage::from_snapshot(&files.snapshot().expect("memory"), None).expect("ours");
        let text = String::from_utf8(copy.read_file("n").expect("there")).expect("digits");
        let (left, right) = text.split_once(' ').expect("two numbers");
        assert_eq!(left, right);
        seen.insert(text);
        tokio::task::yield_now().await;
    }
    run.await.expect("runs");
    assert!(seen.len() > 1, "{seen:?}");
}

#[tokio::test]
async fn unlinked_open_files_are_left_out() {
    let files = Storage::new(1 << 20);
    let sandbox = sandbox_of(|options| options.files = Some(files.clone()));
    let code = "import os, time\nf = open('f', 'w')\nf.write('x' * 50_000)\nf.flush()\nos.remove('f')\nopen('ready', 'w')\nwhile not os.path.exists('go'): time.sleep(0.001)";
    let run = tokio::spawn(async move { printed_by(&sandbox, code).await });
    while !files.exists("ready") {
        tokio::task::yield_now().await;
    }
    let copy = Storage::from_snapshot(&files.snapshot().expect("memory"), None).expect("ours");
    assert!(files.used_bytes() > 50_000 && copy.used_bytes() < 2000);
    files.write_file("go", b"").expect("room");
    run.await.expect("runs");
}

#[test]
fn what_is_no_snapshot_is_refused_with_the_reason() {
    let good = bytes();
    let expected = "snapshot: expected bytes that VfsStorage.snapshot() returned";
    assert_eq!(refused(b""), expected);
    assert_eq!(refused(b"ERYX"), expected);
    assert_eq!(refused(&good[1..]), expected);
    let mut newer = good.clone();
    newer[8] = 2;
    assert_eq!(
        refused(&newer),
        "snapshot: it has format version 2, expected 1"
    );
    let damaged = "snapshot: it is truncated or damaged";
    for end in 8..good.len() {
        assert_eq!(refused(&good[..end]), damaged, "{end}");
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(refused(&longer), damaged);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            refused(&bad);
        }
    }
}

#[test]
fn changes_with_a_good_checksum_do_no_harm() {
    let good = bytes();
    let mut random = 1_u64;
    for round in 0..20_000 {
        let mut bad = good.clone();
        for _ in 0..=round % 3 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at =
                8 + usize::try_from(random >> 40).expect("24 bits") % (good.len() - 8 - CHECKSUM);
            bad[at] = random.to_le_bytes()[4];
        }
        if let Ok(files) = Storage::from_snapshot(&signed(bad), None) {
            assert!(files.used_bytes() <= files.max_bytes());
            for entry in files.read_dir("/").expect("a root") {
                let _ = files.remove_all(&entry.name);
            }
            assert_eq!(files.used_bytes(), 0);
        }
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let zeros = vec![0; 64 << 20];
    let bomb = forged(1 << 20, 64 << 20, &zeros);
    assert!(bomb.len() < 10_000);
    assert_eq!(
        refused(&bomb),
        "snapshot: the files take more than 1048576 bytes"
    );
    let bomb = forged(u64::MAX, u64::MAX, &zeros);
    assert_eq!(
        refused(&bomb),
        "snapshot: the files take more than 1073741824 bytes"
    );
    // It says that it is small, and is not.
    let good = sample();
    let mut tree = Vec::new();
    let frame = &good.snapshot().expect("memory")[HEADER..];
    let frame = &frame[..frame.len() - CHECKSUM];
    zstd::stream::copy_decode(frame, &mut tree).expect("ours");
    let size = tree.len() as u64;
    assert!(Storage::from_snapshot(&forged(1 << 20, size, &tree), None).is_ok());
    tree.extend(&zeros);
    let longer = "snapshot: there is more in it than its files";
    assert_eq!(refused(&forged(1 << 20, size, &tree)), longer);
    assert_eq!(refused(&forged(1 << 20, size + 1, &tree)), longer);
    assert_eq!(
        refused(&forged(1 << 20, size - 1, &tree)),
        "snapshot: it is truncated or damaged"
    );
}
