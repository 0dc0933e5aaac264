//! The process that the runtime is in. What `fork` makes of it has none of its threads, and shows the page tables of the
//! first one where files under `/proc/self` were opened before.

use std::io;
use std::sync::OnceLock;

use crate::Error;

static OWNER: OnceLock<u32> = OnceLock::new();

fn is_owner() -> bool {
    let id = std::process::id();
    *OWNER.get_or_init(|| id) == id
}

/// Fails in a process that was forked from the one that called this first.
pub(crate) fn check() -> Result<(), Error> {
    if is_owner() {
        return Ok(());
    }
    Err(Error::Initialization(
        "this process was forked from one that had loaded the Python runtime, whose threads did not come along: start a \
         program of its own instead"
            .into(),
    ))
}

/// The same for those who ask the kernel.
pub(crate) fn check_io() -> io::Result<()> {
    if is_owner() {
        return Ok(());
    }
    Err(io::Error::other("the process was forked"))
}
