//! Forks: isolation, handles, cost.

use std::time::Duration;

use eryx_vfs::{Error, FileSystem, MemoryFs};

use crate::support::{ROOMY, contents, memory, names, quickly};

#[test]
fn neither_side_sees_the_others_writes() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "f").unwrap();
    let dir = fs.create_dir(root, "d").unwrap();
    fs.write(file, 0, &vec![1; 40_000]).unwrap();
    let fork = fs.fork();
    let used = fs.used_bytes();
    assert_eq!(fork.used_bytes(), used);

    fork.write(file, 20_000, b"fork").unwrap();
    fork.create_file(dir, "only in fork").unwrap();
    fork.set_times(file, Some(5), None).unwrap();
    assert_eq!(contents(&fs, file), vec![1; 40_000]);
    assert_eq!(names(&fs, dir), [""; 0]);
    assert_eq!(fs.used_bytes(), used);

    fs.unlink(root, "f").unwrap();
    fs.rename(root, "d", root, "e").unwrap();
    assert_eq!(names(&fork, root), ["f", "d"]);
    assert_eq!(&contents(&fork, file)[20_000..20_004], b"fork");
    assert_eq!(fork.metadata(file).unwrap().accessed, 5);

    fork.set_len(file, 3).unwrap();
    let second = fork.fork();
    drop(fork);
    assert_eq!(contents(&second, file), [1; 3]);
}

#[test]
fn quotas_are_apart() {
    let (fs, root) = memory();
    let fork = fs.fork();
    fork.set_max_bytes(0);
    assert_eq!(fork.create_file(root, "f"), Err(Error::NoSpace));
    assert_eq!((fs.max_bytes(), fork.max_bytes()), (ROOMY, 0));
    fs.create_file(root, "f").unwrap();
}

#[test]
fn handles_are_inherited_or_dropped() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "f").unwrap();
    fs.write(file, 0, b"kept").unwrap();
    fs.opened(file);
    fs.unlink(root, "f").unwrap();
    let inherits = fs.fork();
    let drops = fs.fork();
    drops.close_all();
    assert_eq!(drops.used_bytes(), 0);
    assert_eq!(drops.metadata(file), Err(Error::NotFound));
    fs.closed(file);
    assert_eq!(contents(&inherits, file), b"kept");
    inherits.closed(file);
    assert_eq!(inherits.used_bytes(), 0);
}

#[test]
fn a_fork_of_a_large_tree_and_its_first_writes_are_cheap() {
    let fs = MemoryFs::new(256 << 20);
    let root = fs.root();
    let big = fs.create_file(root, "big").unwrap();
    fs.write(big, 0, &vec![1; 50_000_000]).unwrap();
    for n in 0..20_000 {
        fs.create_file(root, &n.to_string()).unwrap();
    }
    // Copying the file once takes about 10 ms, the directory about 1 ms.
    quickly(Duration::from_secs(1), || {
        for n in 0..1000 {
            let fork = fs.fork();
            fork.write(big, n * 50_000, b"x").unwrap();
            fork.create_file(root, "new").unwrap();
            fork.unlink(root, "77").unwrap();
        }
    });
    assert_eq!(contents(&fs, big), vec![1; 50_000_000]);
}
