//! Short forms that many tests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::{FileSystem, Location, MemoryFs, Namespace, NodeId};

pub(crate) const ROOMY: u64 = 64 << 20;

/// A roomy empty tree and its root.
pub(crate) fn memory() -> (MemoryFs, NodeId) {
    let fs = MemoryFs::new(ROOMY);
    let root = fs.root();
    (fs, root)
}

/// A namespace with only a roomy tree at `/`.
pub(crate) fn namespace() -> (Namespace, Location) {
    let namespace = Namespace::new(Arc::new(MemoryFs::new(ROOMY)));
    let root = namespace.root();
    (namespace, root)
}

/// All of a file.
pub(crate) fn contents(fs: &dyn FileSystem, node: NodeId) -> Vec<u8> {
    let size = usize::try_from(fs.metadata(node).unwrap().size).unwrap();
    let mut buf = vec![0xAA; size + 1];
    let count = fs.read(node, 0, &mut buf).unwrap();
    buf.truncate(count);
    buf
}

/// The names in a directory, in its order.
pub(crate) fn names(fs: &dyn FileSystem, dir: NodeId) -> Vec<String> {
    let list = fs.read_dir(dir, 0, usize::MAX).unwrap();
    list.iter().map(|entry| entry.name.to_string()).collect()
}

/// Tries `work` until it takes less than `most`: what else runs on the machine delays some tries, a defect all of them.
pub(crate) fn quickly<T>(most: Duration, mut work: impl FnMut() -> T) -> T {
    let mut took = Vec::new();
    while took.len() < 20 {
        let started = Instant::now();
        let value = work();
        took.push(started.elapsed());
        if took.last() < Some(&most) {
            return value;
        }
    }
    panic!("never within {most:?}: {took:?}")
}

/// A tree as bytes.
pub(crate) fn saved(fs: &MemoryFs) -> Vec<u8> {
    let mut bytes = Vec::new();
    fs.save(&mut bytes).unwrap();
    bytes
}
