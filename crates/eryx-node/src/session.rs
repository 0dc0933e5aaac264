//! Sessions: what is asked of one is answered by an event with the number of the request.

#![expect(
    clippy::cast_precision_loss,
    clippy::too_many_arguments,
    reason = "a count of executions stays far below 2^53; resuming takes what a session and an execution take"
)]

use std::sync::Arc;

use eryx::{Answers, Error, Value};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::events::{Answer, Dispatch, What};
use crate::execution::{self, Execution};
use crate::numbers::timeout;
use crate::options::{ExecutionOptions, SandboxOptions};
use crate::outcome::{self, ErrorObject};
use crate::runtime::Runtime;
use crate::storage::Storage;

/// A session.
#[napi]
pub struct Session {
    core: eryx::Session,
    has_callbacks: bool,
    dispatch: Arc<Dispatch>,
}

#[napi]
impl Session {
    /// Options come checked from `js/options.js`.
    ///
    /// # Errors
    /// What only the core can check is wrong with them.
    #[napi(constructor, catch_unwind)]
    pub fn new(runtime: &Runtime, options: SandboxOptions, vfs: Option<&Storage>) -> Result<Self> {
        let has_callbacks = options.callbacks.is_some();
        let core = eryx::Session::new(&runtime.core, options.into_core(vfs)?)
            .map_err(|error| outcome::thrown(&error))?;
        Ok(Self {
            core,
            has_callbacks,
            dispatch: Arc::clone(&runtime.dispatch),
        })
    }

    /// Queues `code`. The end comes as an event with `id`. Returns an error if nothing was queued.
    ///
    /// # Errors
    /// The encoded inputs are damaged.
    #[napi(catch_unwind)]
    pub fn execute(
        &self,
        id: u32,
        code: String,
        options: ExecutionOptions,
        execution: &Execution,
    ) -> Result<Option<ErrorObject>> {
        let (options, done) =
            execution::prepare(options, execution, &self.dispatch, id, self.has_callbacks)?;
        let queued = self.core.spawn(code, options, done);
        Ok(queued.err().map(ErrorObject::from))
    }

    /// Starts over with a new interpreter.
    #[napi(catch_unwind)]
    pub fn reset(&self, id: u32) {
        let reset = self.core.reset();
        self.ask(id, async { reset.await.map(|()| Answer::Nothing) });
    }

    /// Removes the user's variables.
    #[napi(catch_unwind)]
    pub fn clear_state(&self, id: u32) {
        let cleared = self.core.clear_state();
        self.ask(id, async { cleared.await.map(|()| Answer::Nothing) });
    }

    /// The answer are bytes.
    #[napi(catch_unwind)]
    pub fn snapshot(&self, id: u32) {
        let snapshot = self.core.snapshot();
        self.ask(id, async { snapshot.await.map(Answer::Bytes) });
    }

    /// Puts a snapshot in place of the interpreter.
    #[napi(catch_unwind)]
    pub fn restore(&self, id: u32, snapshot: Uint8Array) {
        let restored = self.core.restore(snapshot.to_vec());
        self.ask(id, async { restored.await.map(|()| Answer::Nothing) });
    }

    /// Goes on with a suspended run, whose end comes as an event with `id`. `answers` are two encoded lists of pairs: results
    /// and errors by number.
    ///
    /// # Errors
    /// What only the core can check is wrong with the options.
    #[napi(factory, catch_unwind)]
    pub fn resume(
        runtime: &Runtime,
        options: SandboxOptions,
        checkpoint: Uint8Array,
        answers: Uint8Array,
        id: u32,
        execution_options: ExecutionOptions,
        execution: &Execution,
        vfs: Option<&Storage>,
    ) -> Result<Self> {
        let has_callbacks = options.callbacks.is_some();
        let dispatch = Arc::clone(&runtime.dispatch);
        let (execution_options, done) =
            execution::prepare(execution_options, execution, &dispatch, id, has_callbacks)?;
        let core = eryx::Session::resume(
            &runtime.core,
            options.into_core(vfs)?,
            checkpoint.to_vec(),
            decoded(&answers)?,
            execution_options,
            done,
        )
        .map_err(|error| outcome::thrown(&error))?;
        Ok(Self {
            core,
            has_callbacks,
            dispatch,
        })
    }

    /// The answer are sessions.
    #[napi(catch_unwind)]
    pub fn fork(&self, id: u32, count: u32) {
        let (dispatch, has_callbacks) = (Arc::clone(&self.dispatch), self.has_callbacks);
        let forks = self.core.fork(count as usize);
        self.ask(id, async move {
            let forks = forks.await?;
            let forks = forks.into_iter().map(|core| Self {
                core,
                has_callbacks,
                dispatch: Arc::clone(&dispatch),
            });
            Ok(Answer::Sessions(forks.collect()))
        });
    }

    /// The files of its working directory.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn vfs(&self) -> Storage {
        Storage {
            core: self.core.storage().clone(),
        }
    }

    /// Where they are mounted.
    #[napi(getter, catch_unwind)]
    #[must_use]
    pub fn vfs_mount_path(&self) -> String {
        self.core.mount_path().to_owned()
    }

    /// Executions since the beginning or the last reset.
    #[napi(getter, catch_unwind)]
    #[must_use]
    pub fn execution_count(&self) -> f64 {
        self.core.execution_count() as f64
    }

    /// Milliseconds; negative is none.
    #[napi(catch_unwind)]
    pub fn set_execution_timeout(&self, limit: f64) {
        self.core.set_execution_timeout(timeout(limit));
    }

    /// Refuses everything from now on and cancels what runs. Answered when the interpreter is gone.
    #[napi(catch_unwind)]
    pub fn close(&self, id: u32) {
        self.core.close();
        let rested = self.core.rested();
        self.ask(id, async {
            rested.await;
            Ok(Answer::Nothing)
        });
    }

    /// Reports `answer` as the end of the request `id`.
    fn ask(
        &self,
        id: u32,
        answer: impl Future<Output = std::result::Result<Answer, Error>> + Send + 'static,
    ) {
        let dispatch = Arc::clone(&self.dispatch);
        eryx::spawn(async move {
            let what = match answer.await {
                Ok(answer) => What::Answered(answer),
                Err(error) => What::Refused(Box::new(error)),
            };
            dispatch.report(id, what);
        });
    }
}

/// `[[[call, value], ..], [[call, text], ..]]`
fn decoded(answers: &[u8]) -> Result<Answers> {
    let mut made = Answers::default();
    let Ok(Value::List(lists)) = Value::from_bytes(answers) else {
        return Err(napi::Error::from_reason(
            "ERYX_INTERNAL answers are not encoded as expected",
        ));
    };
    let mut pairs = lists.into_iter().map(|list| match list {
        Value::List(pairs) => pairs.into_iter().filter_map(pair).collect(),
        _ => Vec::new(),
    });
    made.results = pairs.next().unwrap_or_default();
    let errors = pairs.next().unwrap_or_default().into_iter();
    made.errors = errors
        .filter_map(|(call, text)| match text {
            Value::String(text) => Some((call, text)),
            _ => None,
        })
        .collect();
    Ok(made)
}

fn pair(value: Value) -> Option<(u64, Value)> {
    let Value::List(pair) = value else {
        return None;
    };
    match <[Value; 2]>::try_from(pair).ok()? {
        [Value::Int(call), value] => Some((u64::try_from(call).ok()?, value)),
        _ => None,
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.dispatch.is_closed() {
            self.core.close();
        }
    }
}
