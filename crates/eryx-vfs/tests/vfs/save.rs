//! Trees as bytes: what comes back.

mod damage;

use std::io::{self, Write};

use eryx_vfs::{Error, FileSystem, Kind, MemoryFs, NodeId, TreeError};

use crate::support::{ROOMY, contents, memory, names, saved};

fn loaded(bytes: &[u8]) -> MemoryFs {
    MemoryFs::load(&mut &*bytes, ROOMY).unwrap()
}

/// One of everything.
fn sample() -> (MemoryFs, NodeId, NodeId) {
    let (fs, root) = memory();
    let dir = fs.create_dir(root, "d").unwrap();
    let file = fs.create_file(dir, "größe").unwrap();
    fs.write(file, 0, b"hello").unwrap();
    fs.write(file, 1 << 30, b"far").unwrap();
    fs.hard_link(file, root, "same").unwrap();
    fs.create_symlink(root, "l", "d/größe").unwrap();
    fs.create_file(root, "gone").unwrap();
    fs.unlink(root, "gone").unwrap();
    fs.create_file(root, "last").unwrap();
    fs.set_times(file, Some(3), Some(u64::MAX)).unwrap();
    (fs, dir, file)
}

#[test]
fn everything_comes_back_under_its_number() {
    let (fs, dir, file) = sample();
    let copy = loaded(&saved(&fs));
    let root = copy.root();
    assert_eq!(names(&copy, root), ["d", "same", "l", "last"]);
    assert_eq!(
        copy.read_dir(root, 0, 9).unwrap(),
        fs.read_dir(root, 0, 9).unwrap()
    );
    for node in [root, dir, file] {
        assert_eq!(copy.metadata(node), fs.metadata(node));
    }
    assert_eq!(copy.lookup(dir, "größe"), Ok(file));
    assert_eq!(copy.lookup(root, "same"), Ok(file));
    assert_eq!(copy.parent(dir), Ok(root));
    assert_eq!(
        &*copy.read_link(copy.lookup(root, "l").unwrap()).unwrap(),
        "d/größe"
    );
    let mut bytes = [1; 7];
    assert_eq!(copy.read(file, (1 << 30) - 4, &mut bytes), Ok(7));
    assert_eq!(&bytes, b"\0\0\0\0far");
    assert_eq!(copy.used_bytes(), fs.used_bytes());
}

#[test]
fn holes_take_no_room() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "f").unwrap();
    fs.set_len(file, 1 << 40).unwrap();
    assert!(saved(&fs).len() < 200);
    assert_eq!(loaded(&saved(&fs)).metadata(file).unwrap().size, 1 << 40);
}

#[test]
fn what_is_made_later_gets_new_numbers() {
    let (fs, root) = memory();
    let first = fs.create_file(root, "a").unwrap();
    fs.unlink(root, "a").unwrap();
    let cookie = {
        fs.create_file(root, "b").unwrap();
        let cookie = fs.read_dir(root, 0, 9).unwrap()[0].next;
        fs.unlink(root, "b").unwrap();
        cookie
    };
    let copy = loaded(&saved(&fs));
    assert!(copy.create_file(root, "c").unwrap() > first);
    assert!(copy.read_dir(root, cookie, 9).unwrap()[0].next > cookie);
}

#[test]
fn an_unlinked_open_file_is_there_until_somebody_frees_it() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "f").unwrap();
    let dir = fs.create_dir(root, "d").unwrap();
    fs.append(file, b"kept").unwrap();
    fs.opened(file);
    fs.opened(dir);
    fs.unlink(root, "f").unwrap();
    fs.remove_dir(root, "d").unwrap();
    let copy = loaded(&saved(&fs));
    assert_eq!(contents(&copy, file), b"kept");
    assert_eq!(copy.metadata(file).unwrap().links, 0);
    assert_eq!(copy.create_file(dir, "x"), Err(Error::NotFound));
    assert_eq!(copy.used_bytes(), fs.used_bytes());
    copy.opened(file);
    copy.free_unused();
    assert_eq!(copy.metadata(dir), Err(Error::NotFound));
    assert_eq!(contents(&copy, file), b"kept");
    copy.closed(file);
    assert_eq!(copy.used_bytes(), 0);
}

#[test]
fn the_quota_bounds_what_is_loaded() {
    let (fs, _, _) = sample();
    let (bytes, used) = (saved(&fs), fs.used_bytes());
    let exact = MemoryFs::load(&mut &bytes[..], used).unwrap();
    assert_eq!((exact.used_bytes(), exact.max_bytes()), (used, used));
    let error = MemoryFs::load(&mut &bytes[..], used - 1).unwrap_err();
    assert!(matches!(error, TreeError::TooLarge(max) if max == used - 1));
    assert_eq!(
        error.to_string(),
        format!("the files take more than {} bytes", used - 1)
    );
}

#[test]
fn deep_trees_need_no_stack() {
    let (fs, root) = memory();
    let mut at = root;
    for _ in 0..50_000 {
        at = fs.create_dir(at, "d").unwrap();
    }
    let copy = loaded(&saved(&fs));
    assert_eq!(copy.metadata(at).unwrap().kind, Kind::Directory);
}

#[test]
fn a_writer_that_fails_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = sample().0.save(&mut Full).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
