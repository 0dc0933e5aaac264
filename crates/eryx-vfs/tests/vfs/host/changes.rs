//! Host directories: writing, and what happens when the host changes them meanwhile.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use eryx_vfs::{Error, FileSystem, Kind, MAX_FILE};

use super::Scratch;
use crate::support::{contents, names};

#[test]
fn read_only_refuses_every_change() {
    let host = Scratch::new("read_only_refuses");
    host.put("f", "x");
    host.put("d/g", "x");
    let volume = host.open(true);
    let root = volume.root();
    let (file, dir) = (
        volume.lookup(root, "f").unwrap(),
        volume.lookup(root, "d").unwrap(),
    );
    assert!(volume.is_read_only());
    let refused = Err(Error::ReadOnly);
    assert_eq!(volume.open(file, true), refused);
    assert_eq!(volume.set_len(file, 0), refused);
    assert_eq!(volume.set_times(file, Some(1), Some(1)), refused);
    assert_eq!(volume.hard_link(file, root, "n"), refused);
    assert_eq!(volume.unlink(root, "f"), refused);
    assert_eq!(volume.remove_dir(root, "d"), refused);
    assert_eq!(volume.rename(root, "f", dir, "n"), refused);
    assert_eq!(volume.write(file, 0, b"y"), Err(Error::ReadOnly));
    assert_eq!(volume.append(file, b"y"), Err(Error::ReadOnly));
    for made in [
        volume.create_file(root, "n"),
        volume.create_dir(root, "n"),
        volume.create_symlink(root, "n", "f"),
    ] {
        assert_eq!(made, Err(Error::ReadOnly));
    }
    volume.open(file, false).unwrap();
    assert_eq!(volume.write(file, 0, b"y"), Err(Error::ReadOnly));
    assert_eq!(host.get("f"), "x");
}

#[test]
fn changes_go_straight_to_the_host() {
    let host = Scratch::new("changes_go");
    let volume = host.open(false);
    let root = volume.root();
    let dir = volume.create_dir(root, "d").unwrap();
    let file = volume.create_file(dir, "f").unwrap();
    assert_eq!(volume.create_file(dir, "f"), Err(Error::AlreadyExists));
    assert_eq!(volume.write(file, 3, b"abc"), Ok(3));
    assert_eq!(host.get("d/f"), "\0\0\0abc");
    assert_eq!(volume.append(file, b"d"), Ok((7, 1)));
    fs::write(host.path("d/f"), "longer than before").unwrap();
    assert_eq!(volume.append(file, b"!"), Ok((19, 1)));
    volume.set_len(file, 6).unwrap();
    assert_eq!(host.get("d/f"), "longer");
    assert_eq!(volume.write(file, MAX_FILE, b"x"), Err(Error::FileTooLarge));
    assert_eq!(volume.set_len(file, MAX_FILE + 1), Err(Error::FileTooLarge));
    volume.set_times(file, None, Some(5_000_000_000)).unwrap();
    assert_eq!(volume.metadata(file).unwrap().modified, 5_000_000_000);
    volume.hard_link(file, root, "g").unwrap();
    assert_eq!(volume.lookup(root, "g"), Ok(file));
    assert_eq!(volume.hard_link(dir, root, "h"), Err(Error::NotPermitted));
    assert_eq!(volume.unlink(dir, "d"), Err(Error::NotFound));
    assert_eq!(volume.unlink(root, "d"), Err(Error::IsADirectory));
    assert_eq!(volume.remove_dir(root, "d"), Err(Error::NotEmpty));
    assert_eq!(volume.remove_dir(root, "g"), Err(Error::NotADirectory));
    volume.unlink(dir, "f").unwrap();
    volume.remove_dir(root, "d").unwrap();
    assert_eq!(names(&volume, root), ["g"]);
    assert_eq!(
        contents(&volume, volume.lookup(root, "g").unwrap()),
        b"longer"
    );
}

#[test]
fn an_open_file_outlives_its_name() {
    let host = Scratch::new("an_open_file");
    let volume = host.open(false);
    let root = volume.root();
    let file = volume.create_file(root, "f").unwrap();
    volume.open(file, true).unwrap();
    volume.unlink(root, "f").unwrap();
    volume.write(file, 0, b"still").unwrap();
    assert_eq!(volume.append(file, b" here"), Ok((10, 5)));
    assert_eq!(contents(&volume, file), b"still here");
    assert_eq!(volume.metadata(file).unwrap().links, 0);
    let second = volume.create_file(root, "f").unwrap();
    assert_ne!(second, file);
    assert!(contents(&volume, second).is_empty());
    volume.closed(file);
    assert_eq!(volume.metadata(file), Err(Error::NotFound));
}

#[test]
fn nodes_follow_renames() {
    let host = Scratch::new("nodes_follow");
    host.put("a/b/f", "x");
    host.put("z", "y");
    let volume = host.open(false);
    let root = volume.root();
    let a = volume.lookup(root, "a").unwrap();
    let b = volume.lookup(a, "b").unwrap();
    let file = volume.lookup(b, "f").unwrap();
    volume.rename(root, "a", root, "c").unwrap();
    assert_eq!(contents(&volume, file), b"x");
    assert_eq!(volume.parent(b), Ok(a));
    assert_eq!(volume.lookup(root, "c"), Ok(a));
    let old = volume.lookup(root, "z").unwrap();
    volume.open(old, false).unwrap();
    volume.rename(b, "f", root, "z").unwrap();
    assert_eq!(contents(&volume, file), b"x");
    assert_eq!(contents(&volume, old), b"y");
    assert_eq!(volume.lookup(root, "z"), Ok(file));
    assert_eq!(volume.rename(root, "c", b, "d"), Err(Error::InvalidInput));
    assert_eq!(
        volume.rename(root, "z", root, "c"),
        Err(Error::IsADirectory)
    );
    assert_eq!(
        volume.rename(root, "c", root, "z"),
        Err(Error::NotADirectory)
    );
    volume.hard_link(file, root, "same").unwrap();
    volume.rename(root, "z", root, "same").unwrap();
    assert_eq!(host.get("z"), "x");
}

#[test]
fn what_takes_the_place_of_a_node_is_another_one() {
    let host = Scratch::new("what_takes");
    host.put("d/f", "inside");
    host.put("e/f", "other");
    let volume = host.open(false);
    let root = volume.root();
    let dir = volume.lookup(root, "d").unwrap();
    let file = volume.lookup(dir, "f").unwrap();
    fs::rename(host.path("d"), host.path("moved")).unwrap();
    fs::rename(host.path("e"), host.path("d")).unwrap();
    assert_eq!(volume.lookup(dir, "f"), Err(Error::NotFound));
    assert_eq!(volume.create_file(dir, "new"), Err(Error::NotFound));
    assert_eq!(volume.read(file, 0, &mut [0]), Err(Error::NotFound));
    assert_eq!(volume.write(file, 0, b"x"), Err(Error::NotFound));
    assert_eq!(volume.set_len(file, 0), Err(Error::NotFound));
    assert_eq!(volume.set_times(file, Some(1), None), Err(Error::NotFound));
    assert_eq!(volume.hard_link(file, root, "n"), Err(Error::NotFound));
    assert_eq!(host.get("d/f"), "other");
    assert_eq!(host.get("moved/f"), "inside");
}

#[test]
fn an_open_directory_stays_the_same_one() {
    let host = Scratch::new("an_open_directory");
    host.put("d/f", "inside");
    let volume = host.open(false);
    let dir = volume.lookup(volume.root(), "d").unwrap();
    volume.open(dir, false).unwrap();
    fs::rename(host.path("d"), host.path("moved")).unwrap();
    symlink("../..", host.path("d")).unwrap();
    assert_eq!(names(&volume, dir), ["f"]);
    volume.unlink(dir, "f").unwrap();
    assert!(!host.path("moved/f").exists());
    volume.closed(dir);
    assert!(volume.lookup(dir, "secret").is_err());
}

#[test]
fn what_the_host_forbids_is_denied() {
    let host = Scratch::new("what_the_host");
    host.put("f", "x");
    host.put("r", "x");
    fs::set_permissions(host.path("f"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(host.path("r"), fs::Permissions::from_mode(0o444)).unwrap();
    if fs::read(host.path("f")).is_ok() {
        return; // the superuser is denied nothing
    }
    let volume = host.open(false);
    let (file, kind) = volume.find(volume.root(), "f").unwrap();
    assert_eq!(kind, Kind::File);
    assert_eq!(volume.open(file, false), Err(Error::Denied));
    assert_eq!(volume.read(file, 0, &mut [0]), Err(Error::Denied));
    let readable = volume.lookup(volume.root(), "r").unwrap();
    volume.open(readable, false).unwrap();
    assert_eq!(contents(&volume, readable), b"x");
    assert_eq!(volume.open(readable, true), Err(Error::Denied));
}
