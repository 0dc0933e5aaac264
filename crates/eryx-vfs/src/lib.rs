//! The file systems an eryx guest sees, and the one tree it sees them in.
//!
//! No WebAssembly, and no host files but those of [`HostFs`]. The caller checks the guest's pointers; this
//! crate checks names, paths, offsets and lengths. Whatever a guest can make grow is capped by the quota of
//! [`MemoryFs`] or a constant below; no call panics, recurses with the guest's data, or does more
//! work than its path, its buffer and the nodes it frees.
//!
//! - [`FileSystem`]: one tree of nodes. [`MemoryFs`] is read-write with a quota and constant-time
//!   copy-on-write forks; [`ArchiveFs`] is read-only over a tar archive; [`HostFs`] is a directory or a
//!   file of the host, the only code here that reaches it.
//! - [`Namespace`]: a table of mounts, and how a path finds its way through them. Symbolic links
//!   and `..` never leave it.
//!
//! ```
//! use std::sync::Arc;
//! use eryx_vfs::{MemoryFs, Namespace};
//!
//! let mut namespace = Namespace::new(Arc::new(MemoryFs::new(1 << 20)));
//! let root = namespace.root();
//! namespace.create_dir(root, "/data")?;
//! namespace.mount("/data", Arc::new(MemoryFs::new(1 << 20)))?;
//! let file = namespace.create_file(root, "/data/note")?;
//! namespace.fs(file).write(file.node, 0, b"hello")?;
//! assert_eq!(namespace.resolve(root, "../data/./note", true)?, file);
//! # Ok::<(), eryx_vfs::Error>(())
//! ```

#![deny(unsafe_code)]

mod archive;
mod clock;
mod cow_map;
mod devices;
mod error;
mod file_system;
mod host;
mod memory;
mod name;
mod namespace;

pub use archive::{ArchiveError, ArchiveFs, MAX_ARCHIVE_NODES};
pub use devices::DeviceFs;
pub use error::{Error, Result};
pub use file_system::{Device, DirEntry, FileIdentity, FileSystem, Kind, Metadata, NodeId};
pub use host::{
    HostFs, MAX_HOST_ENTRIES, MAX_HOST_HANDLES, MAX_HOST_LISTED, MAX_HOST_MOVED, MAX_HOST_NODES,
};
pub use memory::{
    CHUNK_OVERHEAD, ENTRY_OVERHEAD, MAX_DEPTH, MAX_FILE, MemoryFs, NODE_OVERHEAD, TreeError,
};
pub use name::{MAX_LINKS, MAX_NAME, MAX_PATH};
pub use namespace::{Location, MAX_MOUNTS, Namespace, OpenHow};
