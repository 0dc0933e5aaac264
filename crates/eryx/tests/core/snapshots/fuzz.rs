//! Snapshots, checkpoints and storages of random origin: an error or a session, and no harm to others.

use std::cell::RefCell;
use std::collections::BTreeMap;

use eryx::{Storage, StorageError, Value};
use eryx_test::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::damage::{Damage, Edit, damage, damage_in_place, edit, number};
use crate::support::layout::{
    HOST_SIZE_AT, KIND_AT, Layout, MEMORY_AT, PACKED_SIZE_AT, PAGE, RUNS_AT, VERSION_AT, XORED,
    signed,
};
use crate::support::sessions::{execute, session_of};
use crate::support::stage::{Stage, seeds};
use crate::support::{executor, runtime};

/// Tries inputs of `strategy`. `make` turns one and some good bytes into bad ones; `true`: they are of a checkpoint.
fn each<S: Strategy>(
    target: &str,
    strategy: S,
    make: impl Fn(S::Value, (Vec<u8>, bool)) -> (Vec<u8>, bool),
) {
    let executor = executor();
    let stage = executor.block_on(Stage::new());
    let ends = RefCell::new(BTreeMap::<_, u32>::new());
    let good = seeds().all();
    fuzz::run(target, &(any::<Index>(), strategy), |(which, input)| {
        let (bytes, checkpoint) = make(input, which.get(&good).clone());
        let end = executor.block_on(stage.take(bytes, checkpoint))?;
        *ends.borrow_mut().entry(end).or_default() += 1;
        Ok(())
    });
    eprintln!("{target}: {:?}", ends.borrow());
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage], others: &[Vec<u8>]) -> Vec<u8> {
    for damage in damages {
        damage.apply(&mut bytes, others);
    }
    bytes
}

fn others() -> Vec<Vec<u8>> {
    seeds().all().into_iter().map(|(bytes, _)| bytes).collect()
}

#[test]
fn good_bytes_are_taken() {
    let executor = executor();
    let stage = executor.block_on(Stage::new());
    for (bytes, checkpoint) in seeds().all() {
        let mut again = Layout::parse(&bytes);
        assert_eq!(again.assembled(), bytes);
        again.set_pages(&again.pages());
        let end = executor.block_on(stage.take(again.assembled(), checkpoint));
        let expected = if checkpoint {
            ["resumed", "failed"]
        } else {
            ["restored"; 2]
        };
        assert!(expected.contains(&end.expect("good")));
    }
}

#[test]
fn any_damage() {
    let others = others();
    let refused = |bytes: &[u8]| !others.iter().any(|good| good == bytes);
    each(
        "snapshot-damage",
        (vec(damage(), 1..4), any::<bool>()),
        |(damages, checkpoint), (bytes, _)| {
            let bytes = damaged(bytes, &damages, &others);
            // The rest is about bytes whose checksum is right.
            let bytes = if refused(&bytes) { bytes } else { Vec::new() };
            (bytes, checkpoint)
        },
    );
}

#[test]
fn any_damage_under_a_right_checksum() {
    let others = others();
    each(
        "snapshot-signed",
        vec(damage(), 1..4),
        |damages, (bytes, checkpoint)| (signed(damaged(bytes, &damages, &others)), checkpoint),
    );
}

#[test]
fn changed_headers() {
    let field = prop::sample::select(vec![
        (VERSION_AT, 4),
        (KIND_AT, 4),
        (MEMORY_AT, 8),
        (MEMORY_AT, 8),
        (RUNS_AT, 4),
        (HOST_SIZE_AT, 4),
        (PACKED_SIZE_AT, 8),
    ]);
    // A multiple of a page of memory now and then.
    let value = prop_oneof![2 => number(), 1 => (0..2100_u64).prop_map(|pages| pages << 16)];
    let changes = vec((field, value), 1..4);
    let table = vec(damage_in_place(), 0..3);
    each(
        "snapshot-header",
        (changes, table, any::<bool>()),
        |(changes, table, other_kind), (bytes, checkpoint)| {
            let mut layout = Layout::parse(&bytes);
            let mut runs = layout.run_table();
            for damage in &table {
                damage.apply(&mut runs, &[]);
            }
            layout.set_run_table(&runs);
            let mut bytes = layout.assembled();
            for ((at, size), value) in changes {
                bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
            (signed(bytes), checkpoint ^ other_kind)
        },
    );
}

#[test]
fn changed_host_parts() {
    let change = (vec(edit(), 0..5), vec(damage(), 0..2));
    each(
        "snapshot-host",
        change,
        |(edits, damages), (bytes, checkpoint)| {
            let mut layout = Layout::parse(&bytes);
            let mut host = Value::from_bytes(&layout.host).expect("it is good");
            for edit in &edits {
                Edit::apply(edit, &mut host);
            }
            // Too deep now and then.
            if let Ok(bytes) = host.to_bytes() {
                layout.host = bytes;
            }
            let others = [layout.host.clone()];
            layout.host = damaged(layout.host, &damages, &others);
            (layout.assembled(), checkpoint)
        },
    );
}

#[test]
fn changed_pages() {
    each(
        "snapshot-pages",
        vec(damage_in_place(), 1..20),
        |damages, (bytes, checkpoint)| {
            let mut layout = Layout::parse(&bytes);
            let pages = damaged(layout.pages(), &damages, &[]);
            layout.set_pages(&pages);
            (layout.assembled(), checkpoint)
        },
    );
}

#[test]
fn changed_ways_of_saving() {
    each(
        "snapshot-xored",
        vec(any::<Index>(), 1..20),
        |which, (bytes, checkpoint)| {
            let mut layout = Layout::parse(&bytes);
            for which in which {
                let end = layout.runs.len();
                if end > 0 {
                    layout.runs[which.index(end)].1 ^= XORED;
                }
            }
            (layout.assembled(), checkpoint)
        },
    );
}

#[test]
fn changed_runs_of_pages() {
    let run = (0..6000_u32, 0..40_u32, any::<bool>());
    let change = (vec(run, 0..4), vec(any::<u8>(), 0..3), vec(damage(), 0..3));
    each(
        "snapshot-runs",
        change,
        |(more, fill, damages), (bytes, checkpoint)| {
            let mut layout = Layout::parse(&bytes);
            let mut pages = layout.pages();
            // Behind what is there, and in the middle.
            for (first, count, xored) in more {
                let mark = if xored { XORED } else { 0 };
                layout.runs.push((first, count | mark));
                let byte = fill.first().copied().unwrap_or(0xA5);
                pages.extend(std::iter::repeat_n(byte, count as usize * PAGE));
            }
            if fill.len() > 1 {
                layout.runs.sort_unstable();
            }
            layout.set_pages(&pages);
            layout.packed = damaged(layout.packed, &damages, &[bytes]);
            (layout.assembled(), checkpoint)
        },
    );
}

/// Whatever was accepted keeps its quota, and can be listed, read, and removed to the last byte.
fn assert_sound(files: &Storage) {
    assert!(files.used_bytes() <= files.max_bytes());
    let mut pending = vec!["/".to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in files.read_dir(&directory).expect("a directory") {
            let path = format!("{directory}{}", entry.name);
            match entry.metadata.kind {
                eryx::StorageKind::Directory if path.len() < 2000 => pending.push(path + "/"),
                eryx::StorageKind::File => drop(files.read_file(&path)),
                _ => {}
            }
        }
    }
    for entry in files.read_dir("/").expect("a root") {
        files.remove_all(&entry.name).expect("nobody else is there");
    }
    assert_eq!(files.used_bytes(), 0);
}

#[test]
fn changed_storages() {
    let executor = executor();
    let good: &[Vec<u8>] = &seeds().storages;
    let strategy = (
        any::<Index>(),
        vec(damage(), 0..3),
        vec(damage(), 0..4),
        prop::option::weighted(0.3, 0..3_000_000_u64),
    );
    let code = "
import os
for path, directories, names in os.walk('/data'):
    for name in names:
        try: open(os.path.join(path, name), 'rb').read(100_000)
        except OSError: pass
try: open('/data/new', 'w').write('x')
except OSError: pass";
    let accepted = std::cell::Cell::new(0_u32);
    fuzz::run("storage", &strategy, |(which, outer, inner, quota)| {
        let bytes = storage_of(which.get::<Vec<u8>>(good), &inner);
        let bytes = signed(damaged(bytes, &outer, good));
        let files = match Storage::from_snapshot(&bytes, quota) {
            Ok(files) => files,
            Err(StorageError::Snapshot(_)) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        accepted.set(accepted.get() + 1);
        let used = files.used_bytes();
        let again = Storage::from_snapshot(&files.snapshot().expect("memory"), None);
        prop_assert_eq!(again.expect("ours").used_bytes(), used);
        let session = session_of(runtime(), |options| options.files = Some(files.clone()));
        executor.block_on(execute(&session, code));
        drop(session);
        assert_sound(&files);
        Ok(())
    });
    eprintln!("storage: {} accepted", accepted.get());
}

/// A storage's snapshot whose tree was damaged before it was packed.
fn storage_of(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    /// Magic, version, quota; then the size of the tree.
    const SIZE_AT: usize = 20;
    const CONTENT_AT: usize = 28;
    const CHECKSUM: usize = 32;
    let frame = &bytes[CONTENT_AT..bytes.len() - CHECKSUM];
    let tree = zstd::decode_all(frame).expect("it is good");
    let tree = damaged(tree.clone(), damages, &[tree]);
    let size = (tree.len() as u64).to_le_bytes();
    let frame = zstd::encode_all(&*tree, 3).expect("memory");
    [&bytes[..SIZE_AT], &size, &frame, &[0; CHECKSUM]].concat()
}
