//! Opening by path: what is made, cut and refused, and in which order.

use std::fs;
use std::sync::Arc;

use eryx_vfs::{
    Error, FileSystem, HostFs, Location, MAX_HOST_HANDLES, MemoryFs, Namespace, OpenHow,
};

use crate::host::Scratch;
use crate::support::{contents, namespace};

const READ: OpenHow = OpenHow {
    write: false,
    follow: true,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
};
/// As `open(.., "w")`.
const WRITE: OpenHow = OpenHow {
    write: true,
    create: true,
    truncate: true,
    ..READ
};
/// As `open(.., "x")`.
const NEW: OpenHow = OpenHow {
    exclusive: true,
    ..WRITE
};

fn put(ns: &Namespace, path: &str, data: &[u8]) {
    let at = ns.create_file(ns.root(), path).unwrap();
    ns.fs(at).write(at.node, 0, data).unwrap();
}

fn open(ns: &Namespace, path: &str, how: OpenHow) -> Result<Location, Error> {
    ns.open(ns.root(), path, how)
}

#[test]
fn flags_find_make_and_cut() {
    let (ns, root) = namespace();
    put(&ns, "/f", b"old");
    ns.create_dir(root, "/d").unwrap();
    ns.create_symlink("f", root, "/l").unwrap();
    ns.create_symlink("new", root, "/dangling").unwrap();
    let at = ns.resolve(root, "/f", true).unwrap();
    assert_eq!(open(&ns, "/f", READ), Ok(at));
    assert_eq!(open(&ns, "/l", READ), Ok(at));
    assert_eq!(open(&ns, "/none", READ), Err(Error::NotFound));
    let create = OpenHow {
        truncate: false,
        ..WRITE
    };
    assert_eq!(open(&ns, "/l", create), Ok(at));
    assert_eq!(contents(&**ns.fs(at), at.node), b"old");
    assert_eq!(open(&ns, "/f", WRITE), Ok(at));
    assert_eq!(contents(&**ns.fs(at), at.node), b"");
    let made = open(&ns, "/dangling", WRITE).unwrap();
    assert_eq!(ns.resolve(root, "/new", false), Ok(made));
    let made = open(&ns, "/d/x", NEW).unwrap();
    assert_eq!(ns.resolve(root, "/d/x", false), Ok(made));
    let directory = OpenHow {
        directory: true,
        ..READ
    };
    assert!(open(&ns, "/d", directory).is_ok());
}

#[test]
fn what_is_refused_changes_nothing() {
    let (ns, root) = namespace();
    put(&ns, "/f", b"old");
    ns.create_dir(root, "/d").unwrap();
    ns.create_symlink("f", root, "/l").unwrap();
    let read = |how| OpenHow {
        write: false,
        ..how
    };
    let directory = |how| OpenHow {
        directory: true,
        ..how
    };
    let unfollowed = |how| OpenHow {
        follow: false,
        ..how
    };
    for (path, how, error) in [
        ("/d", WRITE, Error::IsADirectory),
        ("/d", read(WRITE), Error::IsADirectory),
        ("/f", NEW, Error::AlreadyExists),
        ("/l", NEW, Error::AlreadyExists),
        ("/l", unfollowed(WRITE), Error::TooManyLinks),
        ("/new/", WRITE, Error::IsADirectory),
        ("/new/", NEW, Error::IsADirectory),
        ("/f/", WRITE, Error::NotADirectory),
        ("/f", directory(READ), Error::NotADirectory),
        ("/new", directory(WRITE), Error::InvalidInput),
        ("/new", directory(NEW), Error::InvalidInput),
        ("/f", directory(WRITE), Error::InvalidInput),
        ("/usr/new", WRITE, Error::NotFound),
    ] {
        assert_eq!(open(&ns, path, how), Err(error), "{path} {how:?}");
    }
    let at = ns.resolve(root, "/f", true).unwrap();
    assert_eq!(contents(&**ns.fs(at), at.node), b"old");
    let left = ns.fs(root).read_dir(root.node, 0, 10).unwrap();
    assert_eq!(left.len(), 3);
    // No handle was counted: without its name it is gone.
    ns.unlink(root, "/f").unwrap();
    assert_eq!(ns.metadata(at), Err(Error::NotFound));
}

#[test]
fn a_file_that_is_made_is_open() {
    let fs = Arc::new(MemoryFs::new(1 << 20));
    let ns = Namespace::new(Arc::clone(&fs) as _);
    let at = open(&ns, "/f", NEW).unwrap();
    ns.unlink(ns.root(), "/f").unwrap();
    assert_eq!(fs.write(at.node, 0, b"x"), Ok(1));
    fs.closed(at.node);
    assert_eq!(fs.metadata(at.node), Err(Error::NotFound));
    assert_eq!(fs.open(at.node, true), Err(Error::NotFound));
}

#[test]
fn at_the_limit_of_handles_nothing_is_made_or_cut() {
    let scratch = Scratch::new("open_at_the_limit");
    scratch.put("kept", "old");
    let (ns, root) = scratch.mounted(false);
    let mut open_ones = Vec::new();
    for n in 0..MAX_HOST_HANDLES {
        open_ones.push(ns.open(root, &format!("/v/{n}"), NEW).unwrap());
    }
    for how in [READ, WRITE] {
        assert_eq!(ns.open(root, "/v/kept", how), Err(Error::TooManyOpen));
    }
    for how in [WRITE, NEW] {
        assert_eq!(ns.open(root, "/v/new", how), Err(Error::TooManyOpen));
    }
    assert_eq!(scratch.get("kept"), "old");
    assert!(!scratch.path("new").exists());
    let closed = open_ones.pop().unwrap();
    ns.fs(closed).closed(closed.node);
    let at = ns.open(root, "/v/new", NEW).unwrap();
    ns.fs(at).write(at.node, 0, b"x").unwrap();
    assert_eq!(scratch.get("new"), "x");
}

#[test]
fn a_file_is_made_with_its_handle_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("made_with_its_handle");
    let fs = scratch.open(false);
    let node = fs.create_open(fs.root(), "f").unwrap();
    // What later opens may do is not asked.
    fs::set_permissions(scratch.path("f"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(fs.write(node, 0, b"abc"), Ok(3));
    assert_eq!(contents(&fs, node), b"abc");
    let fs: HostFs = scratch.open(true);
    assert_eq!(fs.create_open(fs.root(), "g"), Err(Error::ReadOnly));
    assert!(!scratch.path("g").exists());
}
