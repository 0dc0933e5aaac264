//! How an execution is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cancels one run. Clones cancel the same run.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    cancelled: AtomicBool,
    changed: Notify,
}

impl CancelHandle {
    /// A handle for a run that is yet to start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to end. Does nothing if it has ended already.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// Resolves when the run is cancelled after this was called, or was before.
    pub(crate) async fn cancelled(&self) {
        let changed = self.0.changed.notified();
        tokio::pin!(changed);
        // From here on a cancellation is noticed; one that came before must be looked for.
        changed.as_mut().enable();
        if !self.is_cancelled() {
            changed.await;
        }
    }

    /// Whether [`CancelHandle::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }
}
