//! Time stamps of nodes.

use std::time::SystemTime;

/// Nanoseconds since the Unix epoch; 0 for a host clock before it. One clock read per change.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|passed| u64::try_from(passed.as_nanos()).ok())
        .unwrap_or(0)
}
