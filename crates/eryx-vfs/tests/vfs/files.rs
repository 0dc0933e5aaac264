//! Contents: reading, writing, gaps, lengths, times, files that are open but have no name.

use std::time::Duration;

use eryx_vfs::{Error, FileSystem, Kind, MAX_FILE, NODE_OVERHEAD, NodeId};

use crate::support::{contents, memory, names, quickly};

#[test]
fn a_new_file_is_empty_and_has_one_name() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    let metadata = fs.metadata(file).unwrap();
    assert_eq!(
        (metadata.size, metadata.links, metadata.kind),
        (0, 1, Kind::File)
    );
    assert_eq!(fs.read(file, 0, &mut [0; 8]).unwrap(), 0);
    assert_eq!(fs.lookup(root, "a"), Ok(file));
}

#[test]
fn writes_overwrite_extend_and_cross_chunks() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    let mut expected: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(fs.write(file, 0, &expected), Ok(100_000));
    assert_eq!(fs.write(file, 16_380, &[7; 10]), Ok(10));
    expected[16_380..16_390].fill(7);
    assert_eq!(fs.write(file, 99_990, &[8; 40]), Ok(40));
    expected.resize(100_030, 0);
    expected[99_990..].fill(8);
    assert_eq!(contents(&fs, file), expected);
    assert_eq!(fs.write(file, 5, &[]), Ok(0));
    assert_eq!(fs.read(file, u64::MAX, &mut [0; 4]), Ok(0));
}

#[test]
fn gaps_read_as_zeros_and_cost_nothing() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    let before = fs.used_bytes();
    fs.set_len(file, MAX_FILE).unwrap();
    assert_eq!(fs.used_bytes(), before);
    fs.write(file, MAX_FILE - 3, b"end").unwrap();
    assert!(fs.used_bytes() < before + 20_000);
    let mut buf = vec![9; 40_000];
    assert_eq!(fs.read(file, MAX_FILE - 40_000, &mut buf), Ok(40_000));
    assert!(buf[..39_997].iter().all(|byte| *byte == 0));
    assert_eq!(&buf[39_997..], b"end");
}

#[test]
fn files_end_at_the_longest_length() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    assert_eq!(fs.write(file, MAX_FILE, b"x"), Err(Error::FileTooLarge));
    assert_eq!(fs.write(file, u64::MAX, b"x"), Err(Error::FileTooLarge));
    assert_eq!(fs.set_len(file, MAX_FILE + 1), Err(Error::FileTooLarge));
    assert_eq!(fs.write(file, MAX_FILE - 1, b"xyz"), Ok(1));
    assert_eq!(fs.append(file, b"x"), Err(Error::FileTooLarge));
    assert_eq!(fs.metadata(file).unwrap().size, MAX_FILE);
}

#[test]
fn a_cut_file_that_grows_again_has_zeros() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    let empty = fs.used_bytes();
    fs.write(file, 0, &vec![5; 50_000]).unwrap();
    fs.set_len(file, 20_000).unwrap();
    fs.set_len(file, 50_000).unwrap();
    let all = contents(&fs, file);
    assert!(all[..20_000].iter().all(|byte| *byte == 5));
    assert!(all[20_000..].iter().all(|byte| *byte == 0));
    fs.set_len(file, 0).unwrap();
    assert_eq!(fs.used_bytes(), empty);
    assert_eq!(contents(&fs, file), b"");
}

#[test]
fn append_goes_to_the_end_whatever_happened_before() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    assert_eq!(fs.append(file, b"one"), Ok((3, 3)));
    fs.set_len(file, 5).unwrap();
    assert_eq!(fs.append(file, b"two"), Ok((8, 3)));
    assert_eq!(fs.append(file, b""), Ok((8, 0)));
    assert_eq!(contents(&fs, file), b"one\0\0two");
}

#[test]
fn concurrent_appends_do_not_overwrite_each_other() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    std::thread::scope(|scope| {
        for letter in [b'a', b'b'] {
            let fs = &fs;
            scope.spawn(move || {
                for _ in 0..2000 {
                    fs.append(file, &[letter; 10]).unwrap();
                }
            });
        }
    });
    let all = contents(&fs, file);
    assert_eq!(all.len(), 40_000);
    assert!(
        all.chunks(10)
            .all(|ten| ten.iter().all(|byte| *byte == ten[0]))
    );
}

#[test]
fn tiny_appends_to_a_large_file_are_linear() {
    quickly(Duration::from_secs(10), || {
        let (fs, root) = memory();
        let file = fs.create_file(root, "a").unwrap();
        for _ in 0..500_000 {
            fs.append(file, &[1; 100]).unwrap();
        }
        assert_eq!(fs.metadata(file).unwrap().size, 50_000_000);
    });
}

#[test]
fn times_are_set_and_changes_stamp_them() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    fs.set_times(file, Some(1), Some(2)).unwrap();
    let set = fs.metadata(file).unwrap();
    assert_eq!((set.accessed, set.modified), (1, 2));
    assert!(set.changed > 1_600_000_000_000_000_000);
    fs.set_times(file, None, Some(u64::MAX)).unwrap();
    fs.set_times(file, Some(0), None).unwrap();
    let set = fs.metadata(file).unwrap();
    assert_eq!((set.accessed, set.modified), (0, u64::MAX));
    fs.write(file, 0, b"x").unwrap();
    let written = fs.metadata(file).unwrap();
    assert_eq!(written.accessed, 0);
    assert!(written.modified == written.changed && written.modified >= set.changed);
    fs.set_times(root, Some(3), Some(3)).unwrap();
    fs.create_file(root, "b").unwrap();
    assert!(fs.metadata(root).unwrap().modified > 3);
}

#[test]
fn an_unlinked_open_file_lives_until_closed() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "a").unwrap();
    fs.write(file, 0, b"kept").unwrap();
    fs.opened(file);
    fs.opened(file);
    fs.unlink(root, "a").unwrap();
    assert_eq!(names(&fs, root), [""; 0]);
    assert_eq!(fs.lookup(root, "a"), Err(Error::NotFound));
    fs.append(file, b"!").unwrap();
    assert_eq!(fs.metadata(file).unwrap().links, 0);
    assert_eq!(fs.hard_link(file, root, "b"), Err(Error::NotFound));
    fs.closed(file);
    assert_eq!(contents(&fs, file), b"kept!");
    assert!(fs.used_bytes() > NODE_OVERHEAD);
    fs.closed(file);
    assert_eq!(fs.metadata(file), Err(Error::NotFound));
    assert_eq!(fs.used_bytes(), 0);
    fs.closed(file);
    fs.opened(file);
    fs.opened(NodeId(999));
    assert_eq!(fs.read(file, 0, &mut [0]), Err(Error::NotFound));
}

#[test]
fn a_name_made_anew_is_another_node() {
    let (fs, root) = memory();
    let first = fs.create_file(root, "a").unwrap();
    fs.unlink(root, "a").unwrap();
    let second = fs.create_file(root, "a").unwrap();
    assert_ne!(first, second);
    assert_eq!(fs.write(first, 0, b"x"), Err(Error::NotFound));
}

#[test]
fn calls_on_the_wrong_kind_are_refused() {
    let (fs, root) = memory();
    let file = fs.create_file(root, "f").unwrap();
    let dir = fs.create_dir(root, "d").unwrap();
    let link = fs.create_symlink(root, "l", "f").unwrap();
    assert_eq!(fs.read(dir, 0, &mut [0]), Err(Error::IsADirectory));
    assert_eq!(fs.write(dir, 0, b"x"), Err(Error::IsADirectory));
    assert_eq!(fs.set_len(dir, 0), Err(Error::IsADirectory));
    assert_eq!(fs.append(link, b"x"), Err(Error::InvalidInput));
    assert_eq!(fs.read_dir(file, 0, 9), Err(Error::NotADirectory));
    assert_eq!(fs.lookup(link, "x"), Err(Error::NotADirectory));
    assert_eq!(fs.create_file(file, "x"), Err(Error::NotADirectory));
    assert_eq!(fs.read_link(file), Err(Error::InvalidInput));
    assert_eq!(fs.parent(file), Err(Error::NotADirectory));
    assert_eq!(fs.unlink(root, "d"), Err(Error::IsADirectory));
    assert_eq!(fs.remove_dir(root, "f"), Err(Error::NotADirectory));
    assert_eq!(fs.remove_dir(root, "l"), Err(Error::NotADirectory));
}
