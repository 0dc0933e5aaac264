//! One execution: its options, its handlers, and the object that JavaScript cancels it and answers its calls with.

use std::sync::Arc;

use eryx::{CallbackFailure, CancelHandle, Outcome};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::calls::{Handler, Replies};
use crate::events::{Dispatch, Line, Queue, Sink};
use crate::options::{ExecutionOptions, Streams};

/// The core's options of the execution with the number `id`, and what is called with its outcome.
pub(crate) fn prepare(
    options: ExecutionOptions,
    execution: &Execution,
    dispatch: &Arc<Dispatch>,
    id: u32,
    has_callbacks: bool,
) -> Result<(eryx::ExecutionOptions, impl FnOnce(Outcome) + Send + use<>)> {
    let streams = Streams::from_bits(options.streams);
    let mut options = options.to_core(execution.cancel.clone())?;
    if streams.any() || has_callbacks {
        let queue = Arc::clone(&execution.queue);
        let line = Arc::new(Line::new(Arc::clone(dispatch), id, queue));
        if has_callbacks {
            options.callback_handler = Some(Arc::new(Handler {
                line: Arc::clone(&line),
                replies: execution.replies.clone(),
            }));
        }
        if streams.any() {
            options.sink = Some(Arc::new(Sink { line, streams }));
        }
    }
    let dispatch = Arc::clone(dispatch);
    Ok((options, move |outcome| dispatch.done(id, outcome)))
}

/// One execution, to cancel it and to answer its calls.
#[napi]
#[derive(Default)]
pub struct Execution {
    cancel: CancelHandle,
    replies: Replies,
    queue: Arc<Queue>,
}

#[napi]
impl Execution {
    /// An execution that is yet to start.
    #[napi(constructor, catch_unwind)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks it to end.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A handler's promise is awaited: events are put off, and go on counting towards the queue that holds the guest back.
    #[napi(catch_unwind)]
    pub fn hold(&self) {
        self.queue.hold();
    }

    /// The first event that was put off is about to be handled; if there is none, events are put off no more.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        self.queue.release();
    }

    /// Answers a call with an encoded value. Nothing happens if nobody waits for it.
    #[napi(catch_unwind)]
    pub fn answer(&self, call: f64, value: Uint8Array) {
        if let Some(reply) = self.replies.take(call) {
            // What is wrong with the bytes, the guest is told.
            let _ = reply.send_encoded(value.to_vec());
        }
    }

    /// Answers a call with an error of the function.
    #[napi(catch_unwind)]
    pub fn fail(&self, call: f64, name: String, message: String) {
        if let Some(reply) = self.replies.take(call) {
            reply.send(Err(CallbackFailure::Raised { name, message }));
        }
    }

    /// Suspends the execution at this call.
    #[napi(catch_unwind)]
    pub fn suspend(&self, call: f64, reason: String) {
        if let Some(reply) = self.replies.take(call) {
            reply.send(Err(CallbackFailure::Suspend(reason)));
        }
    }

    /// Answers a call whose arguments do not match its schema.
    #[napi(catch_unwind)]
    pub fn refuse(&self, call: f64, message: String) {
        if let Some(reply) = self.replies.take(call) {
            reply.send(Err(CallbackFailure::Arguments(message)));
        }
    }
}
