//! Random programs against the naive model: trees that are changed, forked, saved and loaded, compared after each step.

mod naive;

use std::sync::Arc;
use std::time::SystemTime;

use eryx_test::fuzz;
use eryx_vfs::{
    FileSystem, Kind, Location, MAX_FILE, MemoryFs, Namespace, NodeId, Result, TreeError,
};
use proptest::prelude::*;

use self::naive::{Body, CHUNK, Naive};
use crate::support::{ROOMY, saved};

/// Trees that one program works on.
const MAX_WORLDS: usize = 4;

/// Where a path starts: at the top, or in one of the open nodes.
type Start = Option<usize>;

#[derive(Clone, Debug)]
enum Op {
    Create(char, Start, String, String),
    OpenOrCreate(Start, String),
    Link(String, Start, String),
    Remove(bool, Start, String),
    Rename(Start, String, Start, String),
    Open(String, bool),
    Close(usize),
    Contents(Target, Change),
    Read(Target, u64, usize),
    List(Target, usize, usize),
    Resolve(Start, String, bool),
    SetQuota(u64),
    /// So much less, or more, than is used.
    Squeeze(i64),
    Fork {
        keeps_handles: bool,
    },
    SaveAndLoad {
        keeps_handles: bool,
    },
}

/// A node that is open, or one by path.
#[derive(Clone, Debug)]
enum Target {
    Handle(usize),
    Path(String),
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Data),
    Append(Data),
    SetLen(u64),
    SetTimes(Option<u64>, Option<u64>),
}

/// A number of bytes, and the first of them.
#[derive(Clone, Copy, Debug)]
struct Data(usize, u8);

impl Data {
    fn bytes(self) -> Vec<u8> {
        let count = (0..251_u8).cycle().take(self.0);
        count.map(|byte| byte.wrapping_add(self.1)).collect()
    }
}

/// The real thing, the model, and the node behind each node of the model.
struct World {
    ns: Namespace,
    fs: Arc<MemoryFs>,
    naive: Naive,
    nodes: Vec<NodeId>,
    /// The node behind each handle, in the model.
    handles: Vec<usize>,
}

impl World {
    fn new(max: u64) -> Self {
        let fs = Arc::new(MemoryFs::new(max));
        let root = fs.metadata(fs.root()).expect("there");
        let naive = Naive::new(max, [root.accessed, root.modified, root.changed]);
        let nodes = vec![fs.root()];
        let ns = Namespace::new(fs.clone());
        Self {
            ns,
            fs,
            naive,
            nodes,
            handles: Vec::new(),
        }
    }

    fn with(&self, fs: MemoryFs) -> Self {
        let fs = Arc::new(fs);
        let mut ns = self.ns.clone();
        ns.replace(0, fs.clone());
        Self {
            ns,
            fs,
            naive: self.naive.clone(),
            nodes: self.nodes.clone(),
            handles: self.handles.clone(),
        }
    }

    fn forget_handles(&mut self) {
        self.handles.clear();
        for node in &mut self.naive.nodes {
            node.handles = 0;
        }
    }

    fn fork(&self, keeps_handles: bool) -> Self {
        let mut fork = self.with(self.fs.fork());
        if !keeps_handles {
            fork.fs.close_all();
            fork.forget_handles();
        }
        fork
    }

    /// What is left of it after it was saved and loaded. Nothing, if it holds more than its quota.
    fn loaded(&self, keeps_handles: bool) -> Option<Self> {
        let bytes = saved(&self.fs);
        let max = self.fs.max_bytes();
        let loaded = match MemoryFs::load(&mut &bytes[..], max) {
            Ok(loaded) => loaded,
            Err(TreeError::TooLarge(limit)) => {
                assert!(limit == max && self.fs.used_bytes() > max);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(saved(&loaded), bytes);
        assert_eq!(loaded.used_bytes(), self.fs.used_bytes());
        let mut world = self.with(loaded);
        if keeps_handles {
            for &node in &world.handles {
                world.fs.opened(world.nodes[node]);
            }
        } else {
            world.forget_handles();
        }
        world.fs.free_unused();
        Some(world)
    }

    /// A start in both.
    fn start(&self, start: Start) -> (Location, usize) {
        match start.and_then(|handle| self.handle(handle)) {
            Some(node) => (self.at(node), node),
            None => (self.ns.root(), 0),
        }
    }

    fn handle(&self, handle: usize) -> Option<usize> {
        let index = handle.checked_rem(self.handles.len())?;
        Some(self.handles[index])
    }

    fn at(&self, node: usize) -> Location {
        Location {
            mount: 0,
            node: self.nodes[node],
        }
    }

    /// Resolves in both; the node of the model if it is there.
    fn both(&self, start: Start, path: &str, follow: bool) -> Option<usize> {
        let (at, node) = self.start(start);
        let real = self.ns.resolve(at, path, follow);
        let naive = self.naive.resolve(node, path, follow);
        assert_eq!(real, naive.map(|node| self.at(node)), "{path}");
        naive.ok()
    }

    fn target(&self, target: &Target) -> Option<usize> {
        match target {
            Target::Handle(handle) => self.handle(*handle),
            Target::Path(path) => self.both(None, path, true),
        }
    }

    fn made(&mut self, real: Result<Location>, naive: Result<usize>) {
        assert_eq!(real.map(drop), naive.map(drop));
        if let Ok(real) = real {
            // Numbers are never given twice.
            assert!(!self.nodes.contains(&real.node));
            self.nodes.push(real.node);
        }
    }

    /// One call, in both.
    fn apply(&mut self, op: &Op) {
        let begun = now();
        self.naive.touched.clear();
        self.call(op);
        self.take_over_times(begun);
    }

    fn call(&mut self, op: &Op) {
        match op {
            Op::Create(kind, start, path, target) => {
                let (at, node) = self.start(*start);
                let real = match kind {
                    'f' => self.ns.create_file(at, path),
                    'd' => self.ns.create_dir(at, path),
                    _ => self.ns.create_symlink(target, at, path),
                };
                let naive = self.naive.create(node, path, *kind, target);
                self.made(real, naive);
            }
            Op::OpenOrCreate(start, path) => {
                let (at, node) = self.start(*start);
                let real = self.ns.open_or_create(at, path);
                match (real, self.naive.open_or_create(node, path)) {
                    (Ok((real, true)), Ok((naive, true))) => self.made(Ok(real), Ok(naive)),
                    (Ok((real, false)), Ok((naive, false))) => assert_eq!(real, self.at(naive)),
                    (real, naive) => assert_eq!(real.map(drop), naive.map(drop), "{path}"),
                }
            }
            Op::Link(from, start, to) => {
                if let Some(node) = self.both(None, from, false) {
                    let (at, dir) = self.start(*start);
                    let real = self.ns.hard_link(self.at(node), at, to);
                    assert_eq!(real, self.naive.link(node, dir, to));
                }
            }
            Op::Remove(directory, start, path) => {
                let (at, node) = self.start(*start);
                let real = if *directory {
                    self.ns.remove_dir(at, path)
                } else {
                    self.ns.unlink(at, path)
                };
                assert_eq!(real, self.naive.remove(node, path, *directory), "{path}");
            }
            Op::Rename(from_start, from, to_start, to) => {
                let (from_at, from_node) = self.start(*from_start);
                let (to_at, to_node) = self.start(*to_start);
                let real = self.ns.rename(from_at, from, to_at, to);
                let naive = self.naive.rename((from_node, from), (to_node, to));
                assert_eq!(real, naive, "{from} {to}");
            }
            Op::Resolve(start, path, follow) => drop(self.both(*start, path, *follow)),
            Op::SetQuota(max) => self.set_quota(*max),
            Op::Squeeze(by) => self.set_quota(self.fs.used_bytes().saturating_add_signed(*by)),
            _ => self.call_on_node(op),
        }
    }

    fn set_quota(&mut self, max: u64) {
        self.fs.set_max_bytes(max);
        self.naive.max = max;
    }

    fn call_on_node(&mut self, op: &Op) {
        match op {
            Op::Open(path, follow) => {
                if let Some(node) = self.both(None, path, *follow) {
                    self.fs.opened(self.nodes[node]);
                    self.naive.nodes[node].handles += 1;
                    self.handles.push(node);
                }
            }
            Op::Close(handle) => {
                if let Some(node) = self.handle(*handle) {
                    self.handles.swap_remove(handle % self.handles.len());
                    self.fs.closed(self.nodes[node]);
                    self.naive.nodes[node].handles -= 1;
                }
            }
            Op::Contents(target, change) => {
                if let Some(node) = self.target(target) {
                    self.change(node, change);
                }
            }
            Op::Read(target, offset, count) => {
                if let Some(node) = self.target(target) {
                    let mut bytes = vec![0xAA; *count];
                    let real = self.fs.read(self.nodes[node], *offset, &mut bytes);
                    let real = real.map(|count| bytes[..count].to_vec());
                    assert_eq!(real, self.naive.read(node, *offset, *count));
                }
            }
            Op::List(target, skipped, count) => {
                if let Some(node) = self.target(target) {
                    self.list(node, *skipped, *count);
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, node: usize, change: &Change) {
        let real = self.nodes[node];
        match change {
            Change::Write(offset, data) => {
                let data = data.bytes();
                let written = self.fs.write(real, *offset, &data);
                assert_eq!(written, self.naive.write(node, *offset, &data));
            }
            Change::Append(data) => {
                let data = data.bytes();
                let written = self.fs.append(real, &data);
                assert_eq!(written, self.naive.append(node, &data));
            }
            Change::SetLen(len) => {
                assert_eq!(self.fs.set_len(real, *len), self.naive.set_len(node, *len));
            }
            Change::SetTimes(accessed, modified) => {
                assert_eq!(self.fs.set_times(real, *accessed, *modified), Ok(()));
                self.naive.set_times(node, *accessed, *modified);
            }
        }
    }

    /// Goes on behind an entry that may be gone by now, as a guest does that lists a directory while it changes.
    fn list(&self, node: usize, skipped: usize, count: usize) {
        let real = self.fs.read_dir(self.nodes[node], skipped as u64, count);
        let naive = self.naive.entries(node).map(|entries| {
            let behind = entries.iter().filter(|entry| entry.cookie > skipped as u64);
            let names = behind
                .take(count)
                .map(|entry| (entry.name.clone(), entry.cookie));
            names.collect::<Vec<_>>()
        });
        let real = real.map(|list| {
            let names = list
                .iter()
                .map(|entry| (entry.name.to_string(), entry.next));
            names.collect::<Vec<_>>()
        });
        assert_eq!(real, naive);
    }

    /// Times that the call set are not before it; all others are as they were.
    fn take_over_times(&mut self, begun: u64) {
        for (node, which) in std::mem::take(&mut self.naive.touched) {
            if let Some(times) = self.times(node) {
                assert!(times[which] >= begun, "time {which} of node {node}");
                self.naive.nodes[node].times[which] = times[which];
            }
        }
    }

    fn times(&self, node: usize) -> Option<[u64; 3]> {
        let metadata = self.fs.metadata(self.nodes[node]).ok()?;
        Some([metadata.accessed, metadata.modified, metadata.changed])
    }

    fn assert_same(&self) {
        let names = self.naive.names();
        for (node, names) in names.into_iter().enumerate() {
            self.assert_node(node, names);
        }
        assert_eq!(self.fs.used_bytes(), self.naive.charge());
        assert_eq!(self.fs.max_bytes(), self.naive.max);
    }

    fn assert_node(&self, node: usize, names: u64) {
        let real = self.nodes[node];
        let Ok(metadata) = self.fs.metadata(real) else {
            assert!(!self.naive.is_alive(node), "node {node} is gone");
            return;
        };
        assert!(self.naive.is_alive(node), "node {node} is still there");
        assert_eq!(
            self.times(node),
            Some(self.naive.nodes[node].times),
            "node {node}"
        );
        let (kind, size, links) = match &self.naive.nodes[node].body {
            Body::File(len, chunks) => {
                self.assert_contents(node, *len, chunks.keys().copied());
                (Kind::File, *len, names)
            }
            Body::Symlink(target) => {
                assert_eq!(*self.fs.read_link(real).expect("a link"), **target);
                (Kind::Symlink, target.len() as u64, names)
            }
            Body::Directory {
                parent, entries, ..
            } => {
                if self.naive.is_alive(*parent) {
                    assert_eq!(self.fs.parent(real), Ok(self.nodes[*parent]));
                }
                self.list(node, 0, usize::MAX);
                let directories = entries.iter().filter(|entry| self.naive.is_dir(entry.node));
                let links = if names == 0 {
                    0
                } else {
                    2 + directories.count() as u64
                };
                (Kind::Directory, entries.len() as u64, links)
            }
        };
        let found = (metadata.kind, metadata.size, metadata.links);
        assert_eq!(found, (kind, size, links), "node {node}");
    }

    /// All that is stored, the pieces around it, and the ends.
    fn assert_contents(&self, node: usize, len: u64, stored: impl Iterator<Item = u64>) {
        let around = stored.flat_map(|index| [index.saturating_sub(1), index, index + 1]);
        let mut pieces: Vec<u64> = around.chain([0, len / CHUNK as u64]).collect();
        pieces.sort_unstable();
        pieces.dedup();
        for index in pieces {
            let mut bytes = vec![0xAA; CHUNK];
            let count = self
                .fs
                .read(self.nodes[node], index * CHUNK as u64, &mut bytes);
            bytes.truncate(count.expect("a file"));
            assert!(
                bytes == self.naive.piece(node, index),
                "piece {index} of node {node}"
            );
        }
    }
}

fn now() -> u64 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(passed.expect("after 1970").as_nanos()).expect("before 2500")
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "dd", "größe"])
}

fn start() -> impl Strategy<Value = Start> {
    prop::option::weighted(0.35, 0..8_usize)
}

/// A path that ends in a plain name, mostly.
fn plain() -> impl Strategy<Value = String> {
    let part = prop_oneof![6 => name(), 1 => Just("."), 2 => Just("..")];
    let above = prop::collection::vec(part, 0..4);
    let last = prop_oneof![30 => name(), 1 => Just("."), 1 => Just("..")];
    let end = prop_oneof![9 => Just(""), 1 => Just("/")];
    (prop::bool::weighted(0.2), above, last, end).prop_map(|(absolute, above, last, end)| {
        let above: String = above.into_iter().flat_map(|part| [part, "/"]).collect();
        format!("{}{above}{last}{end}", if absolute { "/" } else { "" })
    })
}

/// Any path.
fn path() -> impl Strategy<Value = String> {
    let ends = vec!["", "", "", "", "/", "/.", "/..", "//b"];
    (plain(), prop::sample::select(ends)).prop_map(|(path, end)| path + end)
}

fn data() -> impl Strategy<Value = Data> {
    let len = prop_oneof![4 => 0..200_usize, 2 => 900..1200_usize, 2 => 16_000..40_000_usize];
    (len, any::<u8>()).prop_map(|(len, byte)| Data(len, byte))
}

fn offset() -> impl Strategy<Value = u64> {
    let chunk = CHUNK as u64;
    prop_oneof![
        4 => 0..50_000_u64,
        3 => (0..4_u64, 0..6_u64).prop_map(move |(index, by)| index * chunk + by),
        2 => (1..4_u64, 1..6_u64).prop_map(move |(index, by)| index * chunk - by),
        1 => (1_u64 << 30)..(1 << 30) + 5,
        1 => MAX_FILE - 300..MAX_FILE + 2,
        1 => Just(u64::MAX),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        1 => (0..8_usize).prop_map(Target::Handle),
        3 => path().prop_map(Target::Path),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let time = || prop::option::of(prop_oneof![0..10_u64, Just(u64::MAX)]);
    prop_oneof![
        4 => (offset(), data()).prop_map(|(at, data)| Change::Write(at, data)),
        3 => data().prop_map(Change::Append),
        3 => offset().prop_map(Change::SetLen),
        1 => (time(), time()).prop_map(|(accessed, modified)| Change::SetTimes(accessed, modified)),
    ]
}

/// From nothing at all to more than the programs can use.
fn quota() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(ROOMY), 3 => 0..8000_u64, 3 => 8000..100_000_u64, 1 => Just(u64::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop::sample::select(vec!['f', 'd', 'd', 'l']);
    prop_oneof![
        8 => (kind, start(), plain(), path()).prop_map(|(k, s, p, t)| Op::Create(k, s, p, t)),
        3 => (start(), path()).prop_map(|(s, p)| Op::OpenOrCreate(s, p)),
        2 => (path(), start(), plain()).prop_map(|(f, s, t)| Op::Link(f, s, t)),
        4 => (any::<bool>(), start(), plain()).prop_map(|(d, s, p)| Op::Remove(d, s, p)),
        6 => (start(), plain(), start(), plain()).prop_map(|(s, f, e, t)| Op::Rename(s, f, e, t)),
        3 => (path(), prop::bool::weighted(0.9)).prop_map(|(p, f)| Op::Open(p, f)),
        2 => (0..8_usize).prop_map(Op::Close),
        10 => (target(), change()).prop_map(|(t, c)| Op::Contents(t, c)),
        1 => (target(), offset(), 0..40_000_usize).prop_map(|(t, o, c)| Op::Read(t, o, c)),
        2 => (target(), 0..12_usize, 0..4_usize).prop_map(|(t, s, c)| Op::List(t, s, c)),
        2 => (start(), path(), any::<bool>()).prop_map(|(s, p, f)| Op::Resolve(s, p, f)),
        1 => quota().prop_map(Op::SetQuota),
        1 => (-2000..3000_i64).prop_map(Op::Squeeze),
        1 => any::<bool>().prop_map(|keeps_handles| Op::Fork { keeps_handles }),
        1 => any::<bool>().prop_map(|keeps_handles| Op::SaveAndLoad { keeps_handles }),
    ]
}

/// Does one step in one of the worlds, and compares.
fn step(worlds: &mut Vec<World>, which: usize, op: &Op) {
    let which = which % worlds.len();
    match *op {
        Op::Fork { keeps_handles } => {
            let fork = worlds[which].fork(keeps_handles);
            fork.assert_same();
            if worlds.len() == MAX_WORLDS {
                worlds.remove(0);
            }
            worlds.push(fork);
        }
        Op::SaveAndLoad { keeps_handles } => {
            if let Some(loaded) = worlds[which].loaded(keeps_handles) {
                worlds[which] = loaded;
            }
        }
        _ => worlds[which].apply(op),
    }
    if let Some(world) = worlds.get(which) {
        world.assert_same();
    }
}

#[test]
fn random_programs_do_what_the_model_does() {
    let steps = prop::collection::vec((0..MAX_WORLDS, op()), 1..160);
    fuzz::run("vfs-model", &(quota(), steps), |(max, steps)| {
        let mut worlds = vec![World::new(max)];
        for (which, op) in &steps {
            step(&mut worlds, *which, op);
        }
        // What one of them did is not seen by the others.
        for world in &worlds {
            world.assert_same();
        }
        Ok(())
    });
}
