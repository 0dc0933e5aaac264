//! The process that the runtime is in.

use crate::Error;

/// Fails in a process that was forked from one that called this.
pub(crate) fn check() -> Result<(), Error> {
    eryx_memory::process::check().map_err(|_| {
        Error::Initialization(
            "this process was forked from one that had loaded the Python runtime, whose threads did not come along: start \
             a program of its own instead"
                .into(),
        )
    })
}
