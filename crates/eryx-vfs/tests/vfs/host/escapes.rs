//! Host directories: no way out.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eryx_vfs::{Error, FileSystem};

use super::{Scratch, read};

#[test]
fn links_that_stay_inside_are_followed() {
    let host = Scratch::new("links_inside");
    host.put("d/e/f", "x");
    for (link, target) in [
        ("l", "d/e/f"),
        ("d/e/near", "f"),
        ("d/e/up", "../../l"),
        ("dir", "d/e"),
        ("d/back", ".."),
        ("via", "d/back/dir/../e/near"),
    ] {
        symlink(target, host.path(link)).unwrap();
    }
    let (ns, _) = host.mounted(true);
    for path in ["l", "d/e/near", "d/e/up", "dir/f", "d/back/l", "via"] {
        assert_eq!(read(&ns, &format!("/v/{path}")).unwrap(), b"x", "{path}");
    }
    assert_eq!(read(&ns, "/v/dir/../../l"), Ok(b"x".to_vec()));
    assert_eq!(read(&ns, "/v/d/back/../inside"), Ok(Vec::new()));
}

#[test]
fn links_that_leave_do_not_resolve_and_tell_nothing() {
    let host = Scratch::new("links_leave");
    host.put("d/f", "x");
    let outside = host.path("").parent().unwrap().join("secret");
    let inside = host.path("d/f");
    for (link, target) in [
        ("abs", outside.to_str().unwrap()),
        ("abs_inside", inside.to_str().unwrap()),
        ("root", "/"),
        ("up", "../secret"),
        ("d/up2", "../../secret"),
        ("far", "../../../../../../../etc/passwd"),
        ("again", "d/../../volume/d/f"),
        ("guest", "../inside"),
    ] {
        symlink(target, host.path(link)).unwrap();
        let (ns, root) = host.mounted(false);
        let path = format!("/v/{link}");
        assert_eq!(read(&ns, &path), Err(Error::NotPermitted), "{link}");
        let at = ns.resolve(root, &path, false).unwrap();
        assert_eq!(ns.fs(at).read_link(at.node), Err(Error::NotPermitted));
        assert_eq!(ns.open_or_create(root, &path), Err(Error::NotPermitted));
        assert_eq!(
            ns.create_file(root, &format!("{path}/x")),
            Err(Error::NotPermitted)
        );
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "outside");
}

#[test]
fn links_whose_text_hides_it_do_not_lead_out_either() {
    let host = Scratch::new("links_hide");
    host.put("d/f", "x");
    symlink("..", host.path("d/top")).unwrap();
    // As text it stays in "d"; as a path it goes to the top and above it.
    symlink("top/../inside", host.path("d/out")).unwrap();
    symlink("d/top/..", host.path("above")).unwrap();
    let (ns, root) = host.mounted(true);
    assert_eq!(read(&ns, "/v/d/out"), Err(Error::NotPermitted));
    assert_eq!(ns.resolve(root, "/v/above", true), Err(Error::NotPermitted));
    assert_eq!(
        ns.resolve(root, "/v/above/inside", true),
        Err(Error::NotPermitted)
    );
    assert!(ns.resolve(root, "/v/d/top/../inside", true).is_ok());
}

#[test]
fn names_are_names() {
    let host = Scratch::new("names_are_names");
    let volume = host.open(false);
    let root = volume.root();
    for name in ["..", ".", "", "../secret", "/etc/passwd", "a/b", "a\0b"] {
        assert!(volume.lookup(root, name).is_err(), "{name:?}");
        assert!(volume.create_file(root, name).is_err(), "{name:?}");
        assert!(volume.create_dir(root, name).is_err(), "{name:?}");
        assert!(volume.create_symlink(root, name, "x").is_err(), "{name:?}");
        assert!(volume.unlink(root, name).is_err(), "{name:?}");
        assert!(volume.remove_dir(root, name).is_err(), "{name:?}");
        assert!(volume.rename(root, name, root, "x").is_err(), "{name:?}");
    }
    // Only looks like a way up.
    for name in [
        "..\u{2215}secret",
        "\u{ff0e}\u{ff0e}",
        "%2e%2e",
        "..%2fsecret",
    ] {
        assert_eq!(volume.lookup(root, name), Err(Error::NotFound));
        volume.create_file(root, name).unwrap();
        assert!(host.path(name).exists());
    }
}

#[test]
fn only_links_downward_can_be_made() {
    let host = Scratch::new("only_links");
    let volume = host.open(false);
    let root = volume.root();
    let dir = volume.create_dir(root, "d").unwrap();
    for target in ["/", "/etc", "..", "../d", "a/../b", "d/../../x"] {
        let made = volume.create_symlink(dir, "l", target);
        assert_eq!(made, Err(Error::NotPermitted), "{target}");
    }
    for (name, target) in [("l", "f"), ("m", "./a/b"), ("n", "a/")] {
        volume.create_symlink(dir, name, target).unwrap();
    }
    assert_eq!(
        &*volume.read_link(volume.lookup(dir, "m").unwrap()).unwrap(),
        "./a/b"
    );
}

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let host = Scratch::new("swapped");
    host.put("d/f", "inside");
    let volume = host.open(false);
    let dir = volume.lookup(volume.root(), "d").unwrap();
    let file = volume.lookup(dir, "f").unwrap();
    fs::rename(host.path("d"), host.path("away")).unwrap();
    let target = host.path("").parent().unwrap().to_path_buf();
    fs::write(target.join("f"), "outside").unwrap();
    symlink(&target, host.path("d")).unwrap();
    assert!(volume.lookup(dir, "secret").is_err());
    assert!(volume.read_dir(dir, 0, 9).is_err());
    assert!(volume.create_file(dir, "new").is_err());
    assert!(volume.unlink(dir, "secret").is_err());
    assert!(volume.read(file, 0, &mut [0]).is_err());
    assert!(volume.write(file, 0, b"x").is_err());
    assert!(target.join("secret").exists() && !target.join("new").exists());
}

#[test]
fn a_race_of_swaps_never_leads_out() {
    let host = Scratch::new("race_of_swaps");
    host.put("d/f", "inside");
    fs::write(host.path("").parent().unwrap().join("f"), "outside").unwrap();
    symlink("..", host.path("link")).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (done, d, link, spare) = (
            Arc::clone(&done),
            host.path("d"),
            host.path("link"),
            host.path("spare"),
        );
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&d, &spare).unwrap();
                fs::rename(&link, &d).unwrap();
                fs::rename(&d, &link).unwrap();
                fs::rename(&spare, &d).unwrap();
            }
        })
    };
    let (mut good, volume) = (0, host.open(false));
    // On a busy machine the swapper may stand still where nothing can be found.
    for round in 0..2_000_000 {
        if round >= 5000 && good > 0 {
            break;
        }
        let Ok(file) = volume
            .lookup(volume.root(), "d")
            .and_then(|dir| volume.lookup(dir, "f"))
        else {
            continue;
        };
        let mut buf = [0; 7];
        if let Ok(count) = volume.read(file, 0, &mut buf) {
            assert_eq!(&buf[..count], b"inside");
            good += 1;
        }
    }
    done.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(good > 0);
}
