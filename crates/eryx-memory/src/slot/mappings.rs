//! How many memory mappings slots take of those that a process may have. Whoever comes after the last one, V8 among them, aborts.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Linux's default.
const USUAL_LIMIT: usize = 65_530;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Mappings that belong to one slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Mappings(usize);

impl Mappings {
    /// Takes so many, if a quarter of all is left for the rest of the process.
    pub(super) fn take(count: usize) -> io::Result<Self> {
        let before = TAKEN.fetch_add(count, Ordering::Relaxed);
        let taken = Self(count);
        if before + count > limit() / 4 * 3 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(taken)
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}

fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(USUAL_LIMIT)
    })
}
