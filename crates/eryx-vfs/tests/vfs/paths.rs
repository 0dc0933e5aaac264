//! Paths: what resolves, what is refused, and what the last component is.

use eryx_vfs::{Error, Location, MAX_NAME, MAX_PATH, Namespace, NodeId};

use crate::support::namespace;

fn tree() -> (Namespace, Location, Location, Location) {
    let (ns, root) = namespace();
    let dir = ns.create_dir(root, "d").unwrap();
    let file = ns.create_file(dir, "f").unwrap();
    (ns, root, dir, file)
}

#[test]
fn dots_and_slashes() {
    let (ns, root, dir, file) = tree();
    for path in [
        "/d/f",
        "d/f",
        "d//f",
        "./d/./f",
        "//d///f",
        "d/../d/f",
        "../../d/f",
        "/../d/f",
    ] {
        assert_eq!(ns.resolve(root, path, true), Ok(file), "{path}");
    }
    for path in ["f", "./f", "../d/f", "/d/f", "../../../d/f"] {
        assert_eq!(ns.resolve(dir, path, true), Ok(file), "{path}");
    }
    for path in ["/", "//", ".", "..", "/..", "/../..", "d/..", "./"] {
        assert_eq!(ns.resolve(root, path, true), Ok(root), "{path}");
    }
    assert_eq!(ns.resolve(root, "d/", true), Ok(dir));
}

#[test]
fn files_are_no_directories() {
    let (ns, root, _, file) = tree();
    for path in ["d/f/", "d/f/.", "d/f/..", "d/f/x", "d/f//"] {
        assert_eq!(
            ns.resolve(root, path, true),
            Err(Error::NotADirectory),
            "{path}"
        );
    }
    for path in [".", "..", "x"] {
        assert_eq!(
            ns.resolve(file, path, true),
            Err(Error::NotADirectory),
            "{path}"
        );
    }
    assert_eq!(ns.resolve(file, "/d/f", true), Ok(file));
}

#[test]
fn what_looks_like_a_way_out_is_only_a_name() {
    let (ns, root, _, _) = tree();
    for path in [
        "%2e%2e/d",
        "\u{2025}/d",
        "\u{ff0e}\u{ff0e}/d",
        "..\\d",
        ".. /d",
        ".../d",
        "~",
    ] {
        assert_eq!(ns.resolve(root, path, true), Err(Error::NotFound), "{path}");
    }
    assert_eq!(ns.resolve(root, "d\0/f", true), Err(Error::InvalidInput));
    assert_eq!(ns.resolve(root, "\0", true), Err(Error::InvalidInput));
    assert_eq!(ns.resolve(root, "", true), Err(Error::NotFound));
    assert_eq!(ns.resolve_parent(root, "").unwrap_err(), Error::NotFound);
}

#[test]
fn the_longest_path_works_and_one_more_byte_does_not() {
    let (ns, root, _, file) = tree();
    let mut path = "/".repeat(MAX_PATH - 3) + "d/f";
    assert_eq!(ns.resolve(root, &path, true), Ok(file));
    path.insert(0, '/');
    assert_eq!(ns.resolve(root, &path, true), Err(Error::NameTooLong));
    assert_eq!(
        ns.resolve_parent(root, &path).unwrap_err(),
        Error::NameTooLong
    );
    let up = "../".repeat(MAX_PATH / 3);
    assert_eq!(ns.resolve(root, &up, true), Ok(root));
    let name = "n".repeat(MAX_NAME + 1);
    assert_eq!(ns.resolve(root, &name, true), Err(Error::NameTooLong));
    assert_eq!(
        ns.resolve_parent(root, &name).unwrap_err(),
        Error::NameTooLong
    );
    assert_eq!(ns.open_or_create(root, &name), Err(Error::NameTooLong));
    assert!(ns.create_file(root, &name[1..]).is_ok());
}

#[test]
fn the_last_component_is_split_off() {
    let (ns, root, dir, _) = tree();
    let cases = [
        ("x", root, "x"),
        ("/x", root, "x"),
        ("d/x", dir, "x"),
        ("d//x//", dir, "x"),
        ("d/../d/f", dir, "f"),
        ("d", root, "d"),
        ("d/", root, "d"),
        ("d/.", dir, "."),
        ("d/..", dir, ".."),
        ("/", root, "."),
        (".", root, "."),
    ];
    for (path, parent, name) in cases {
        let (found, last) = ns.resolve_parent(root, path).unwrap();
        assert_eq!((found, &*last), (parent, name), "{path}");
    }
    let refused = |path| ns.resolve_parent(root, path).unwrap_err();
    assert_eq!(refused("d/f/"), Error::NotADirectory);
    assert_eq!(refused("d/f/x"), Error::NotADirectory);
    assert_eq!(refused("no/x"), Error::NotFound);
}

#[test]
fn trailing_slashes_and_dots_in_changes() {
    let (ns, root, _, _) = tree();
    assert!(ns.create_dir(root, "new//").is_ok());
    assert_eq!(ns.create_dir(root, "/"), Err(Error::AlreadyExists));
    assert_eq!(ns.create_dir(root, "d/."), Err(Error::AlreadyExists));
    assert_eq!(ns.create_dir(root, "d/f/"), Err(Error::AlreadyExists));
    assert_eq!(ns.create_file(root, "y/"), Err(Error::IsADirectory));
    assert_eq!(ns.create_symlink("d", root, "y/"), Err(Error::NotFound));
    assert_eq!(ns.unlink(root, "d/f/"), Err(Error::NotADirectory));
    assert_eq!(ns.unlink(root, "."), Err(Error::IsADirectory));
    assert_eq!(ns.unlink(root, "d/"), Err(Error::IsADirectory));
    assert_eq!(ns.remove_dir(root, "new/."), Err(Error::InvalidInput));
    assert_eq!(ns.remove_dir(root, "new/.."), Err(Error::NotEmpty));
    assert_eq!(ns.remove_dir(root, "/"), Err(Error::NotPermitted));
    assert_eq!(
        ns.rename(root, "d/f", root, "g/"),
        Err(Error::NotADirectory)
    );
    assert_eq!(
        ns.rename(root, "d/f/", root, "g"),
        Err(Error::NotADirectory)
    );
    assert_eq!(ns.rename(root, "d/..", root, "g"), Err(Error::Busy));
    ns.rename(root, "new/", root, "newer/").unwrap();
    ns.remove_dir(root, "newer/").unwrap();
    let file = ns.resolve(root, "d/f", true).unwrap();
    assert_eq!(ns.hard_link(file, root, "z/"), Err(Error::NotFound));
    ns.hard_link(file, root, "z").unwrap();
}

#[test]
fn a_start_that_is_gone_leads_nowhere() {
    let (ns, root, _, _) = tree();
    let gone = ns.create_dir(root, "gone").unwrap();
    ns.fs(gone).opened(gone.node);
    ns.remove_dir(root, "gone").unwrap();
    assert_eq!(ns.resolve(gone, "x", true), Err(Error::NotFound));
    assert_eq!(ns.resolve(gone, "..", true), Ok(root));
    assert_eq!(ns.open_or_create(gone, "x"), Err(Error::NotFound));
    assert_eq!(ns.create_dir(gone, "x"), Err(Error::NotFound));
    ns.fs(gone).closed(gone.node);
    assert_eq!(ns.resolve(gone, ".", true), Err(Error::NotFound));
    assert_eq!(ns.resolve(gone, "..", true), Err(Error::NotFound));
    assert_eq!(ns.create_dir(gone, "x"), Err(Error::NotFound));
}

#[test]
fn locations_of_unknown_mounts_lead_nowhere() {
    let (ns, root, _, _) = tree();
    for node in [0, 1, 2, u64::MAX] {
        let bad = Location {
            mount: 7,
            node: NodeId(node),
        };
        assert!(ns.resolve(bad, "d", true).is_err());
        assert!(ns.create_file(bad, "x").is_err());
        assert_eq!(ns.resolve(bad, "/", true), Ok(root));
        assert_eq!(ns.device(bad), u64::MAX);
    }
}
