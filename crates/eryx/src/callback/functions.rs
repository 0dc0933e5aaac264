//! Rust functions as callbacks.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::{Arguments, Call, CallbackDefinition, CallbackFailure, CallbackHandler, GivenUp};
use crate::Value;
use crate::threads::workers;

type Answer = Result<Value, CallbackFailure>;
type Function =
    Box<dyn Fn(Arguments) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// Async functions and their definitions, in the order in which they were added.
///
/// All functions run on one thread, which also serves the timers of all runs: a function must not block. It is dropped when
/// nobody waits for its answer any more.
#[derive(Default)]
pub struct CallbackFunctions {
    definitions: Vec<CallbackDefinition>,
    functions: Vec<Function>,
}

impl CallbackFunctions {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function.
    #[must_use]
    pub fn with<F, A>(mut self, definition: impl Into<CallbackDefinition>, function: F) -> Self
    where
        F: Fn(Arguments) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        self.definitions.push(definition.into());
        self.functions
            .push(Box::new(move |arguments| Box::pin(function(arguments))));
        self
    }

    /// What [`SandboxOptions`](crate::SandboxOptions) takes: `callbacks` and `callback_handler`.
    #[must_use]
    pub fn into_parts(self) -> (Vec<CallbackDefinition>, Arc<dyn CallbackHandler>) {
        let handler = Handler {
            functions: self.functions,
            running: Arc::default(),
        };
        (self.definitions, Arc::new(handler))
    }
}

/// Runs each call as a task.
struct Handler {
    functions: Vec<Function>,
    running: Arc<Mutex<HashMap<u64, AbortHandle>>>,
}

impl CallbackHandler for Handler {
    fn call(&self, call: Call) {
        let Some(function) = self.functions.get(call.callback) else {
            return call.reply.send(Err(CallbackFailure::Raised {
                name: String::new(),
                message: format!(
                    "the handler has {} functions, and the sandbox calls number {}",
                    self.functions.len(),
                    call.callback
                ),
            }));
        };
        // What cannot be decoded, the dropped reply answers.
        let Ok(arguments) = call.decoded() else {
            return;
        };
        let answer = function(arguments);
        let Call { id, reply, .. } = call;
        let running = Arc::clone(&self.running);
        // Held while the task is entered, so that it cannot leave before.
        let mut entered = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let task = workers::runtime().spawn(async move {
            reply.send(answer.await);
            running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
        });
        entered.insert(id, task.abort_handle());
    }

    fn cancel(&self, id: u64, _: GivenUp) {
        let task = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        if let Some(task) = task {
            task.abort();
        }
    }
}
