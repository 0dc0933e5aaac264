//! Trees from bytes that somebody has tampered with: an error or a sound tree, never a panic.

use eryx_test::fuzz;
use eryx_vfs::{FileSystem, Kind, MemoryFs, NodeId, TreeError};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{ROOMY, memory, saved};

const FILE: u8 = 1;
const DIRECTORY: u8 = 2;
const LINK: u8 = 3;

/// Writes trees that `save` would not.
#[derive(Default)]
struct Tree(Vec<u8>);

impl Tree {
    fn new(last_node: u64) -> Self {
        Self::default().number(last_node)
    }

    fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn node(self, kind: u8, id: u64) -> Self {
        self.bytes(&[kind]).number(id).number(0).number(0).number(0)
    }

    fn directory(self, id: u64, entries: &[(u64, u64, u8, &[u8])]) -> Self {
        let last = entries.iter().map(|entry| entry.0).max().unwrap_or(0);
        let tree = self.node(DIRECTORY, id).number(last);
        let tree = tree.number(entries.len() as u64);
        entries
            .iter()
            .fold(tree, |tree, (cookie, node, kind, name)| {
                let len = u8::try_from(name.len()).unwrap();
                tree.number(*cookie)
                    .number(*node)
                    .bytes(&[*kind, len])
                    .bytes(name)
            })
    }

    fn file(self, id: u64, len: u64, chunks: &[(u64, u16)]) -> Self {
        let tree = self.node(FILE, id).number(len).number(chunks.len() as u64);
        chunks.iter().fold(tree, |tree, (index, size)| {
            let tree = tree.number(*index).bytes(&size.to_le_bytes());
            tree.bytes(&vec![7; usize::from(*size)])
        })
    }

    fn link(self, id: u64, target: &[u8]) -> Self {
        let len = u16::try_from(target.len()).unwrap();
        self.node(LINK, id).bytes(&len.to_le_bytes()).bytes(target)
    }

    fn load(self) -> Result<MemoryFs, TreeError> {
        MemoryFs::load(&mut &self.bytes(&[0]).0[..], ROOMY)
    }

    fn refused(self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn what_the_helper_writes_is_read() {
    let tree = Tree::new(4).directory(
        1,
        &[
            (1, 2, DIRECTORY, b"d"),
            (2, 3, FILE, b"f"),
            (5, 3, FILE, b"g"),
            (6, 4, LINK, b"l"),
        ],
    );
    let tree = tree
        .directory(2, &[])
        .file(3, 20_000, &[(0, 16_384), (1, 1)]);
    let fs = tree.link(4, b"f").load().unwrap();
    assert_eq!(fs.metadata(NodeId(3)).unwrap().links, 2);
    assert_eq!(fs.metadata(fs.root()).unwrap().links, 3);
}

#[test]
fn contradictions_are_named() {
    let root = |entries: &[(u64, u64, u8, &[u8])]| Tree::new(9).directory(1, entries);
    let cases = [
        (Tree::new(1), "there is no root"),
        (
            Tree::new(9).directory(2, &[]),
            "the first node is not the root",
        ),
        (Tree::new(1).file(1, 0, &[]), "the root is not a directory"),
        (Tree::new(1).link(1, b"x"), "the root is not a directory"),
        (
            root(&[]).file(3, 0, &[]).file(3, 0, &[]),
            "the numbers of the nodes are not in order",
        ),
        (
            root(&[]).file(10, 0, &[]),
            "the numbers of the nodes are not in order",
        ),
        (
            Tree::new(u64::MAX).directory(1, &[]),
            "the number of a node is too large",
        ),
        (
            root(&[(u64::MAX, 2, FILE, b"a")]).file(2, 0, &[]),
            "the number of an entry is too large",
        ),
        (root(&[]).node(4, 2), "a node is of no known kind"),
        (
            root(&[(1, 2, FILE, b"a")]),
            "an entry names a node that is not there",
        ),
        (
            root(&[(1, 2, FILE, b"a")]).directory(2, &[]),
            "an entry and its node are of different kinds",
        ),
        (
            root(&[(1, 2, DIRECTORY, b"a"), (2, 2, DIRECTORY, b"b")]).directory(2, &[]),
            "a directory has two parents",
        ),
        (
            root(&[(1, 1, DIRECTORY, b"a")]),
            "a directory has two parents",
        ),
        (
            root(&[])
                .directory(2, &[(1, 3, DIRECTORY, b"a")])
                .directory(3, &[(1, 2, DIRECTORY, b"a")]),
            "directories are in a circle",
        ),
        (
            root(&[]).directory(2, &[(1, 2, DIRECTORY, b"a")]),
            "directories are in a circle",
        ),
        (
            root(&[])
                .directory(2, &[(1, 3, FILE, b"a")])
                .file(3, 0, &[]),
            "a removed directory has entries",
        ),
        (
            root(&[(2, 2, FILE, b"a"), (1, 2, FILE, b"b")]).file(2, 0, &[]),
            "the entries of a directory are not in order",
        ),
        (
            root(&[(1, 2, FILE, b"a"), (2, 2, FILE, b"a")]).file(2, 0, &[]),
            "a name is there twice",
        ),
        (root(&[(1, 2, FILE, b"..")]), "a name is not allowed"),
        (root(&[(1, 2, FILE, b"")]), "a name is not allowed"),
        (root(&[(1, 2, FILE, b"a/b")]), "a name is not allowed"),
        (root(&[(1, 2, FILE, b"a\0")]), "a name is not allowed"),
        (root(&[(1, 2, FILE, b"\xFF")]), "a name is not UTF-8"),
        (
            root(&[]).link(2, b""),
            "the target of a link is not allowed",
        ),
        (
            root(&[]).link(2, b"\0"),
            "the target of a link is not allowed",
        ),
        (
            root(&[]).link(2, &[b'a'; 4097]),
            "the target of a link is too long",
        ),
        (root(&[]).file(2, (1 << 40) + 1, &[]), "a file is too long"),
    ];
    for (tree, message) in cases {
        assert_eq!(tree.refused(), message);
    }
}

#[test]
fn pieces_of_files_are_checked() {
    let cases: [(u64, &[(u64, u16)]); 7] = [
        (10, &[(0, 0)]),
        (10, &[(0, 11)]),
        (20_000, &[(0, 16_385)]),
        (20_000, &[(1, 1), (0, 1)]),
        (20_000, &[(0, 1), (0, 1)]),
        (20_000, &[(2, 1)]),
        (1 << 40, &[(u64::MAX / 2, 1)]),
    ];
    for (len, chunks) in cases {
        let message = Tree::new(2)
            .directory(1, &[])
            .file(2, len, chunks)
            .refused();
        assert_eq!(message, "a piece of a file is not within it", "{chunks:?}");
    }
}

#[test]
fn counts_that_promise_too_much_take_no_memory() {
    let endless = Tree::new(2).directory(1, &[]).node(FILE, 2);
    let endless = endless.number(1 << 40).number(u64::MAX);
    assert!(matches!(endless.load(), Err(TreeError::Unreadable(_))));
    let names = Tree::new(1).node(DIRECTORY, 1).number(9).number(u64::MAX);
    assert!(matches!(names.load(), Err(TreeError::Unreadable(_))));
}

/// A tree with one of everything.
fn sample() -> Vec<u8> {
    let (fs, root) = memory();
    let dir = fs.create_dir(root, "d").unwrap();
    let deep = fs.create_dir(dir, "e").unwrap();
    let file = fs.create_file(deep, "f").unwrap();
    fs.write(file, 20_000, b"hello").unwrap();
    fs.hard_link(file, root, "g").unwrap();
    fs.create_symlink(root, "l", "d/e/f").unwrap();
    fs.create_file(dir, "h").unwrap();
    saved(&fs)
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample();
    for end in 0..bytes.len() {
        let loaded = MemoryFs::load(&mut &bytes[..end], ROOMY);
        assert!(loaded.is_err(), "{end} of {}", bytes.len());
    }
}

/// Whatever was accepted is a tree: everything is reached once, and can be removed to the last byte.
fn assert_sound(fs: &MemoryFs) {
    fs.free_unused();
    let mut pending = vec![(fs.root(), None)];
    let mut order = Vec::new();
    while let Some((dir, name)) = pending.pop() {
        for entry in fs.read_dir(dir, 0, usize::MAX).unwrap() {
            assert_eq!(fs.metadata(entry.node).unwrap().kind, entry.kind);
            if entry.kind == Kind::Directory {
                assert_eq!(fs.parent(entry.node), Ok(dir));
                pending.push((entry.node, Some((dir, entry.name))));
            } else {
                fs.unlink(dir, &entry.name).unwrap();
            }
        }
        order.extend(name);
    }
    for (dir, name) in order.into_iter().rev() {
        fs.remove_dir(dir, &name).unwrap();
    }
    assert_eq!(fs.used_bytes(), 0);
    fs.create_file(fs.root(), "new").unwrap();
}

/// One change of bytes.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Number(Index, u64),
    Remove(Index, usize),
    /// Some of them once more, elsewhere.
    Repeat(Index, Index, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Byte(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Number(at, number) => {
                let at = at.index(bytes.len());
                for (old, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                    *old = new;
                }
            }
            Self::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len() - 1).max(at));
            }
            Self::Repeat(from, to, count) => {
                let from = from.index(bytes.len());
                let piece = bytes[from..(from + count).min(bytes.len())].to_vec();
                let to = to.index(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let number = prop_oneof![
        4 => 0..20_u64,
        2 => (0..64_u32).prop_map(|power| 1 << power),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ];
    prop_oneof![
        3 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        3 => (index(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => (index(), 1..60_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (index(), index(), 1..99_usize).prop_map(|(a, b, count)| Damage::Repeat(a, b, count)),
    ]
}

#[test]
fn changed_bytes_give_an_error_or_a_sound_tree() {
    let damages = prop::collection::vec(damage(), 1..6);
    fuzz::run("vfs-tree", &damages, |damages| {
        let mut bytes = sample();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        if let Ok(fs) = MemoryFs::load(&mut &bytes[..], ROOMY) {
            // What was accepted is kept as it is.
            let again = MemoryFs::load(&mut &saved(&fs)[..], ROOMY).unwrap();
            prop_assert_eq!(saved(&again), saved(&fs));
            assert_sound(&fs);
            assert_sound(&again);
        }
        Ok(())
    });
}

#[test]
fn random_bytes_are_never_more_than_an_error() {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    fuzz::run("vfs-noise", &bytes, |bytes| {
        drop(MemoryFs::load(&mut &bytes[..], ROOMY));
        Ok(())
    });
}
