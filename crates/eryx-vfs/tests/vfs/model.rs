//! Random programs against the naive model, with a fork and a saved copy in the middle.

use std::sync::Arc;

use eryx_vfs::{FileSystem, Kind, Location, MemoryFs, Namespace, NodeId, Result};
use proptest::prelude::*;

use crate::model_naive::{Naive, Node};
use crate::support::{ROOMY, contents, saved};

#[derive(Clone, Debug)]
enum Op {
    Create(char, String, String),
    OpenOrCreate(String),
    Link(String, String),
    Remove(bool, String),
    Rename(String, String),
    Write(String, usize, Vec<u8>),
    Append(String, Vec<u8>),
    SetLen(String, usize),
    Resolve(String, bool),
}

/// The real thing, and the node behind each node of the model.
struct Pair {
    ns: Namespace,
    fs: Arc<MemoryFs>,
    naive: Naive,
    nodes: Vec<NodeId>,
}

impl Pair {
    fn new() -> Self {
        let fs = Arc::new(MemoryFs::new(ROOMY));
        let nodes = vec![fs.root()];
        let ns = Namespace::new(fs.clone());
        let naive = Naive::new();
        Self {
            ns,
            fs,
            naive,
            nodes,
        }
    }

    fn fork(&self) -> Self {
        self.with(self.fs.fork())
    }

    /// What is left of it after it was saved and loaded.
    fn saved(&self) -> Self {
        let bytes = saved(&self.fs);
        let loaded = MemoryFs::load(&mut &bytes[..], ROOMY).unwrap();
        assert_eq!(saved(&loaded), bytes);
        assert_eq!(loaded.used_bytes(), self.fs.used_bytes());
        self.with(loaded)
    }

    fn with(&self, fs: MemoryFs) -> Self {
        let fs = Arc::new(fs);
        let mut ns = self.ns.clone();
        ns.replace(0, fs.clone());
        let (naive, nodes) = (self.naive.clone(), self.nodes.clone());
        Self {
            ns,
            fs,
            naive,
            nodes,
        }
    }

    /// Resolves in both; the node in both if it is there.
    fn both(&self, path: &str, follow: bool) -> Option<(NodeId, usize)> {
        let real = self.ns.resolve(self.ns.root(), path, follow);
        let naive = self.naive.resolve(0, path, follow);
        assert_eq!(
            real.map(|at| at.node),
            naive.map(|node| self.nodes[node]),
            "{path}"
        );
        Some((real.ok()?.node, naive.ok()?))
    }

    fn made(&mut self, real: Result<Location>, naive: Result<usize>) {
        assert_eq!(real.map(drop), naive.map(drop));
        if let Ok(real) = real {
            self.nodes.push(real.node);
        }
    }

    fn apply(&mut self, op: &Op) {
        let root = self.ns.root();
        match op {
            Op::Create(kind, path, target) => {
                let real = match kind {
                    'f' => self.ns.create_file(root, path),
                    'd' => self.ns.create_dir(root, path),
                    _ => self.ns.create_symlink(target, root, path),
                };
                let naive = self.naive.create(path, *kind, target);
                self.made(real, naive);
            }
            Op::OpenOrCreate(path) => self.open_or_create(path),
            Op::Link(from, to) => {
                if let Some((real, naive)) = self.both(from, false) {
                    let real = self.ns.hard_link(
                        Location {
                            mount: 0,
                            node: real,
                        },
                        root,
                        to,
                    );
                    assert_eq!(real, self.naive.link(naive, to));
                }
            }
            Op::Remove(true, path) => {
                assert_eq!(
                    self.ns.remove_dir(root, path),
                    self.naive.remove(path, true)
                );
            }
            Op::Remove(false, path) => {
                assert_eq!(self.ns.unlink(root, path), self.naive.remove(path, false));
            }
            Op::Rename(from, to) => {
                let real = self.ns.rename(root, from, root, to);
                assert_eq!(real, self.naive.rename(from, to), "{from} {to}");
            }
            _ => self.apply_to_contents(op),
        }
    }

    fn open_or_create(&mut self, path: &str) {
        let real = self.ns.open_or_create(self.ns.root(), path);
        match (real, self.naive.resolve(0, path, true)) {
            (Ok((at, false)), Ok(node)) => assert_eq!(at.node, self.nodes[node]),
            (Ok((at, true)), Err(_)) => {
                // The model has no such call: make the file where it turned up.
                self.naive.nodes.push(Node::File(Vec::new()));
                self.nodes.push(at.node);
                self.adopt(at.node);
            }
            (Err(_), Err(_)) => {}
            (real, naive) => panic!("{path}: {real:?} {naive:?}"),
        }
    }

    /// Gives the model's last node the name that the real node `made` has.
    fn adopt(&mut self, made: NodeId) {
        let new = self.naive.nodes.len() - 1;
        for (index, node) in self.nodes.iter().enumerate() {
            let list = self.fs.read_dir(*node, 0, usize::MAX).unwrap_or_default();
            if let Some(entry) = list.into_iter().find(|entry| entry.node == made)
                && let Node::Directory { entries, .. } = &mut self.naive.nodes[index]
            {
                entries.insert(entry.name.to_string(), new);
            }
        }
    }

    fn apply_to_contents(&mut self, op: &Op) {
        let (Op::Write(path, ..) | Op::Append(path, _) | Op::SetLen(path, _)) = op else {
            let Op::Resolve(path, follow) = op else {
                return;
            };
            self.both(path, *follow);
            return;
        };
        let Some((real, naive)) = self.both(path, true) else {
            return;
        };
        match op {
            Op::Write(_, offset, data) => {
                let written = self.fs.write(real, *offset as u64, data);
                assert_eq!(written, self.naive.write(naive, *offset, data));
            }
            Op::Append(_, data) => {
                let model = self.naive.file(naive).map(|file| {
                    file.extend_from_slice(data);
                    (file.len() as u64, data.len())
                });
                assert_eq!(self.fs.append(real, data), model);
            }
            Op::SetLen(_, len) => {
                let model = self.naive.file(naive).map(|file| file.resize(*len, 0));
                assert_eq!(self.fs.set_len(real, *len as u64), model);
            }
            _ => {}
        }
    }

    fn assert_same(&self) {
        for (index, count) in self.naive.names() {
            self.assert_node(index, count);
        }
        self.assert_node(0, 1);
        let (least, most) = self.naive.charge();
        let used = self.fs.used_bytes();
        assert!((least..=most).contains(&used), "{least} {used} {most}");
    }

    fn assert_node(&self, index: usize, names: u64) {
        let real = self.nodes[index];
        let metadata = self.fs.metadata(real).unwrap();
        match &self.naive.nodes[index] {
            Node::File(bytes) => {
                assert_eq!(&contents(&*self.fs, real), bytes);
                assert_eq!((metadata.kind, metadata.links), (Kind::File, names));
            }
            Node::Symlink(target) => {
                assert_eq!(*self.fs.read_link(real).unwrap(), **target);
                assert_eq!((metadata.kind, metadata.links), (Kind::Symlink, names));
            }
            Node::Directory { parent, entries } => {
                assert_eq!(self.fs.parent(real), Ok(self.nodes[*parent]));
                let mut list = self.fs.read_dir(real, 0, usize::MAX).unwrap();
                list.sort_by(|a, b| a.name.cmp(&b.name));
                let list: Vec<_> = list
                    .iter()
                    .map(|entry| (&*entry.name, entry.node))
                    .collect();
                let expected = entries.iter();
                let expected: Vec<_> = expected.map(|(n, i)| (&**n, self.nodes[*i])).collect();
                assert_eq!(list, expected);
                let subdirs = expected
                    .iter()
                    .filter(|(_, node)| self.fs.metadata(*node).unwrap().kind == Kind::Directory);
                assert_eq!(metadata.links, 2 + subdirs.count() as u64);
            }
        }
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "dd", "eee"])
}

/// A path that ends in a plain name.
fn plain() -> impl Strategy<Value = String> {
    let part = prop_oneof![6 => name(), 1 => Just("."), 2 => Just("..")];
    let above = prop::collection::vec(part, 0..4);
    (prop::bool::weighted(0.2), above, name()).prop_map(|(absolute, above, name)| {
        let above: String = above.into_iter().flat_map(|part| [part, "/"]).collect();
        format!("{}{above}{name}", if absolute { "/" } else { "" })
    })
}

/// Any path.
fn path() -> impl Strategy<Value = String> {
    (
        plain(),
        prop::sample::select(vec!["", "", "", "", "/", "/.", "/..", "//b"]),
    )
        .prop_map(|(path, end)| path + end)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![0..200_usize, 16_000..40_000_usize];
    (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len])
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop::sample::select(vec!['f', 'd', 'd', 'd', 'l']);
    prop_oneof![
        6 => (kind, plain(), path()).prop_map(|(k, p, t)| Op::Create(k, p, t)),
        2 => plain().prop_map(Op::OpenOrCreate),
        1 => (path(), plain()).prop_map(|(f, t)| Op::Link(f, t)),
        2 => (any::<bool>(), plain()).prop_map(|(d, p)| Op::Remove(d, p)),
        4 => (plain(), plain()).prop_map(|(f, t)| Op::Rename(f, t)),
        3 => (path(), 0..50_000_usize, data()).prop_map(|(p, o, d)| Op::Write(p, o, d)),
        2 => (path(), data()).prop_map(|(p, d)| Op::Append(p, d)),
        2 => (path(), 0..50_000_usize).prop_map(|(p, l)| Op::SetLen(p, l)),
        3 => (path(), any::<bool>()).prop_map(|(p, f)| Op::Resolve(p, f)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_programs_do_what_the_model_does(
        before in prop::collection::vec(op(), 0..80),
        left in prop::collection::vec(op(), 0..40),
        right in prop::collection::vec(op(), 0..40),
    ) {
        let mut pair = Pair::new();
        for op in &before {
            pair.apply(op);
        }
        pair.assert_same();
        let mut fork = pair.fork();
        let mut copy = pair.saved();
        for op in &left {
            pair.apply(op);
        }
        for op in &right {
            fork.apply(op);
            copy.apply(op);
        }
        pair.assert_same();
        fork.assert_same();
        copy.assert_same();
    }
}
