//! Hard and symbolic links.

use std::time::Duration;

use eryx_vfs::{Error, FileSystem, Kind, MAX_LINKS, MAX_PATH};

use crate::support::{contents, memory, names, namespace, quickly};

#[test]
fn hard_links_are_the_same_file() {
    let (fs, root) = memory();
    let dir = fs.create_dir(root, "d").unwrap();
    let file = fs.create_file(root, "a").unwrap();
    fs.hard_link(file, dir, "b").unwrap();
    assert_eq!(fs.metadata(file).unwrap().links, 2);
    fs.unlink(root, "a").unwrap();
    fs.write(file, 0, b"x").unwrap();
    assert_eq!(contents(&fs, fs.lookup(dir, "b").unwrap()), b"x");
    assert_eq!(fs.hard_link(dir, root, "e"), Err(Error::NotPermitted));
    let link = fs.create_symlink(root, "l", "nowhere").unwrap();
    fs.hard_link(link, root, "m").unwrap();
    assert_eq!(
        &*fs.read_link(fs.lookup(root, "m").unwrap()).unwrap(),
        "nowhere"
    );
}

#[test]
fn targets_are_kept_as_given_and_checked() {
    let (fs, root) = memory();
    let longest = "t".repeat(MAX_PATH);
    let link = fs.create_symlink(root, "l", &longest).unwrap();
    assert_eq!(&*fs.read_link(link).unwrap(), longest);
    assert_eq!(fs.metadata(link).unwrap().size, MAX_PATH as u64);
    let over = "t".repeat(MAX_PATH + 1);
    assert_eq!(fs.create_symlink(root, "m", &over), Err(Error::NameTooLong));
    assert_eq!(fs.create_symlink(root, "m", ""), Err(Error::NotFound));
    assert_eq!(
        fs.create_symlink(root, "m", "a\0b"),
        Err(Error::InvalidInput)
    );
}

#[test]
fn a_directory_with_a_dangling_link_lists() {
    let (ns, root) = namespace();
    let link = ns.create_symlink("/no/where", root, "l").unwrap();
    let fs = ns.fs(root);
    assert_eq!(names(&**fs, root.node), ["l"]);
    assert_eq!(fs.read_dir(root.node, 0, 9).unwrap()[0].kind, Kind::Symlink);
    assert_eq!(ns.resolve(root, "l", true), Err(Error::NotFound));
    assert_eq!(ns.resolve(root, "l", false), Ok(link));
}

#[test]
fn links_resolve_from_where_they_are_and_stay_inside() {
    let (ns, root) = namespace();
    let dir = ns.create_dir(root, "d").unwrap();
    let file = ns.create_file(root, "d/f").unwrap();
    for (name, target) in [
        ("d/near", "f"),
        ("up", "../../../../d/f"),
        ("abs", "/d/f"),
        ("via", "d/near"),
        ("far", "/../../../d/./near"),
    ] {
        ns.create_symlink(target, root, name).unwrap();
        assert_eq!(ns.resolve(root, name, true), Ok(file), "{name}");
    }
    ns.create_symlink("/", root, "top").unwrap();
    ns.create_symlink("..", root, "d/above").unwrap();
    assert_eq!(ns.resolve(root, "top", true), Ok(root));
    assert_eq!(ns.resolve(dir, "above/d/above/d/f", true), Ok(file));
    assert_eq!(ns.resolve(dir, "../top/d", true), Ok(dir));
}

#[test]
fn a_slash_behind_a_link_follows_it() {
    let (ns, root) = namespace();
    let dir = ns.create_dir(root, "d").unwrap();
    ns.create_file(root, "f").unwrap();
    let to_dir = ns.create_symlink("d", root, "ld").unwrap();
    ns.create_symlink("f", root, "lf").unwrap();
    ns.create_symlink("f/", root, "lfs").unwrap();
    ns.create_symlink("ld/", root, "lld").unwrap();
    assert_eq!(ns.resolve(root, "ld", false), Ok(to_dir));
    assert_eq!(ns.resolve(root, "ld/", false), Ok(dir));
    assert_eq!(ns.resolve(root, "ld/.", false), Ok(dir));
    assert_eq!(ns.resolve(root, "lld", true), Ok(dir));
    assert_eq!(ns.resolve(root, "lf/", true), Err(Error::NotADirectory));
    assert_eq!(ns.resolve(root, "lfs", true), Err(Error::NotADirectory));
    assert_eq!(ns.unlink(root, "ld/"), Err(Error::NotADirectory));
    assert_eq!(ns.remove_dir(root, "ld/"), Err(Error::NotADirectory));
    ns.unlink(root, "ld").unwrap();
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let (ns, root) = namespace();
    let file = ns.create_file(root, "0").unwrap();
    for n in 1..=MAX_LINKS + 1 {
        ns.create_symlink(&(n - 1).to_string(), root, &n.to_string())
            .unwrap();
    }
    assert_eq!(ns.resolve(root, &MAX_LINKS.to_string(), true), Ok(file));
    let over = (MAX_LINKS + 1).to_string();
    assert_eq!(ns.resolve(root, &over, true), Err(Error::TooManyLinks));
    ns.create_symlink("loop", root, "loop").unwrap();
    assert_eq!(ns.resolve(root, "loop", true), Err(Error::TooManyLinks));
    assert_eq!(ns.resolve(root, "loop/x", false), Err(Error::TooManyLinks));
    assert!(ns.resolve(root, "loop", false).is_ok());
}

#[test]
fn long_link_targets_cost_linear_time() {
    let (ns, root) = namespace();
    let link = format!("{}l", "./".repeat(MAX_PATH / 2 - 1));
    ns.create_symlink(&link, root, "l").unwrap();
    quickly(Duration::from_secs(1), || {
        assert_eq!(ns.resolve(root, "l/l/l/l", true), Err(Error::TooManyLinks));
    });
}

#[test]
fn creating_through_links_makes_their_target() {
    let (ns, root) = namespace();
    ns.create_dir(root, "d").unwrap();
    ns.create_symlink("d/new", root, "l").unwrap();
    ns.create_symlink("no/new", root, "broken").unwrap();
    ns.create_symlink("d/other/", root, "slash").unwrap();
    assert_eq!(ns.create_file(root, "l"), Err(Error::AlreadyExists));
    assert_eq!(ns.create_dir(root, "l"), Err(Error::AlreadyExists));
    let (made, fresh) = ns.open_or_create(root, "l").unwrap();
    assert!(fresh);
    assert_eq!(ns.resolve(root, "d/new", false), Ok(made));
    assert_eq!(ns.open_or_create(root, "l"), Ok((made, false)));
    assert_eq!(ns.open_or_create(root, "broken"), Err(Error::NotFound));
    assert_eq!(ns.open_or_create(root, "slash"), Err(Error::IsADirectory));
    assert_eq!(ns.open_or_create(root, "x/"), Err(Error::IsADirectory));
    assert_eq!(
        ns.open_or_create(root, "d/new/x"),
        Err(Error::NotADirectory)
    );
}
