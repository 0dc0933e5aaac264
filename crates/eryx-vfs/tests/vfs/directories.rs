//! Directories: names, listing during change, removed directories.

use eryx_vfs::{Error, FileSystem, MAX_NAME};

use crate::support::{memory, names};

#[test]
fn names_are_checked_by_every_call() {
    let (fs, root) = memory();
    let long = "n".repeat(MAX_NAME + 1);
    let cases = [
        ("", Error::NotFound),
        (".", Error::InvalidInput),
        ("..", Error::InvalidInput),
        ("a/b", Error::InvalidInput),
        ("a\0", Error::InvalidInput),
        (&*long, Error::NameTooLong),
    ];
    let there = fs.create_file(root, "there").unwrap();
    for (name, error) in cases {
        assert_eq!(fs.lookup(root, name), Err(error), "{name:?}");
        assert_eq!(fs.create_file(root, name), Err(error));
        assert_eq!(fs.create_dir(root, name), Err(error));
        assert_eq!(fs.create_symlink(root, name, "x"), Err(error));
        assert_eq!(fs.hard_link(there, root, name), Err(error));
        assert_eq!(fs.unlink(root, name), Err(error));
        assert_eq!(fs.remove_dir(root, name), Err(error));
        assert_eq!(fs.rename(root, name, root, "x"), Err(error));
        assert_eq!(fs.rename(root, "there", root, name), Err(error));
    }
    assert_eq!(names(&fs, root), ["there"]);
}

#[test]
fn names_are_bytes_that_only_equal_themselves() {
    let (fs, root) = memory();
    for name in [
        "a",
        "A",
        "\u{e9}",
        "e\u{301}",
        "\u{2024}\u{2024}",
        "a\u{2215}b",
        " ",
        "\\",
        "...",
    ] {
        fs.create_file(root, name).unwrap();
    }
    fs.create_file(root, &"n".repeat(MAX_NAME)).unwrap();
    assert_eq!(fs.metadata(root).unwrap().size, 10);
}

#[test]
fn taken_names_stay_as_they_are() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    assert_eq!(fs.create_file(root, "a"), Err(Error::AlreadyExists));
    assert_eq!(fs.create_dir(root, "a"), Err(Error::AlreadyExists));
    assert_eq!(fs.create_symlink(root, "a", "b"), Err(Error::AlreadyExists));
    assert_eq!(fs.hard_link(file, root, "a"), Err(Error::AlreadyExists));
    assert_eq!(fs.lookup(root, "a"), Ok(file));
}

#[test]
fn directories_count_their_links() {
    let (fs, root) = memory();
    let a = fs.create_dir(root, "a").unwrap();
    let b = fs.create_dir(a, "b").unwrap();
    fs.create_file(a, "f").unwrap();
    assert_eq!(fs.metadata(root).unwrap().links, 3);
    assert_eq!(fs.metadata(a).unwrap().links, 3);
    assert_eq!(fs.metadata(a).unwrap().size, 2);
    assert_eq!(fs.parent(b), Ok(a));
    assert_eq!(fs.parent(root), Ok(root));
    fs.rename(a, "b", root, "b").unwrap();
    assert_eq!(fs.metadata(a).unwrap().links, 2);
    assert_eq!(fs.metadata(root).unwrap().links, 4);
    assert_eq!(fs.parent(b), Ok(root));
}

#[test]
fn only_empty_directories_are_removed() {
    let (fs, root) = memory();
    let dir = fs.create_dir(root, "d").unwrap();
    fs.create_file(dir, "f").unwrap();
    assert_eq!(fs.remove_dir(root, "d"), Err(Error::NotEmpty));
    fs.unlink(dir, "f").unwrap();
    fs.remove_dir(root, "d").unwrap();
    assert_eq!(fs.metadata(dir), Err(Error::NotFound));
    assert_eq!(fs.used_bytes(), 0);
}

#[test]
fn a_removed_open_directory_is_empty_and_stays_so() {
    let (fs, root) = memory();
    let dir = fs.create_dir(root, "d").unwrap();
    fs.opened(dir);
    fs.remove_dir(root, "d").unwrap();
    fs.create_file(root, "f").unwrap();
    assert_eq!(fs.metadata(dir).unwrap().links, 0);
    assert_eq!(fs.read_dir(dir, 0, 10), Ok(vec![]));
    assert_eq!(fs.create_file(dir, "x"), Err(Error::NotFound));
    assert_eq!(fs.rename(root, "f", dir, "x"), Err(Error::NotFound));
    assert_eq!(fs.parent(dir), Ok(root));
    fs.closed(dir);
    assert_eq!(fs.metadata(dir), Err(Error::NotFound));
}

#[test]
fn pages_of_any_size_list_each_name_once() {
    let (fs, root) = memory();
    for n in 0..300 {
        fs.create_file(root, &n.to_string()).unwrap();
    }
    for size in [1, 2, 7, 299, 300, 301] {
        let (mut seen, mut cookie) = (Vec::new(), 0);
        loop {
            let page = fs.read_dir(root, cookie, size).unwrap();
            let Some(last) = page.last() else { break };
            cookie = last.next;
            seen.extend(page.into_iter().map(|entry| entry.name.to_string()));
        }
        assert_eq!(seen, names(&fs, root));
        assert_eq!(seen.len(), 300);
    }
    assert_eq!(fs.read_dir(root, 0, 0), Ok(vec![]));
    assert_eq!(fs.read_dir(root, u64::MAX, 10), Ok(vec![]));
}

#[test]
fn listing_goes_on_while_names_come_and_go() {
    let (fs, root) = memory();
    for n in 0..100 {
        fs.create_file(root, &n.to_string()).unwrap();
    }
    let (mut seen, mut cookie) = (Vec::new(), 0);
    while let Some(entry) = fs.read_dir(root, cookie, 1).unwrap().pop() {
        cookie = entry.next;
        fs.unlink(root, &entry.name).unwrap();
        if seen.len() < 10 {
            fs.create_file(root, &format!("new{}", seen.len())).unwrap();
        }
        seen.push(entry.name.to_string());
    }
    let expected = (0..100).map(|n| n.to_string());
    let expected: Vec<_> = expected.chain((0..10).map(|n| format!("new{n}"))).collect();
    assert_eq!(seen, expected);
    assert_eq!(names(&fs, root), [""; 0]);
}

#[test]
fn renaming_what_is_listed_comes_to_an_end() {
    let (fs, root) = memory();
    for n in 0..50 {
        fs.create_file(root, &n.to_string()).unwrap();
    }
    let (mut steps, mut cookie) = (0, 0);
    while let Some(entry) = fs.read_dir(root, cookie, 1).unwrap().pop() {
        cookie = entry.next;
        steps += 1;
        let new = format!("x{}", entry.name);
        fs.rename(root, &entry.name, root, &new).unwrap();
    }
    assert_eq!(steps, 50);
    assert!(names(&fs, root).iter().all(|name| name.starts_with('x')));
}

#[test]
fn a_replaced_name_does_not_vanish_from_a_listing() {
    let (fs, root) = memory();
    for name in ["old", "b", "keep"] {
        fs.create_file(root, name).unwrap();
    }
    let first = fs.read_dir(root, 0, 1).unwrap();
    assert_eq!(&*first[0].name, "old");
    fs.rename(root, "old", root, "keep").unwrap();
    let rest = fs.read_dir(root, first[0].next, 10).unwrap();
    let rest: Vec<_> = rest.iter().map(|entry| &*entry.name).collect();
    assert_eq!(rest, ["b", "keep"]);
}
