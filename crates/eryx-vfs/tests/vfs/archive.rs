//! Reading tar archives.

mod damage;
mod index;

use std::sync::Arc;

use eryx_vfs::{ArchiveError, ArchiveFs, Error, FileSystem, Kind, MemoryFs, Namespace};
use tar::{Builder, EntryType, Header};

use crate::support::{contents, names};

pub(crate) type Tar = Builder<Vec<u8>>;

pub(crate) fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header.set_mode(0o644);
    header
}

pub(crate) fn add(tar: &mut Tar, path: &str, data: &[u8]) {
    let mut header = header(EntryType::Regular, data.len());
    tar.append_data(&mut header, path, data).unwrap();
}

pub(crate) fn link(tar: &mut Tar, kind: EntryType, path: &str, target: &str) {
    tar.append_link(&mut header(kind, 0), path, target).unwrap();
}

pub(crate) fn open(tar: Tar) -> Result<ArchiveFs, ArchiveError> {
    ArchiveFs::from_tar(Arc::new(tar.into_inner().unwrap()))
}

/// A header with its name written as it is, which `Builder` would refuse.
pub(crate) fn raw(tar: &mut Tar, kind: EntryType, name: &[u8]) {
    let mut header = header(kind, 0);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    tar.append(&header, &[][..]).unwrap();
}

pub(crate) fn sample() -> Tar {
    let mut tar = Tar::new(Vec::new());
    add(&mut tar, "lib/b.py", b"print(1)");
    raw(&mut tar, EntryType::Directory, b"./lib/");
    add(&mut tar, "lib/a.py", &[7; 1000]);
    add(&mut tar, &format!("lib/{}/x", "long/".repeat(40)), b"deep");
    link(&mut tar, EntryType::Symlink, "link", "lib/a.py");
    link(&mut tar, EntryType::Link, "hard", "lib/b.py");
    add(&mut tar, "empty", b"");
    tar
}

#[test]
fn files_links_and_directories_are_there() {
    let fs = open(sample()).unwrap();
    assert_eq!(fs.file("lib/b.py"), Some(&b"print(1)"[..]));
    assert_eq!(fs.file("/hard"), Some(&b"print(1)"[..]));
    assert_eq!(fs.file("empty"), Some(&b""[..]));
    assert_eq!(
        fs.file(&format!("lib/{}x", "long/".repeat(40))),
        Some(&b"deep"[..])
    );
    for none in ["link", "lib", "", "nope", "lib/a.py/x", "../lib/b.py"] {
        assert_eq!(fs.file(none), None, "{none}");
    }
    let root = fs.root();
    assert_eq!(names(&fs, root), ["empty", "hard", "lib", "link"]);
    let lib = fs.lookup(root, "lib").unwrap();
    assert_eq!(names(&fs, lib), ["a.py", "b.py", "long"]);
    assert_eq!(fs.parent(lib), Ok(root));
    let hard = fs.metadata(fs.lookup(root, "hard").unwrap()).unwrap();
    assert_eq!((hard.links, hard.size, hard.kind), (2, 8, Kind::File));
    assert_eq!(hard.modified, 1_700_000_000_000_000_000);
    let link = fs.lookup(root, "link").unwrap();
    assert_eq!(&*fs.read_link(link).unwrap(), "lib/a.py");
    assert_eq!(fs.metadata(root).unwrap().links, 3);
}

#[test]
fn contents_are_read_at_any_offset() {
    let fs = open(sample()).unwrap();
    let lib = fs.lookup(fs.root(), "lib").unwrap();
    let file = fs.lookup(lib, "a.py").unwrap();
    assert_eq!(contents(&fs, file), [7; 1000]);
    let mut buf = [0; 16];
    assert_eq!(fs.read(file, 990, &mut buf), Ok(10));
    assert_eq!(fs.read(file, 1000, &mut buf), Ok(0));
    assert_eq!(fs.read(file, u64::MAX, &mut buf), Ok(0));
    assert_eq!(fs.read(lib, 0, &mut buf), Err(Error::IsADirectory));
}

#[test]
fn listing_pages() {
    let fs = open(sample()).unwrap();
    let (mut seen, mut cookie) = (Vec::new(), 0);
    while let Some(entry) = fs.read_dir(fs.root(), cookie, 1).unwrap().pop() {
        cookie = entry.next;
        seen.push(entry.name.to_string());
    }
    assert_eq!(seen, names(&fs, fs.root()));
    assert_eq!(fs.read_dir(fs.root(), u64::MAX, 5), Ok(vec![]));
}

#[test]
fn every_kind_of_change_is_refused() {
    let fs = open(sample()).unwrap();
    let root = fs.root();
    let file = fs.lookup(root, "hard").unwrap();
    let read_only = Err(Error::ReadOnly);
    assert_eq!(fs.write(file, 0, b"x").map(drop), read_only);
    assert_eq!(fs.append(file, b"x").map(drop), read_only);
    assert_eq!(fs.set_len(file, 0), read_only);
    assert_eq!(fs.set_times(file, None, None), read_only);
    assert_eq!(fs.create_file(root, "x").map(drop), read_only);
    assert_eq!(fs.create_dir(root, "x").map(drop), read_only);
    assert_eq!(fs.create_symlink(root, "x", "y").map(drop), read_only);
    assert_eq!(fs.hard_link(file, root, "x"), read_only);
    assert_eq!(fs.unlink(root, "hard"), read_only);
    assert_eq!(fs.remove_dir(root, "lib"), read_only);
    assert_eq!(fs.rename(root, "hard", root, "x"), read_only);
    assert_eq!(fs.create_dir(root, "lib"), Err(Error::AlreadyExists));
    fs.opened(file);
    fs.closed(file);
}

#[test]
fn an_archive_is_a_mount_whose_links_stay_inside() {
    let mut tar = sample();
    link(&mut tar, EntryType::Symlink, "out", "../../../etc/passwd");
    link(&mut tar, EntryType::Symlink, "abs", "/usr/lib/b.py");
    let root = MemoryFs::new(1 << 20);
    root.create_dir(root.root(), "usr").unwrap();
    let mut ns = Namespace::new(Arc::new(root));
    ns.mount("/usr", Arc::new(open(tar).unwrap())).unwrap();
    let top = ns.root();
    assert!(ns.resolve(top, "/usr/link", true).is_ok());
    assert_eq!(ns.resolve(top, "/usr/out", true), Err(Error::NotFound));
    assert_eq!(
        ns.resolve(top, "usr/abs", true),
        ns.resolve(top, "usr/hard", true)
    );
    assert_eq!(ns.resolve(top, "usr/lib/../..", true), Ok(top));
    assert_eq!(ns.create_file(top, "usr/x"), Err(Error::ReadOnly));
}

#[test]
fn later_entries_replace_earlier_files() {
    let mut tar = Tar::new(Vec::new());
    add(&mut tar, "a", b"old");
    add(&mut tar, "a", b"new");
    let fs = open(tar).unwrap();
    assert_eq!(fs.file("a"), Some(&b"new"[..]));
    assert_eq!(
        fs.metadata(fs.lookup(fs.root(), "a").unwrap())
            .unwrap()
            .links,
        1
    );
}
