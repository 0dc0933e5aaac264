//! What a tree may hold, and what each thing in it is charged.
//!
//! The overheads are upper bounds of the host bytes behind a thing besides its contents, allocator
//! headers included, whatever the keys look like. The tests compare them with the sizes of the
//! structures and with the bytes really allocated.

use super::chunk::{CHUNK_SIZE, allocation, largest_within};
use crate::{Error, Result};

/// Charged for each file, directory and link besides its contents, in bytes. The root is free.
pub const NODE_OVERHEAD: u64 = 512;
/// Charged for each name in a directory besides the bytes of the name.
pub const ENTRY_OVERHEAD: u64 = 400;
/// Charged for each stored chunk of a file besides its bytes. A file of `n` bytes without holes has
/// `n` / 16 KiB of them, rounded up.
pub const CHUNK_OVERHEAD: u64 = 256;

/// Bytes charged and bytes allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) used: u64,
    pub(super) max: u64,
}

impl Quota {
    pub(super) const fn available(&self) -> u64 {
        self.max.saturating_sub(self.used)
    }

    /// Charges all of `bytes` or nothing.
    pub(super) const fn take(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.available() {
            return Err(Error::NoSpace);
        }
        self.used += bytes;
        Ok(())
    }

    pub(super) const fn give_back(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// What a name costs.
pub(super) const fn entry_cost(name: &str) -> u64 {
    ENTRY_OVERHEAD + name.len() as u64
}

/// What a chunk of `len` bytes costs; no chunk, no cost.
pub(super) fn chunk_cost(len: Option<usize>) -> u64 {
    len.map_or(0, |len| CHUNK_OVERHEAD + allocation(len) as u64)
}

/// The longest chunk that `bytes` pay for.
pub(super) fn chunk_len_for(bytes: u64) -> usize {
    let contents = bytes.saturating_sub(CHUNK_OVERHEAD);
    largest_within(usize::try_from(contents).unwrap_or(CHUNK_SIZE))
}
