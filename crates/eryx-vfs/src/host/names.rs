//! Numbers of nodes.

use std::hash::{BuildHasher, RandomState};

use crate::NodeId;

/// Of the root.
pub(super) const ROOT: NodeId = NodeId(1);

/// Makes numbers of devices and inodes: the same for the same file, and nothing that tells about the host's.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(RandomState);

impl Numbers {
    pub(super) fn of(&self, device: u64, inode: u64) -> NodeId {
        let number = self.0.hash_one((device, inode));
        // 0 is no number, and 1 the root's.
        NodeId(number.max(ROOT.0 + 1))
    }
}
