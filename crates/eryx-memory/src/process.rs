//! The process that the runtime is in. What `fork` makes of it has none of its threads, and shows the page tables of the
//! first one where files under `/proc/self` were opened before.

use std::io;
use std::sync::OnceLock;

static OWNER: OnceLock<u32> = OnceLock::new();

fn is_owner() -> bool {
    let id = std::process::id();
    *OWNER.get_or_init(|| id) == id
}

/// Fails in a process that was forked from the one that called this first.
///
/// # Errors
/// Of the kind `Other`.
pub fn check() -> io::Result<()> {
    if is_owner() {
        return Ok(());
    }
    Err(io::Error::other("the process was forked"))
}
