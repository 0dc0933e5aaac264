//! `rename` as POSIX describes it.

use eryx_vfs::{Error, FileSystem, MAX_DEPTH};

use crate::support::{contents, memory, names};

#[test]
fn a_file_replaces_a_file() {
    let (fs, root) = memory();
    let a = fs.create_file(root, "a").unwrap();
    let b = fs.create_file(root, "b").unwrap();
    fs.write(a, 0, b"new").unwrap();
    fs.write(b, 0, b"old").unwrap();
    fs.opened(b);
    fs.rename(root, "a", root, "b").unwrap();
    assert_eq!(fs.lookup(root, "b"), Ok(a));
    assert_eq!(names(&fs, root), ["b"]);
    assert_eq!(contents(&fs, b), b"old");
    fs.closed(b);
    assert_eq!(fs.metadata(b), Err(Error::NotFound));
}

#[test]
fn two_names_of_one_node_both_stay() {
    let (fs, root) = memory();
    let a = fs.create_file(root, "a").unwrap();
    fs.hard_link(a, root, "b").unwrap();
    fs.rename(root, "a", root, "b").unwrap();
    fs.rename(root, "a", root, "a").unwrap();
    assert_eq!(names(&fs, root), ["a", "b"]);
    assert_eq!(fs.metadata(a).unwrap().links, 2);
}

#[test]
fn kinds_must_match() {
    let (fs, root) = memory();
    fs.create_file(root, "f").unwrap();
    let d = fs.create_dir(root, "d").unwrap();
    let l = fs.create_symlink(root, "l", "f").unwrap();
    assert_eq!(fs.rename(root, "f", root, "d"), Err(Error::IsADirectory));
    assert_eq!(fs.rename(root, "l", root, "d"), Err(Error::IsADirectory));
    assert_eq!(fs.rename(root, "d", root, "f"), Err(Error::NotADirectory));
    assert_eq!(fs.rename(root, "d", root, "l"), Err(Error::NotADirectory));
    assert_eq!(fs.rename(root, "x", root, "f"), Err(Error::NotFound));
    assert_eq!(names(&fs, root), ["f", "d", "l"]);
    fs.rename(root, "l", root, "f").unwrap();
    assert_eq!(fs.lookup(root, "f"), Ok(l));
    assert_eq!(fs.lookup(root, "d"), Ok(d));
}

#[test]
fn a_directory_replaces_an_empty_directory_only() {
    let (fs, root) = memory();
    let a = fs.create_dir(root, "a").unwrap();
    let b = fs.create_dir(root, "b").unwrap();
    fs.create_file(a, "inside").unwrap();
    let in_b = fs.create_file(b, "inside").unwrap();
    assert_eq!(fs.rename(root, "a", root, "b"), Err(Error::NotEmpty));
    fs.unlink(b, "inside").unwrap();
    assert_eq!(fs.metadata(in_b), Err(Error::NotFound));
    fs.rename(root, "a", root, "b").unwrap();
    assert_eq!(fs.lookup(root, "b"), Ok(a));
    assert_eq!(fs.metadata(b), Err(Error::NotFound));
    assert_eq!(fs.metadata(root).unwrap().links, 3);
}

#[test]
fn a_directory_does_not_move_into_itself() {
    let (fs, root) = memory();
    let a = fs.create_dir(root, "a").unwrap();
    let b = fs.create_dir(a, "b").unwrap();
    let c = fs.create_dir(b, "c").unwrap();
    assert_eq!(fs.rename(root, "a", a, "x"), Err(Error::InvalidInput));
    assert_eq!(fs.rename(root, "a", c, "x"), Err(Error::InvalidInput));
    assert_eq!(fs.rename(a, "b", c, "x"), Err(Error::InvalidInput));
    assert_eq!(fs.rename(b, "c", root, "a"), Err(Error::NotEmpty));
    fs.rename(b, "c", root, "c").unwrap();
    fs.rename(root, "a", c, "a").unwrap();
    assert_eq!(fs.parent(a), Ok(c));
}

#[test]
fn moves_below_the_deepest_path_are_refused_not_slow() {
    let (fs, root) = memory();
    fs.create_dir(root, "moved").unwrap();
    let mut at = root;
    for _ in 0..MAX_DEPTH - 1 {
        at = fs.create_dir(at, "d").unwrap();
    }
    fs.rename(root, "moved", at, "moved").unwrap();
    let deep = fs.lookup(at, "moved").unwrap();
    fs.create_dir(root, "other").unwrap();
    assert_eq!(fs.rename(root, "other", deep, "x"), Err(Error::NameTooLong));
    fs.create_file(root, "file").unwrap();
    fs.rename(root, "file", deep, "file").unwrap();
}
