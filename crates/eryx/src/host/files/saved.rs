//! Open files as values: for snapshots, which outlive the tree that they were opened in.

use eryx_vfs::{Location, MAX_PATH, NodeId};

use crate::Value;

use super::locks::Held;
use super::{Descriptor, Files, MAX_OPEN, OpenNode, ROOT_FD};

/// In place of locks: the descriptor is revoked.
const REVOKED: u32 = 1 << 6;

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
        let Value::List(listed) = listed else { return };
        for entry in listed.iter().take(MAX_OPEN) {
            if let Some((fd, node, locks)) = self.reopened(entry, came) {
                self.put(fd, node);
                self.lock_reopened(fd, locks);
            }
        }
        // With their journals, which may come later in the list.
        for fd in 0..self.open.len() {
            if let Some(Descriptor::Node(node)) = &self.open[fd]
                && node.revoked
                && let Some(file) = self.namespace.fs(node.at).identity(node.at.node)
            {
                self.revoke(file);
            }
        }
    }

    fn lock_reopened(&mut self, fd: usize, locks: Held) {
        let Some(Some(descriptor)) = self.open.get(fd) else {
            return;
        };
        if let Some(file) = self
            .identity(descriptor)
            .filter(|_| locks != Held::default())
        {
            // Somebody may have it locked already in a storage that others know.
            if self.locks.set(file, locks).is_err() {
                self.revoke(file);
            }
        }
    }

    fn reopened(&self, entry: &Value, came: &[u32]) -> Option<(usize, OpenNode, Held)> {
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
        let bits = match rest {
            [] => 0,
            [Value::Int(bits)] => u32::try_from(*bits).ok()?,
            _ => return None,
        };
        let fd = usize::try_from(*fd).ok()?;
        if fd <= ROOT_FD as usize || fd >= MAX_OPEN || path.len() > MAX_PATH {
            return None;
        }
        let mount = u32::try_from(*mount).ok()?;
        let revoked = bits & REVOKED != 0 || (bits != 0 && !came.contains(&mount));
        let locks = if revoked {
            Held::default()
        } else {
            Held::from_bits(bits)
        };
        let at = if came.contains(&mount) {
            let node = NodeId(node.cast_unsigned());
            Location { mount, node }
        } else {
            let root = self.namespace.root();
            self.namespace.resolve(root, path, true).ok()?
        };
        self.metadata(at).ok()?;
        if *writable && self.namespace.fs(at).is_read_only() {
            return None;
        }
        let node = OpenNode {
            at,
            offset: u64::try_from(*offset).ok()?,
            flags: u16::try_from(*flags).ok()?,
            readable: *readable,
            writable: *writable,
            path: path.as_str().into(),
            revoked,
        };
        Some((fd, node, locks))
    }

    fn put(&mut self, fd: usize, node: OpenNode) {
        if self.open.len() <= fd {
            self.open.resize(fd + 1, None);
        }
        let fs = self.namespace.fs(node.at);
        if self.open[fd].is_none() && fs.open(node.at.node, node.writable).is_ok() {
            self.open[fd] = Some(Descriptor::Node(node));
        }
    }
}
