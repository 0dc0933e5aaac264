//! Host directories: reading, metadata, listings, single files.

mod changes;
mod escapes;
mod listings;
mod moves;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eryx_vfs::{
    Error, FileSystem, HostFs, Kind, Location, MAX_HOST_HANDLES, MAX_HOST_NODES, MemoryFs,
    Namespace,
};

use crate::support::{ROOMY, contents, names};

/// A directory of the host that is removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = eryx_test::new_directory(name);
        fs::create_dir_all(path.join("volume")).unwrap();
        fs::write(path.join("secret"), "outside").unwrap();
        Self(path)
    }

    /// Below the volume.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join("volume").join(path)
    }

    pub(crate) fn put(&self, path: &str, data: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn open(&self, read_only: bool) -> HostFs {
        HostFs::open(&self.path(""), read_only).unwrap()
    }

    /// A namespace with the volume at `/v`, and where `/` is.
    pub(crate) fn mounted(&self, read_only: bool) -> (Namespace, Location) {
        let mut ns = Namespace::new(Arc::new(MemoryFs::new(ROOMY)));
        ns.create_dir(ns.root(), "/v").unwrap();
        ns.create_file(ns.root(), "/inside").unwrap();
        ns.mount("/v", Arc::new(self.open(read_only))).unwrap();
        let root = ns.root();
        (ns, root)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All of the file at `path`.
pub(crate) fn read(ns: &Namespace, path: &str) -> Result<Vec<u8>, Error> {
    let at = ns.resolve(ns.root(), path, true)?;
    let mut buf = vec![0; 100];
    let count = ns.fs(at).read(at.node, 0, &mut buf)?;
    buf.truncate(count);
    Ok(buf)
}

/// Puts so many files into a directory, which is made: names of few files, as the host makes them faster.
pub(crate) fn fill(dir: &Path, count: usize) {
    fs::create_dir_all(dir).unwrap();
    let mut first = dir.to_path_buf();
    for n in 0..count {
        let path = dir.join(n.to_string());
        if n % 10_000 == 0 {
            fs::write(&path, "").unwrap();
            first = path;
        } else {
            fs::hard_link(&first, path).unwrap();
        }
    }
}

#[test]
fn files_are_read_where_they_are() {
    let host = Scratch::new("files_are_read");
    host.put("a/b/c", "hello");
    let (ns, root) = host.mounted(true);
    assert_eq!(read(&ns, "/v/a/b/c").unwrap(), b"hello");
    assert_eq!(read(&ns, "/v/a/../a/./b/c").unwrap(), b"hello");
    let file = ns.resolve(root, "/v/a/b/c", true).unwrap();
    let mut buf = [0; 3];
    assert_eq!(ns.fs(file).read(file.node, 3, &mut buf), Ok(2));
    assert_eq!(ns.fs(file).read(file.node, 5, &mut buf), Ok(0));
    assert_eq!(ns.fs(file).read(file.node, u64::MAX, &mut buf), Ok(0));
    assert_eq!(read(&ns, "/v/a"), Err(Error::IsADirectory));
    assert_eq!(read(&ns, "/v/a/b/c/d"), Err(Error::NotADirectory));
    assert_eq!(read(&ns, "/v/nope"), Err(Error::NotFound));
    assert_eq!(
        ns.resolve(root, "/v/a/b/..", true),
        ns.resolve(root, "/v/a", true)
    );
    assert_eq!(ns.resolve(root, "/v/..", true), Ok(root));
}

#[test]
fn metadata_is_kind_size_and_modification() {
    let host = Scratch::new("metadata_is");
    host.put("f", "12345");
    let path = host.path("f");
    fs::hard_link(&path, host.path("g")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o741)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
    let file = fs::File::options().write(true).open(&path).unwrap();
    let times = fs::FileTimes::new().set_modified(time);
    file.set_times(times.set_accessed(SystemTime::UNIX_EPOCH))
        .unwrap();
    let volume = host.open(true);
    let node = volume.lookup(volume.root(), "f").unwrap();
    let found = volume.metadata(node).unwrap();
    assert_eq!((found.kind, found.size, found.links), (Kind::File, 5, 1));
    let time = 1_000_000_000_000_000_005;
    assert_eq!(
        (found.modified, found.accessed, found.changed),
        (time, time, time)
    );
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
    assert_ne!(node.0, inode);
    assert_eq!(volume.lookup(volume.root(), "g"), Ok(node));
    assert_ne!(host.open(true).lookup(volume.root(), "f"), Ok(node));
    let root = volume.metadata(volume.root()).unwrap();
    assert_eq!((root.kind, root.size, root.links), (Kind::Directory, 0, 2));
}

#[test]
fn listings_hold_files_directories_and_links_with_text_names() {
    let host = Scratch::new("listings_hold");
    host.put("d/f", "");
    host.put("größe", "");
    symlink("nowhere", host.path("dangling")).unwrap();
    fs::write(host.path("").join(OsStr::from_bytes(b"\xFF")), "").unwrap();
    let _socket = UnixListener::bind(host.path("s")).unwrap();
    fifo(&host.path("p"));
    let volume = host.open(true);
    let mut list = names(&volume, volume.root());
    list.sort();
    assert_eq!(list, ["d", "dangling", "größe"]);
    for entry in volume.read_dir(volume.root(), 0, 9).unwrap() {
        assert_eq!(
            volume.find(volume.root(), &entry.name),
            Ok((entry.node, entry.kind))
        );
    }
    for special in ["s", "p"] {
        let found = volume.lookup(volume.root(), special);
        assert_eq!(found, Err(Error::NotPermitted));
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_listing_goes_on_while_the_directory_changes() {
    let host = Scratch::new("a_listing_goes_on");
    for n in 0..100 {
        host.put(&format!("f{n}"), "");
    }
    let volume = host.open(false);
    let root = volume.root();
    let (mut seen, mut cookie) = (Vec::new(), 0);
    loop {
        let some = volume.read_dir(root, cookie, 7).unwrap();
        let Some(last) = some.last() else {
            break;
        };
        cookie = last.next;
        for entry in some {
            volume.unlink(root, &entry.name).unwrap();
            seen.push(entry.name);
        }
        // A second reader from the start does not move the first one's place.
        volume.read_dir(root, 0, 3).unwrap();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 100);
    assert!(names(&volume, root).is_empty());
}

#[test]
fn a_pipe_that_takes_the_place_of_a_file_does_not_block() {
    let host = Scratch::new("a_pipe_that");
    host.put("f", "x");
    let volume = host.open(false);
    let node = volume.lookup(volume.root(), "f").unwrap();
    fs::remove_file(host.path("f")).unwrap();
    fifo(&host.path("f"));
    assert_eq!(volume.open(node, false), Err(Error::NotFound));
    assert_eq!(volume.read(node, 0, &mut [0]), Err(Error::NotFound));
    assert!(volume.write(node, 0, b"x").is_err());
    assert!(volume.append(node, b"x").is_err());
}

#[test]
fn a_single_file_is_a_volume() {
    let host = Scratch::new("a_single_file");
    host.put("config", "one");
    host.put("other", "two");
    let volume = HostFs::open(&host.path("config"), true).unwrap();
    let root = volume.root();
    assert_eq!(volume.kind(), Kind::File);
    assert_eq!(contents(&volume, root), b"one");
    assert_eq!(volume.lookup(root, "other"), Err(Error::NotADirectory));
    assert_eq!(volume.lookup(root, ".."), Err(Error::NotADirectory));
    assert_eq!(volume.parent(root), Err(Error::NotADirectory));
    assert_eq!(volume.read_dir(root, 0, 9), Err(Error::NotADirectory));
    assert_eq!(volume.write(root, 0, b"x"), Err(Error::ReadOnly));
    // Replaced in one step, as editors do.
    fs::rename(host.path("other"), host.path("config")).unwrap();
    assert_eq!(contents(&volume, root), b"two");
    fs::remove_file(host.path("config")).unwrap();
    assert_eq!(volume.metadata(root).unwrap().links, 0);
    assert_eq!(volume.read(root, 0, &mut [0]), Err(Error::NotFound));
    symlink("../secret", host.path("config")).unwrap();
    assert!(volume.read(root, 0, &mut [0]).is_err());
}

#[test]
fn a_writable_single_file_is_written_in_place() {
    let host = Scratch::new("a_writable_single");
    host.put("f", "one");
    let volume = HostFs::open(&host.path("f"), false).unwrap();
    let root = volume.root();
    volume.open(root, true).unwrap();
    volume.write(root, 1, b"NE!").unwrap();
    assert_eq!(volume.append(root, b"?"), Ok((5, 1)));
    volume.set_len(root, 6).unwrap();
    volume.closed(root);
    assert_eq!(host.get("f"), "oNE!?\0");
}

#[test]
fn what_cannot_be_a_volume_is_refused() {
    let host = Scratch::new("what_cannot_be");
    fifo(&host.path("p"));
    let error = |path: &str| HostFs::open(&host.path(path), true).unwrap_err();
    assert_eq!(error("nope"), Error::NotFound);
    assert_eq!(error("p"), Error::NotPermitted);
    host.put("f", "");
    assert_eq!(error("f/x"), Error::NotADirectory);
    symlink("f", host.path("l")).unwrap();
    assert_eq!(
        HostFs::open(&host.path("l"), true).unwrap().kind(),
        Kind::File
    );
}

#[test]
fn long_names_and_deep_paths_are_refused() {
    let host = Scratch::new("long_names");
    let volume = host.open(false);
    let root = volume.root();
    let (fits, long) = ("x".repeat(255), "x".repeat(256));
    volume.create_file(root, &fits).unwrap();
    assert_eq!(names(&volume, root), [fits]);
    assert_eq!(volume.create_file(root, &long), Err(Error::NameTooLong));
    assert_eq!(volume.lookup(root, &long), Err(Error::NameTooLong));
    let mut at = root;
    let error = loop {
        match volume.create_dir(at, &"d".repeat(200)) {
            Ok(below) => at = below,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NameTooLong);
}

#[test]
fn paths_below_open_directories_are_bounded() {
    let host = Scratch::new("open_paths");
    let volume = host.open(false);
    let name = "d".repeat(200);
    // Open ones can be used however deep they are.
    let mut at = volume.root();
    let error = loop {
        match volume.create_dir(at, &name) {
            Ok(below) => {
                volume.open(below, false).unwrap();
                at = below;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NameTooLong);
    assert_eq!(volume.create_open(at, &name), Err(Error::NameTooLong));
    assert_eq!(
        volume.create_symlink(at, &name, "x"),
        Err(Error::NameTooLong)
    );
    assert_eq!(names(&volume, at), [""; 0]);
    // Nor do they become longer when what is above them is moved down.
    let top = volume.root();
    let deep = volume.create_dir(top, "t").unwrap();
    let mut below = deep;
    for _ in 0..15 {
        below = volume.create_dir(below, &name).unwrap();
    }
    volume.open(at, false).unwrap();
    volume.rename(top, &name, below, "moved").unwrap();
    assert_eq!(volume.lookup(at, "x"), Err(Error::NotFound));
    assert!(volume.metadata(at).is_ok());
}

#[test]
fn handles_and_remembered_nodes_are_bounded() {
    let host = Scratch::new("handles_and");
    for n in 0..=MAX_HOST_HANDLES {
        host.put(&format!("f{n}"), "x");
    }
    let volume = host.open(true);
    let root = volume.root();
    let find = |n: usize| volume.lookup(root, &format!("f{n}")).unwrap();
    let open: Vec<_> = (0..MAX_HOST_HANDLES).map(find).collect();
    for node in &open {
        volume.open(*node, false).unwrap();
    }
    let one_more = find(MAX_HOST_HANDLES);
    assert_eq!(volume.open(one_more, false), Err(Error::TooManyOpen));
    volume.open(open[0], false).unwrap();
    volume.closed(open[1]);
    volume.open(one_more, false).unwrap();
    assert_eq!(volume.fresh().open(root, false), Ok(()));

    let small = Scratch::new("remembered");
    let volume = small.open(false);
    let first = volume.create_file(volume.root(), "0").unwrap();
    volume.open(first, false).unwrap();
    let second = volume.create_file(volume.root(), "1").unwrap();
    for n in 2..MAX_HOST_NODES + 10 {
        volume.create_file(volume.root(), &n.to_string()).unwrap();
    }
    assert!(volume.metadata(first).is_ok());
    assert_eq!(volume.metadata(second), Err(Error::NotFound));
    assert_eq!(volume.lookup(volume.root(), "1"), Ok(second));
    assert!(volume.metadata(second).is_ok());
}
