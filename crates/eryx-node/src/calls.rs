//! The calls of one execution: they go out as events, and answers come in through `Execution`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eryx::{Call, CallbackHandler, GivenUp, Reply};

use crate::events::{Line, What};

/// Calls whose answer is awaited, by the number that the event named.
#[derive(Clone, Default)]
pub(crate) struct Replies(Arc<Mutex<HashMap<u64, Reply>>>);

impl Replies {
    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an answer goes; `None` if nobody waits for it any more.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number that an event named, or one that is not there"
    )]
    pub(crate) fn take(&self, call: f64) -> Option<Reply> {
        self.locked().remove(&(call as u64))
    }
}

/// Hands the calls of one run to its environment.
pub(crate) struct Handler {
    pub(crate) line: Arc<Line>,
    pub(crate) replies: Replies,
}

impl CallbackHandler for Handler {
    fn call(&self, call: Call) {
        let id = call.id;
        self.replies.locked().insert(id, call.reply);
        let bytes = call.arguments.len();
        let what = What::Call {
            call: call.id,
            callback: call.callback,
            arguments: call.arguments,
        };
        if !self.line.send(what, bytes) {
            // Nobody will answer: the call is not to wait for it.
            self.replies.locked().remove(&id);
        }
    }

    fn cancel(&self, call: u64, why: GivenUp) {
        // Answered meanwhile, if it is not there.
        if self.replies.locked().remove(&call).is_some() {
            let timed_out = why == GivenUp::TimedOut;
            self.line.send(What::Abort { call, timed_out }, 0);
        }
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.line.ready())
    }
}
