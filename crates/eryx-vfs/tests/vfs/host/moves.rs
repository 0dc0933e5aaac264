//! Links of the host's that code moves: they never come to lead out of the volume.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use eryx_vfs::{Error, HostFs, Location, MAX_HOST_MOVED, Namespace};

use super::{Scratch, fill};

/// A volume at `/v` with these links in it.
fn volume(name: &str, links: &[(&str, &str)]) -> (Scratch, Namespace, Location) {
    let scratch = Scratch::new(name);
    for (path, target) in links {
        let path = scratch.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
    let (ns, root) = scratch.mounted(false);
    (scratch, ns, root)
}

/// Asks again while tests that run at the same time move something large on the device.
fn patiently(call: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        match call() {
            Err(Error::Busy) if start.elapsed() < Duration::from_mins(1) => thread::yield_now(),
            result => return result,
        }
    }
}

fn rename_once(ns: &Namespace, from: &str, to: &str) -> Result<(), Error> {
    let root = ns.root();
    ns.rename(root, &format!("/v/{from}"), root, &format!("/v/{to}"))
}

fn rename(ns: &Namespace, from: &str, to: &str) -> Result<(), Error> {
    patiently(|| rename_once(ns, from, to))
}

fn link(ns: &Namespace, from: &str, to: &str) -> Result<(), Error> {
    let at = ns.resolve(ns.root(), &format!("/v/{from}"), false)?;
    patiently(|| ns.hard_link(at, ns.root(), &format!("/v/{to}")))
}

/// So many directories in each other below `path`, which is made.
fn chain(path: &Path, levels: usize) {
    let mut path = path.to_path_buf();
    path.extend(vec!["d"; levels]);
    fs::create_dir_all(path).unwrap();
}

/// Every link below the volume, followed by the host, stays in it or leads nowhere.
fn assert_inside(scratch: &Scratch) {
    let top = scratch.path("").canonicalize().unwrap();
    let mut pending = vec![top.clone()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                pending.push(path.clone());
            }
            let target = if kind.is_symlink() {
                resolved(&path)
            } else {
                path.clone()
            };
            let shown = (path.display(), target.display());
            assert!(target.starts_with(&top), "{} leads to {}", shown.0, shown.1);
        }
    }
}

/// Where a link's own text leads from its directory.
fn resolved(link: &Path) -> PathBuf {
    let mut at = link.parent().unwrap().canonicalize().unwrap();
    for part in fs::read_link(link).unwrap().components() {
        match part {
            std::path::Component::ParentDir => drop(at.pop()),
            part => at.push(part),
        }
    }
    at
}

#[test]
fn a_link_is_moved_as_far_as_it_stays_inside() {
    let (scratch, ns, _) = volume("moved_link", &[("a/b/up", "../../f"), ("a/here", "b/x")]);
    fs::create_dir_all(scratch.path("c/d/e")).unwrap();
    assert_eq!(rename(&ns, "a/b/up", "up"), Err(Error::NotPermitted));
    assert_eq!(rename(&ns, "a/b/up", "c/up"), Err(Error::NotPermitted));
    assert_eq!(link(&ns, "a/b/up", "up"), Err(Error::NotPermitted));
    assert_eq!(link(&ns, "a/b/up", "a/up"), Err(Error::NotPermitted));
    assert_inside(&scratch);
    assert_eq!(rename(&ns, "a/b/up", "a/b/other"), Ok(()));
    assert_eq!(link(&ns, "a/b/other", "c/d/e/up"), Ok(()));
    assert_eq!(rename(&ns, "a/b/other", "c/d/up"), Ok(()));
    assert_eq!(rename(&ns, "a/here", "here"), Ok(()));
    assert_eq!(link(&ns, "here", "c/here"), Ok(()));
    assert_eq!(
        scratch.path("c/d/up").read_link().unwrap(),
        Path::new("../../f")
    );
    assert_inside(&scratch);
}

#[test]
fn a_link_that_leads_out_already_stays_where_it_is() {
    let out = [
        ("d/far", "../../secret"),
        ("d/root", "/etc"),
        ("d/back", "x/../../y"),
    ];
    let (scratch, ns, _) = volume("outward_link", &out);
    fs::create_dir_all(scratch.path("e/e/e")).unwrap();
    for name in ["far", "root", "back"] {
        let from = format!("d/{name}");
        for to in ["d/other", "other"] {
            let expected = Err(Error::NotPermitted);
            assert_eq!(rename(&ns, &from, to), expected, "{from} {to}");
            assert_eq!(link(&ns, &from, to), expected, "{from} {to}");
        }
    }
    assert_eq!(rename(&ns, "d", "e/moved"), Err(Error::NotPermitted));
    for name in ["far", "root", "back"] {
        ns.unlink(ns.root(), &format!("/v/d/{name}")).unwrap();
    }
    assert_eq!(rename(&ns, "d", "e/moved"), Ok(()));
}

#[test]
fn a_directory_is_moved_as_far_as_the_links_in_it_stay_inside() {
    let links = [
        ("a/b/c/d/up", "../../../../f"),
        ("a/b/c/in", "d/../x"),
        ("p/q/r/up", "../s"),
    ];
    let (scratch, ns, _) = volume("moved_directory", &links);
    fs::remove_file(scratch.path("a/b/c/in")).unwrap();
    fs::create_dir_all(scratch.path("t/u/v")).unwrap();
    // Each takes the link one step nearer to the top.
    for (from, to) in [
        ("a/b/c", "a/c"),
        ("a/b", "b"),
        ("a/b/c/d", "a/b/d"),
        ("a/b/c/d", "t/u/d"),
    ] {
        assert_eq!(
            rename(&ns, from, to),
            Err(Error::NotPermitted),
            "{from} {to}"
        );
    }
    assert_inside(&scratch);
    assert_eq!(rename(&ns, "a/b/c", "t/u/c"), Ok(()));
    assert_eq!(rename(&ns, "t/u/c", "t/u/v/c"), Ok(()));
    assert_eq!(rename(&ns, "t", "a/b/t"), Ok(()));
    assert_inside(&scratch);
    // Back up, step by step: as far as it leads to the top.
    assert_eq!(rename(&ns, "a/b/t/u/v/c", "a/b/c"), Ok(()));
    assert_eq!(rename(&ns, "a/b", "b"), Err(Error::NotPermitted));
    // What stays within the directory goes with it anywhere.
    assert_eq!(rename(&ns, "p/q", "q"), Ok(()));
    assert_eq!(rename(&ns, "q", "a/b/q"), Ok(()));
    assert_eq!(rename(&ns, "a/b/q/r", "r"), Ok(()));
    assert_inside(&scratch);
}

#[test]
fn two_names_that_are_exchanged_are_three_moves() {
    let links = [("a/b/x", "../../f"), ("y", "z")];
    let (scratch, ns, _) = volume("exchanged", &links);
    assert_eq!(rename(&ns, "y", "a/b/tmp"), Ok(()));
    assert_eq!(rename(&ns, "a/b/x", "y"), Err(Error::NotPermitted));
    assert_eq!(rename(&ns, "a/b/tmp", "a/b/x"), Ok(()));
    assert_inside(&scratch);
}

#[test]
fn the_place_of_a_directory_that_was_moved_meanwhile_does_not_count() {
    let (scratch, one, root) = volume("moved_meanwhile", &[("a/b/c/up", "../../../f")]);
    fs::create_dir_all(scratch.path("p/q/r")).unwrap();
    symlink("..", scratch.path("p/up")).unwrap();
    let (two, _) = scratch.mounted(false);
    // The first run has the directory open where it was; the second moves it up, and makes the old path lead there.
    let held = one.resolve(root, "/v/p/q/r", true).unwrap();
    one.fs(held).open(held.node, false).unwrap();
    assert_eq!(rename(&two, "p/q/r", "r"), Ok(()));
    assert_eq!(two.remove_dir(root, "/v/p/q"), Ok(()));
    assert_eq!(rename(&two, "p/up", "p/q"), Ok(()));
    assert!(scratch.path("p/q/r").is_dir());
    let moved = patiently(|| one.rename(root, "/v/a/b/c/up", held, "up"));
    assert!(moved.is_err());
    assert_inside(&scratch);
}

#[test]
fn directories_with_too_much_in_them_are_not_moved() {
    let (scratch, ns, _) = volume("too_much_to_move", &[]);
    for dir in ["d/one", "d/two"] {
        fill(&scratch.path(dir), MAX_HOST_MOVED / 2);
    }
    assert_eq!(rename(&ns, "d/one", "one"), Ok(()));
    assert_eq!(rename(&ns, "one", "d/one"), Ok(()));
    fs::create_dir(scratch.path("e")).unwrap();
    assert_eq!(rename(&ns, "d", "e/d"), Err(Error::TooManyEntries));
    assert!(scratch.path("d/one/1").exists());
}

#[test]
fn directories_that_are_too_deep_are_not_moved() {
    let (scratch, ns, _) = volume("too_deep_to_move", &[]);
    fs::create_dir(scratch.path("e")).unwrap();
    chain(&scratch.path("fits"), HostFs::MAX_MOVED_LEVELS);
    assert_eq!(rename(&ns, "fits", "e/fits"), Ok(()));
    assert_eq!(rename(&ns, "e/fits", "fits"), Ok(()));
    for levels in [HostFs::MAX_MOVED_LEVELS + 1, 500] {
        chain(&scratch.path("deep"), levels);
        let refused = rename(&ns, "deep", "e/deep");
        assert_eq!(refused, Err(Error::TooManyEntries), "{levels}");
        assert!(scratch.path("deep/d").exists());
    }
}

#[test]
fn a_directory_gets_another_name_where_it_is_whatever_is_in_it() {
    let links = [("a/d/b/up", "../../../f"), ("a/d/top", "../f")];
    let (scratch, ns, _) = volume("another_name", &links);
    fill(&scratch.path("a/d/many"), MAX_HOST_MOVED + 1);
    chain(&scratch.path("a/d/deep"), HostFs::MAX_MOVED_LEVELS + 1);
    let leads = |link: &str| resolved(&scratch.path(link));
    let before = (leads("a/d/b/up"), leads("a/d/top"));
    assert_eq!(rename(&ns, "a/d", "a/e"), Ok(()));
    assert!(!scratch.path("a/d").exists());
    assert_eq!((leads("a/e/b/up"), leads("a/e/top")), before);
    assert_inside(&scratch);
    assert_eq!(rename(&ns, "a/e", "e"), Err(Error::TooManyEntries));
    // The one that it is in may be called something else as well.
    assert_eq!(rename(&ns, "a", "c"), Ok(()));
    assert!(scratch.path("c/e/many/1").exists());
    assert_inside(&scratch);
}

#[test]
fn a_move_does_not_wait_while_something_large_is_moved() {
    let (scratch, one, _) = volume("busy_moves", &[]);
    // Each link is read, so looking at all of them takes longer than a move waits.
    fs::create_dir_all(scratch.path("d/many")).unwrap();
    for n in 0..10_000 {
        symlink("x", scratch.path("d/many").join(n.to_string())).unwrap();
    }
    scratch.put("f", "");
    let (two, _) = scratch.mounted(false);
    let done = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && start.elapsed() < Duration::from_mins(1) {
                assert_eq!(rename(&one, "d/many", "many"), Ok(()));
                assert_eq!(rename(&one, "many", "d/many"), Ok(()));
            }
        });
        let mut results = (0..).map(|turn| {
            let names = ["f", "g"];
            let (from, to) = (names[turn % 2], names[(turn + 1) % 2]);
            rename_once(&two, from, to)
        });
        let refused = results.find(|result| result.is_err() || start.elapsed().as_secs() >= 60);
        done.store(true, Ordering::Relaxed);
        assert_eq!(refused, Some(Err(Error::Busy)));
    });
    assert!(scratch.path("f").exists() != scratch.path("g").exists());
    assert!(scratch.path("d/many/1").is_symlink());
}
