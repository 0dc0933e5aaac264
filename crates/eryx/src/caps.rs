//! The caps: what bounds the memory of the host that a guest can make it take.
//!
//! Whatever a guest, or bytes that claim to be a snapshot, can make grow in the host has a row in the table and a test that
//! hits it. The table in docs/security.md is made from it. File systems have caps of their own: the quota of a
//! [`MemoryFs`](eryx_vfs::MemoryFs), and the constants of that crate.

use crate::value::wire;

/// Stack of wasm code. CPython's own limit for C recursion (`ERYX_STACK_TOLD` in the guest) must end first.
pub(crate) const WASM_STACK: usize = 32 << 20;

/// Source code beyond so many bytes is refused.
pub const MAX_CODE_BYTES: usize = 16 << 20;
/// Source code of all libraries of a sandbox beyond so many bytes is refused.
pub(crate) const MAX_LIBRARY_BYTES: usize = 4 << 20;
/// Names of files and variables beyond so many bytes are refused.
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// Names of callbacks beyond so many bytes are refused.
pub(crate) const MAX_CALLBACK_NAME: usize = 1024;
/// Parts of such a name, between dots.
pub(crate) const MAX_CALLBACK_PARTS: usize = 16;
/// Calls of one run whose answers the guest has not taken yet.
pub(crate) const MAX_IN_FLIGHT: usize = 4096;
/// Bytes of their arguments, together. A single call may be as large as a message can be.
pub(crate) const MAX_IN_FLIGHT_BYTES: usize = wire::MAX_BYTES;
/// Values in them, together: what is made of a value takes many times its bytes.
pub(crate) const MAX_IN_FLIGHT_VALUES: usize = wire::MAX_VALUES;
/// Bytes of answers that wait for the guest to take them. Beyond it an answer is replaced by an error.
pub(crate) const MAX_WAITING_BYTES: usize = 256 << 20;
/// Bytes of events of one run on their way to a host that takes them on another thread. Beyond it the guest waits.
pub const MAX_QUEUED_BYTES: usize = 256 << 10;
/// What such an event counts besides its bytes.
pub const QUEUED_EVENT_BYTES: usize = 128;

/// Events of one run that are collected. The rest is dropped and flagged.
pub(crate) const MAX_EVENTS: usize = 100_000;
/// Bytes of their names and details, together.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;
/// Bytes of one message of events. The guest sends a few hundred events at a time.
pub(crate) const MAX_TRACE_MESSAGE: u32 = 4 << 20;

/// Warnings of a run beyond so many are dropped.
pub(crate) const MAX_WARNINGS: usize = 100;
/// Bytes of a warning's texts; the driver's own are far below.
pub(crate) const MAX_WARNING_BYTES: usize = 10_000;

/// Open descriptors of one guest, the three standard ones and the root included.
pub(crate) const MAX_OPEN: usize = 1024;
/// Buffers of one read or write; libc uses two.
pub(crate) const MAX_IOVECS: u32 = 1024;
/// Entries of a directory that are looked up at a time, however large the buffer for them is.
pub(crate) const MAX_ENTRIES_AT_ONCE: usize = 1024;
/// Subscriptions of one `poll_oneoff`.
pub(crate) const MAX_SUBSCRIPTIONS: u32 = 1024;
/// Random bytes of one call, which cannot be interrupted. libc asks for 256 at a time.
pub(crate) const MAX_RANDOM: u32 = 1 << 20;
/// Elements a guest's table may have. The runtime has about 6,000 of its own.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// Volumes of one sandbox.
pub(crate) const MAX_VOLUMES: usize = 64;
/// Longest path of a mount, in bytes, so that guests have paths left below it.
pub(crate) const MAX_MOUNT_PATH: usize = 1024;
/// Most parts of such a path.
pub(crate) const MAX_MOUNT_PARTS: usize = 32;
/// The largest file that [`Storage::read_file`](crate::Storage::read_file) returns in one piece, in bytes. A file with holes
/// can claim to be longer.
pub(crate) const MAX_READ: u64 = 2 << 30;
/// The quota of a restored storage, if none is given, is the one that was saved, but no more than this.
pub const DEFAULT_RESTORED_BYTES: u64 = 1 << 30;

/// Idle guests that are kept for each core. Each holds the pages that runs usually write, one to four megabytes. A core
/// runs one at a time, and cleans up one more; the others are for runs that wait.
pub(crate) const MAX_IDLE_PER_CORE: usize = 4;
/// Threads that run guests. Each that computes keeps one.
pub(crate) const MAX_WORKERS: usize = 128;
/// Sessions with a slot, for each core.
pub(crate) const MAX_SLOTS_PER_CORE: usize = 16;
/// Forks that one call makes at most.
pub const MAX_FORKS: usize = 10_000;

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
