//! The quota, at its exact edge.

use eryx_vfs::{CHUNK_OVERHEAD, ENTRY_OVERHEAD, Error, FileSystem, MemoryFs, NODE_OVERHEAD};

use crate::support::{contents, names};

const FILE: u64 = NODE_OVERHEAD + ENTRY_OVERHEAD + 1;

#[test]
fn nodes_and_names_fit_to_the_byte() {
    let fs = MemoryFs::new(FILE + FILE + 9 - 1);
    let root = fs.root();
    assert_eq!(fs.used_bytes(), 0);
    fs.create_file(root, "a").unwrap();
    assert_eq!(fs.used_bytes(), FILE);
    assert_eq!(fs.create_dir(root, "0123456789"), Err(Error::NoSpace));
    assert_eq!(fs.create_file(root, "0123456789"), Err(Error::NoSpace));
    assert_eq!(
        fs.create_symlink(root, "1", "0123456789"),
        Err(Error::NoSpace)
    );
    assert_eq!(names(&fs, root), ["a"]);
    assert_eq!(fs.used_bytes(), FILE);
    fs.create_symlink(root, "l", "01234567").unwrap();
    assert_eq!(fs.used_bytes(), fs.max_bytes());
    fs.unlink(root, "l").unwrap();
    fs.create_dir(root, "012345678").unwrap();
    assert_eq!(fs.used_bytes(), fs.max_bytes());
    fs.remove_dir(root, "012345678").unwrap();
    fs.unlink(root, "a").unwrap();
    assert_eq!(fs.used_bytes(), 0);
}

#[test]
fn links_and_longer_names_fit_to_the_byte() {
    let fs = MemoryFs::new(FILE + ENTRY_OVERHEAD + 2);
    let root = fs.root();
    let file = fs.create_file(root, "a").unwrap();
    assert_eq!(fs.hard_link(file, root, "bbb"), Err(Error::NoSpace));
    assert_eq!(fs.metadata(file).unwrap().links, 1);
    fs.hard_link(file, root, "bb").unwrap();
    assert_eq!(fs.rename(root, "a", root, "cc"), Err(Error::NoSpace));
    assert_eq!(names(&fs, root), ["a", "bb"]);
    fs.rename(root, "bb", root, "b").unwrap();
    fs.rename(root, "a", root, "cc").unwrap();
    assert_eq!(fs.used_bytes(), fs.max_bytes());
}

#[test]
fn writes_stop_at_the_edge() {
    let fs = MemoryFs::new(FILE + CHUNK_OVERHEAD + 128);
    let file = fs.create_file(fs.root(), "a").unwrap();
    assert_eq!(fs.write(file, 200, b"x"), Err(Error::NoSpace));
    assert_eq!(fs.metadata(file).unwrap().size, 0);
    assert_eq!(fs.write(file, 100, &[7; 50]), Ok(28));
    assert_eq!(fs.metadata(file).unwrap().size, 128);
    assert_eq!(fs.used_bytes(), fs.max_bytes());
    assert_eq!(fs.append(file, b"x"), Err(Error::NoSpace));
    assert_eq!(fs.write(file, 20_000, b"x"), Err(Error::NoSpace));
    assert_eq!(fs.write(file, 0, &[8; 200]), Ok(128));
    assert_eq!(contents(&fs, file), [8; 128]);
    fs.set_len(file, 64).unwrap();
    assert_eq!(fs.used_bytes(), FILE + CHUNK_OVERHEAD + 64);
    assert_eq!(fs.append(file, &[1; 70]), Ok((128, 64)));
}

#[test]
fn a_short_write_fills_whole_chunks_first() {
    let fs = MemoryFs::new(FILE + 2 * (CHUNK_OVERHEAD + 16_384) + CHUNK_OVERHEAD + 63);
    let file = fs.create_file(fs.root(), "a").unwrap();
    assert_eq!(fs.write(file, 0, &vec![1; 100_000]), Ok(32_768));
    assert_eq!(fs.append(file, b"x"), Err(Error::NoSpace));
    fs.set_max_bytes(fs.max_bytes() + 1);
    assert_eq!(fs.append(file, &[2; 100]), Ok((32_832, 64)));
}

#[test]
fn a_lowered_limit_loses_nothing() {
    let fs = MemoryFs::new(1 << 20);
    let root = fs.root();
    let file = fs.create_file(root, "a").unwrap();
    fs.write(file, 0, b"hello").unwrap();
    fs.set_max_bytes(1);
    assert_eq!(fs.write(file, 0, b"HE"), Ok(2));
    assert_eq!(fs.append(file, &[0; 100]), Ok((64, 59)));
    assert_eq!(fs.append(file, b"x"), Err(Error::NoSpace));
    assert_eq!(fs.create_file(root, "b"), Err(Error::NoSpace));
    fs.rename(root, "a", root, "c").unwrap();
    assert_eq!(&contents(&fs, file)[..5], b"HEllo");
    fs.unlink(root, "c").unwrap();
    assert_eq!(fs.used_bytes(), 0);
}

#[test]
fn a_replaced_file_gives_its_room_back() {
    let fs = MemoryFs::new(1 << 20);
    let root = fs.root();
    let a = fs.create_file(root, "a").unwrap();
    let b = fs.create_file(root, "b").unwrap();
    fs.write(b, 0, &vec![1; 100_000]).unwrap();
    fs.rename(root, "a", root, "b").unwrap();
    assert_eq!(fs.used_bytes(), FILE);
    assert_eq!(fs.lookup(root, "b"), Ok(a));
}

#[test]
fn the_largest_limit_does_not_overflow() {
    let fs = MemoryFs::new(u64::MAX);
    let file = fs.create_file(fs.root(), "a").unwrap();
    assert_eq!(fs.write(file, 0, &vec![1; 20_000]), Ok(20_000));
    assert_eq!(format!("{fs:?}").matches("max_bytes").count(), 1);
}
