//! Open files as values: for snapshots, which outlive the tree that they were opened in.

use eryx_vfs::{Location, MAX_PATH, NodeId};

use crate::Value;

use super::{Descriptor, Files, MAX_OPEN, OpenNode, ROOT_FD};

impl Files {
    /// The descriptors that a snapshot keeps: `[[fd, path, offset, flags, readable, writable, mount, node], ..]`.
    pub(crate) fn to_value(&self) -> Value {
        let open = self.open.iter().enumerate();
        let listed = open.filter_map(|(fd, descriptor)| match descriptor {
            Some(Descriptor::Node(node)) if fd != ROOT_FD as usize => Some(Value::List(vec![
                i64::try_from(fd).ok()?.into(),
                (*node.path).into(),
                i64::try_from(node.offset).ok()?.into(),
                u32::from(node.flags).into(),
                node.readable.into(),
                node.writable.into(),
                node.at.mount.into(),
                // Those of volumes have all 64 bits.
                node.at.node.0.cast_signed().into(),
            ])),
            _ => None,
        });
        Value::List(listed.collect())
    }

    /// Opens what a snapshot lists: by node in mounts that came with the snapshot, in others by path. What is not there any
    /// more, or is not as it says, stays closed: Python then sees `OSError` EBADF.
    pub(crate) fn reopen(&mut self, listed: &Value, came: &[u32]) {
        let Value::List(listed) = listed else { return };
        for entry in listed.iter().take(MAX_OPEN) {
            if let Some((fd, node)) = self.reopened(entry, came) {
                self.put(fd, node);
            }
        }
    }

    fn reopened(&self, entry: &Value, came: &[u32]) -> Option<(usize, OpenNode)> {
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
        ] = fields.as_slice()
        else {
            return None;
        };
        let fd = usize::try_from(*fd).ok()?;
        if fd <= ROOT_FD as usize || fd >= MAX_OPEN || path.len() > MAX_PATH {
            return None;
        }
        let mount = u32::try_from(*mount).ok()?;
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
        };
        Some((fd, node))
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
