//! Numbers of JavaScript as those of the core.

use std::time::Duration;

/// A limit in milliseconds; negative is none.
pub(crate) fn timeout(limit: f64) -> Option<Duration> {
    (limit >= 0.0).then(|| milliseconds(limit))
}

pub(crate) fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a safe integer before"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}
