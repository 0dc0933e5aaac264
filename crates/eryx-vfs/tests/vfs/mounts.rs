//! The mount table.

use std::sync::Arc;

use eryx_vfs::{Error, FileSystem, Kind, Location, MAX_MOUNTS, MemoryFs, Namespace};

use crate::support::{ROOMY, names};

fn fresh() -> Arc<MemoryFs> {
    Arc::new(MemoryFs::new(ROOMY))
}

/// `/`, `/data` and `/data/in` are mounts.
fn three() -> (Namespace, [Arc<MemoryFs>; 3]) {
    let all = [fresh(), fresh(), fresh()];
    all[0].create_dir(all[0].root(), "data").unwrap();
    all[1].create_dir(all[1].root(), "in").unwrap();
    let mut ns = Namespace::new(all[0].clone());
    ns.mount("/data", all[1].clone()).unwrap();
    ns.mount("/data/in", all[2].clone()).unwrap();
    (ns, all)
}

#[test]
fn paths_cross_mounts_both_ways() {
    let (ns, all) = three();
    let root = ns.root();
    let file = ns.create_file(root, "/data/in/f").unwrap();
    assert_eq!(file.mount, 2);
    assert_eq!(names(&*all[2], all[2].root()), ["f"]);
    let inner = ns.resolve(root, "data/in", true).unwrap();
    assert_eq!(ns.resolve(inner, "../../data/in/f", true), Ok(file));
    assert_eq!(
        ns.resolve(inner, "..", true),
        ns.resolve(root, "data", true)
    );
    assert_eq!(ns.resolve(inner, "../..", true), Ok(root));
    assert_eq!(ns.resolve(inner, "../../..", true), Ok(root));
    all[2]
        .create_symlink(inner.node, "l", "/data/in/f")
        .unwrap();
    assert_eq!(ns.resolve(inner, "l", true), Ok(file));
    assert_eq!(names(&*all[0], root.node), ["data"]);
}

#[test]
fn mounts_are_found_and_replaced() {
    let (mut ns, all) = three();
    assert_eq!(ns.mount_at("/"), Some(0));
    assert_eq!(ns.mount_at("/data/"), Some(1));
    assert_eq!(ns.mount_at("/data/in"), Some(2));
    assert_eq!(ns.mount_at("/nope"), None);
    let before = ns.clone();
    let fork = Arc::new(all[1].fork());
    ns.replace(1, fork.clone());
    ns.replace(99, fork.clone());
    ns.create_file(ns.root(), "/data/f").unwrap();
    assert_eq!(names(&*fork, fork.root()), ["in", "f"]);
    assert_eq!(names(&*all[1], all[1].root()), ["in"]);
    assert!(before.resolve(before.root(), "/data/f", true).is_err());
    assert_eq!(ns.mount_at("/data/in"), Some(2));
}

#[test]
fn a_later_mount_covers_an_earlier_one() {
    let (mut ns, _) = three();
    ns.mount("/data", fresh()).unwrap();
    assert_eq!(ns.mount_at("/data"), Some(3));
    assert!(ns.resolve(ns.root(), "/data/in", true).is_err());
    let top = ns.resolve(ns.root(), "/data", true).unwrap();
    assert_eq!(ns.resolve(top, "..", true), Ok(ns.root()));
    ns.mount("/", fresh()).unwrap();
    assert_eq!(ns.root().mount, 4);
    assert_eq!(ns.resolve(top, "/..", true), Ok(ns.root()));
    assert!(ns.resolve(ns.root(), "data", true).is_err());
}

#[test]
fn mount_points_are_spared() {
    let (ns, _) = three();
    let root = ns.root();
    ns.create_dir(root, "d").unwrap();
    assert_eq!(ns.remove_dir(root, "data"), Err(Error::NotPermitted));
    assert_eq!(ns.remove_dir(root, "data/in/"), Err(Error::NotPermitted));
    assert_eq!(ns.unlink(root, "data"), Err(Error::NotPermitted));
    assert_eq!(ns.rename(root, "data", root, "x"), Err(Error::NotPermitted));
    assert_eq!(ns.rename(root, "d", root, "data"), Err(Error::NotPermitted));
    assert_eq!(ns.create_dir(root, "data"), Err(Error::AlreadyExists));
    assert_eq!(ns.create_file(root, "data"), Err(Error::AlreadyExists));
}

#[test]
fn nothing_moves_between_mounts() {
    let (ns, _) = three();
    let root = ns.root();
    let file = ns.create_file(root, "f").unwrap();
    assert_eq!(
        ns.rename(root, "f", root, "data/f"),
        Err(Error::CrossDevice)
    );
    assert_eq!(ns.hard_link(file, root, "data/f"), Err(Error::CrossDevice));
    let data = ns.resolve(root, "data", true).unwrap();
    assert_ne!(ns.device(root), ns.device(data));
}

#[test]
fn one_file_system_at_two_places_is_one_device() {
    let (mut ns, all) = three();
    ns.create_dir(ns.root(), "again").unwrap();
    ns.mount("/again", all[1].clone()).unwrap();
    let file = ns.create_file(ns.root(), "/data/f").unwrap();
    let same = ns.resolve(ns.root(), "/again/f", true).unwrap();
    assert_ne!(file, same);
    assert_eq!(file.node, same.node);
    assert_eq!(ns.device(file), ns.device(same));
}

#[test]
fn only_directories_are_mounted_over_by_directories() {
    let (mut ns, _) = three();
    let root = ns.root();
    ns.create_file(root, "f").unwrap();
    ns.create_symlink("data/in", root, "l").unwrap();
    assert_eq!(ns.mount("/f", fresh()), Err(Error::NotADirectory));
    assert_eq!(ns.mount("/no", fresh()), Err(Error::NotFound));
    ns.mount("/l", fresh()).unwrap();
    assert_eq!(ns.mount_at("/data/in"), Some(3));
    let covered = Location {
        mount: 3,
        node: ns.fs(root).root(),
    };
    assert_eq!(ns.metadata(covered).unwrap().kind, Kind::Directory);
}

#[test]
fn the_mount_table_has_a_limit() {
    let (mut ns, _) = three();
    for _ in 3..MAX_MOUNTS {
        ns.mount("/data", fresh()).unwrap();
    }
    assert_eq!(ns.mount("/data", fresh()), Err(Error::InvalidInput));
    assert_eq!(ns.mount_at("/data"), u32::try_from(MAX_MOUNTS - 1).ok());
}
