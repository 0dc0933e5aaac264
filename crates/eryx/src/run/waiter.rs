//! Who waits for the end of a run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::outcome::Outcome;
use crate::{Error, ExecutionError};

/// Is told the outcome once. Dropped before, because a function of the host's panicked, it is told that.
pub(crate) struct Waiter {
    done: Option<Box<dyn FnOnce(Outcome) + Send>>,
    loses_state: bool,
}

impl Waiter {
    /// `loses_state`: with such a panic, a session's state is lost.
    pub(crate) fn new(loses_state: bool, done: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self {
            done: Some(Box::new(done)),
            loses_state,
        }
    }

    pub(crate) fn settle(mut self, outcome: Outcome) {
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(done) = self.done.take() else { return };
        let outcome = Err(ExecutionError {
            state_lost: self.loses_state,
            ..Error::panicked().into()
        });
        // In the middle of a panic, another one would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
    }
}
