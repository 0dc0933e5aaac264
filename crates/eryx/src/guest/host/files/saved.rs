//! Open files as values: for snapshots, which outlive the tree that they were opened in.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::{Location, MAX_PATH, NodeId};

use crate::Value;

use super::locks::Held;
use super::{Descriptor, Files, MAX_OPEN, OpenNode, ROOT_FD};

/// In place of locks: the descriptor is revoked.
const REVOKED: u32 = 1 << 6;

/// How long files of one snapshot are searched by path, all together: nothing interrupts that, and paths that somebody else
/// made lead over many links. It is looked at before each, and those that are left stay closed, as if they were gone.
const MAX_SEARCH: Duration = Duration::from_millis(100);

impl Files {
    /// The descriptors that a snapshot keeps: `[[fd, path, offset, flags, readable, writable, mount, node], ..]`. Those whose
    /// files are locked have one item more.
    pub(crate) fn to_value(&self) -> Value {
        let open = self.open.iter().enumerate();
        let listed = open.filter_map(|(fd, descriptor)| match descriptor {
            Some(descriptor @ Descriptor::Node(node)) if fd != ROOT_FD as usize => {
                let mut fields: Vec<Value> = vec![
                    i64::try_from(fd).ok()?.into(),
                    (*node.path).into(),
                    i64::try_from(node.offset).ok()?.into(),
                    u32::from(node.flags).into(),
                    node.readable.into(),
                    node.writable.into(),
                    node.at.mount.into(),
                    // Those of volumes have all 64 bits.
                    node.at.node.0.cast_signed().into(),
                ];
                let locks = if node.revoked {
                    REVOKED
                } else {
                    self.held(descriptor).to_bits()
                };
                fields.extend((locks != 0).then(|| locks.into()));
                Some(Value::List(fields))
            }
            _ => None,
        });
        Value::List(listed.collect())
    }

    /// Opens what a snapshot lists: by node in mounts that came with the snapshot, in others by path. What is not there any
    /// more, or is not as it says, stays closed: Python then sees `OSError` EBADF. What was locked and did not come with the
    /// snapshot is revoked: others may have changed it since.
    pub(crate) fn reopen(&mut self, listed: &Value, came: &[u32]) {
        self.reopen_within(listed, came, MAX_SEARCH);
    }

    fn reopen_within(&mut self, listed: &Value, came: &[u32], mut left: Duration) {
        let Value::List(listed) = listed else { return };
        let mut locked = Vec::new();
        let mut closed = HashSet::new();
        for entry in listed.iter().take(MAX_OPEN) {
            let Some(saved) = Saved::of(entry, came) else {
                continue;
            };
            let started = Instant::now();
            let opened = (saved.came || !left.is_zero())
                && self.found(&saved).is_some_and(|at| self.put(&saved, at));
            if !saved.came {
                left = left.saturating_sub(started.elapsed());
            }
            if opened {
                locked.push((saved.fd, saved.locks));
            } else if saved.revoked {
                closed.insert(Arc::from(saved.path));
            }
        }
        self.lock_reopened(&locked);
        self.revoke_journals(&closed);
    }

    /// Takes the locks of files once each, through the first descriptor that may. Files for which that cannot be are revoked, as
    /// are those of revoked descriptors.
    fn lock_reopened(&mut self, locked: &[(usize, Held)]) {
        let (mut lost, mut wanted, mut tried) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (fd, locks) in locked {
            let Some(Descriptor::Node(node)) = &self.open[*fd] else {
                continue;
            };
            let Some(file) = self.namespace.fs(node.at).identity(node.at.node) else {
                continue;
            };
            if node.revoked {
                lost.insert(file);
            } else if *locks != Held::default() {
                wanted.insert(file);
                // Somebody may have it locked already in a storage that others know.
                if locks.may_be_taken(node)
                    && tried.insert(file)
                    && self.locks.set(file, *locks).is_err()
                {
                    lost.insert(file);
                }
            }
        }
        lost.extend(wanted.difference(&tried));
        for file in &lost {
            // Nothing is in the way of holding less.
            let _ = self.locks.set(*file, Held::default());
        }
        self.revoke(&lost);
    }

    fn found(&self, saved: &Saved<'_>) -> Option<Location> {
        let at = if saved.came {
            saved.at
        } else {
            let root = self.namespace.root();
            self.namespace.resolve(root, saved.path, true).ok()?
        };
        self.metadata(at).ok()?;
        let refused = saved.writable && self.namespace.fs(at).is_read_only();
        (!refused).then_some(at)
    }

    /// Opens what is at `at`, if its number is free. Returns whether it did.
    fn put(&mut self, saved: &Saved<'_>, at: Location) -> bool {
        if self.open.len() <= saved.fd {
            self.open.resize(saved.fd + 1, None);
        }
        let fs = self.namespace.fs(at);
        if self.open[saved.fd].is_some() || fs.open(at.node, saved.writable).is_err() {
            return false;
        }
        self.open[saved.fd] = Some(Descriptor::Node(OpenNode {
            at,
            offset: saved.offset,
            flags: saved.flags,
            readable: saved.readable,
            writable: saved.writable,
            path: saved.path.into(),
            revoked: saved.revoked,
        }));
        true
    }
}

/// A descriptor that a snapshot lists.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what is known of it")]
struct Saved<'v> {
    fd: usize,
    path: &'v str,
    offset: u64,
    flags: u16,
    readable: bool,
    writable: bool,
    /// Where it is, if its mount came with the snapshot.
    at: Location,
    came: bool,
    revoked: bool,
    locks: Held,
}

impl<'v> Saved<'v> {
    fn of(entry: &'v Value, came: &[u32]) -> Option<Self> {
        let Value::List(fields) = entry else {
            return None;
        };
        let [
            Value::Int(fd),
            Value::String(path),
            Value::Int(offset),
            Value::Int(flags),
            Value::Bool(readable),
            Value::Bool(writable),
            Value::Int(mount),
            Value::Int(node),
            rest @ ..,
        ] = fields.as_slice()
        else {
            return None;
        };
        let fd = usize::try_from(*fd).ok()?;
        if fd <= ROOT_FD as usize || fd >= MAX_OPEN || path.len() > MAX_PATH {
            return None;
        }
        let mount = u32::try_from(*mount).ok()?;
        let came = came.contains(&mount);
        let (revoked, locks) = locks(rest, came)?;
        let node = NodeId(node.cast_unsigned());
        Some(Self {
            fd,
            path,
            offset: u64::try_from(*offset).ok()?,
            flags: u16::try_from(*flags).ok()?,
            readable: *readable,
            writable: *writable,
            at: Location { mount, node },
            came,
            revoked,
            locks,
        })
    }
}

/// What a descriptor's last item says, if it has one: whether it is revoked, or else its locks.
fn locks(item: &[Value], came: bool) -> Option<(bool, Held)> {
    let bits = match item {
        [] => 0,
        [Value::Int(bits)] => u32::try_from(*bits).ok()?,
        _ => return None,
    };
    if bits & REVOKED != 0 || (bits != 0 && !came) {
        Some((true, Held::default()))
    } else {
        Some((false, Held::from_bits(bits)))
    }
}

#[cfg(test)]
mod tests {
    use eryx_vfs::{FileSystem, MemoryFs, Namespace};

    use super::*;

    const SHARED: u32 = 1 << 4;
    const EXCLUSIVE: u32 = 0b10_10_10;

    /// `/own/a` came with the snapshot, `/other/a` did not.
    struct Trees {
        files: Files,
        own: Arc<MemoryFs>,
        other: Arc<MemoryFs>,
        node: NodeId,
    }

    const OWN: u32 = 1;
    const OTHER: u32 = 2;

    fn trees() -> Trees {
        let [root, own, other] = [(); 3].map(|()| Arc::new(MemoryFs::new(1 << 20)));
        for name in ["own", "other"] {
            root.create_dir(root.root(), name).expect("room");
        }
        let [node, _] =
            [&own, &other].map(|tree| tree.create_file(tree.root(), "a").expect("room"));
        let mut namespace = Namespace::new(root);
        for (path, tree) in [("/own", &own), ("/other", &other)] {
            namespace.mount(path, Arc::clone(tree) as _).expect("there");
        }
        Trees {
            files: Files::new(namespace, Arc::default()),
            own,
            other,
            node,
        }
    }

    fn entry(
        fd: i32,
        path: &str,
        [readable, writable]: [bool; 2],
        at: (u32, NodeId),
        bits: u32,
    ) -> Value {
        let mut fields: Vec<Value> = vec![fd.into(), path.into(), 0.into(), 0.into()];
        fields.extend([readable.into(), writable.into(), at.0.into()]);
        fields.extend([at.1.0.cast_signed().into(), bits.into()]);
        Value::List(fields)
    }

    const READ: [bool; 2] = [true, false];
    const WRITE: [bool; 2] = [false, true];
    const BOTH: [bool; 2] = [true, true];

    impl Trees {
        fn reopen(&mut self, listed: Vec<Value>) {
            self.files.reopen(&Value::List(listed), &[OWN]);
        }

        fn locked(&self, tree: &MemoryFs) -> u32 {
            self.files
                .locks
                .of(tree.identity(self.node).expect("in memory"))
                .to_bits()
        }

        /// Whether it is revoked, if it is open.
        fn revoked(&self, fd: usize) -> Option<bool> {
            match self.files.open.get(fd)? {
                Some(Descriptor::Node(node)) => Some(node.revoked),
                _ => None,
            }
        }
    }

    #[test]
    fn a_number_that_is_taken_locks_nothing() {
        let mut trees = trees();
        let at = (OWN, trees.node);
        trees.reopen(vec![
            entry(5, "/other/a", READ, (OTHER, trees.node), 0),
            entry(5, "/own/a", BOTH, at, EXCLUSIVE),
        ]);
        assert_eq!(
            (trees.locked(&trees.other), trees.locked(&trees.own)),
            (0, 0)
        );
        assert_eq!(trees.revoked(5), Some(false));
    }

    #[test]
    fn locks_are_taken_through_descriptors_that_may() {
        for (rights, bits, may) in [
            (READ, EXCLUSIVE, false),
            (READ, SHARED, true),
            (WRITE, EXCLUSIVE, true),
            (WRITE, SHARED, false),
            (BOTH, EXCLUSIVE, true),
            (BOTH, SHARED, true),
        ] {
            let mut trees = trees();
            let at = (OWN, trees.node);
            trees.reopen(vec![entry(5, "/own/a", rights, at, bits)]);
            let found = (trees.locked(&trees.own), trees.revoked(5));
            let expected = if may { bits } else { 0 };
            assert_eq!(found, (expected, Some(!may)), "{rights:?} {bits}");
        }
    }

    #[test]
    fn one_descriptor_that_may_is_enough() {
        let mut trees = trees();
        let at = (OWN, trees.node);
        // What comes after it changes nothing.
        let listed = [
            (5, READ, EXCLUSIVE),
            (6, BOTH, EXCLUSIVE),
            (7, BOTH, SHARED),
        ];
        let listed = listed.map(|(fd, rights, bits)| entry(fd, "/own/a", rights, at, bits));
        trees.reopen(listed.to_vec());
        assert_eq!(trees.locked(&trees.own), EXCLUSIVE);
        assert_eq!([5, 6, 7].map(|fd| trees.revoked(fd)), [Some(false); 3]);
    }

    #[test]
    fn a_revoked_descriptor_leaves_no_lock_on_its_file() {
        let mut trees = trees();
        let at = (OWN, trees.node);
        let listed = [(5, EXCLUSIVE), (6, REVOKED)];
        let listed = listed.map(|(fd, bits)| entry(fd, "/own/a", BOTH, at, bits));
        trees.reopen(listed.to_vec());
        assert_eq!(trees.locked(&trees.own), 0);
        assert_eq!([5, 6].map(|fd| trees.revoked(fd)), [Some(true); 2]);
    }

    #[test]
    fn a_thousand_descriptors_of_a_locked_file_are_revoked_together() {
        let mut trees = trees();
        let path = format!("/other{}/a", "/.".repeat(1000));
        let listed = (4..1004).map(|fd| entry(fd, &path, BOTH, (OWN, trees.node), REVOKED));
        trees.reopen(listed.collect());
        assert!((4..1004).all(|fd| trees.revoked(fd) == Some(true)));
    }

    #[test]
    fn without_time_nothing_is_searched() {
        let mut trees = trees();
        let journal = trees.own.create_file(trees.own.root(), "j").expect("room");
        let listed = Value::List(vec![
            // Its database, which stays closed, was locked.
            entry(4, "/other/a-journal", BOTH, (OWN, journal), 0),
            entry(5, "/other/a", BOTH, (OTHER, trees.node), EXCLUSIVE),
            entry(6, "/own/a", BOTH, (OWN, trees.node), EXCLUSIVE),
        ]);
        trees.files.reopen_within(&listed, &[OWN], Duration::ZERO);
        let found = [4, 5, 6].map(|fd| trees.revoked(fd));
        assert_eq!(found, [Some(true), None, Some(false)]);
        assert_eq!(trees.locked(&trees.own), EXCLUSIVE);
    }
}
