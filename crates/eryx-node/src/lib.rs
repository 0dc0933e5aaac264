//! The Node-API addon of `@bsull/eryx`. It converts; behaviour is in the core and in `js/`.
//!
//! Everything asynchronous goes through one function per JavaScript environment, `dispatch(kind, id, ..)`: output, calls
//! of callbacks and the end of a run, in order. So one wake-up of the event loop settles every run that has ended meanwhile.

#![deny(unsafe_code)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "arguments of exports are what Node-API converts"
)]

mod callbacks;
mod dispatch;
mod options;
mod storage;
mod to_js;

use std::path::Path;
use std::sync::Arc;

use eryx::{CallbackFailure, CancelHandle, Runtime, Sandbox};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::callbacks::{Handler, Replies};
use crate::dispatch::{Dispatch, Line, Sink};
use crate::options::{NativeExecutionOptions, NativeSandboxOptions};
use crate::storage::NativeStorage;
use crate::to_js::ErrorObject;

/// The loaded runtime, and where this environment's events go.
#[napi]
pub struct NativeRuntime {
    runtime: Runtime,
    dispatch: Arc<Dispatch>,
}

#[napi]
impl NativeRuntime {
    /// Loads the runtime in `directory`. The process keeps it: later calls with the same directory share it.
    ///
    /// # Errors
    /// The runtime cannot be loaded.
    #[napi(constructor, catch_unwind)]
    pub fn new(directory: String, dispatch: Function<'_, dispatch::Arguments, ()>) -> Result<Self> {
        let runtime = options::shared_runtime(Path::new(&directory))
            .map_err(|error| to_js::thrown(&error))?;
        Ok(Self {
            runtime,
            dispatch: Arc::new(dispatch::build(dispatch)?),
        })
    }

    /// Version of Python, of wasmtime, and the runtime's identity.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let manifest = self.runtime.manifest();
        vec![
            manifest.python.clone(),
            manifest.wasmtime.clone(),
            manifest.runtime.clone(),
        ]
    }
}

/// A sandbox.
#[napi]
pub struct NativeSandbox {
    sandbox: Sandbox,
    has_callbacks: bool,
    dispatch: Arc<Dispatch>,
}

#[napi]
impl NativeSandbox {
    /// Options come checked from `js/options.js`.
    ///
    /// # Errors
    /// What only the core can check is wrong with them.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        runtime: &NativeRuntime,
        options: NativeSandboxOptions,
        vfs: Option<&NativeStorage>,
    ) -> Result<Self> {
        let has_callbacks = options.callbacks.is_some();
        let sandbox = Sandbox::new(&runtime.runtime, options.into_core(vfs)?)
            .map_err(|error| to_js::thrown(&error))?;
        Ok(Self {
            sandbox,
            has_callbacks,
            dispatch: Arc::clone(&runtime.dispatch),
        })
    }

    /// Starts `code`. The end comes as an event with `id`. Returns an error if nothing was started.
    ///
    /// # Errors
    /// The encoded inputs are damaged.
    #[napi(catch_unwind)]
    pub fn execute(
        &self,
        id: u32,
        code: String,
        options: NativeExecutionOptions,
        run: &NativeRun,
    ) -> Result<Option<ErrorObject>> {
        let streams = options::Streams::from_bits(options.streams);
        let mut options = options.to_core(run.cancel.clone())?;
        if streams.any() || self.has_callbacks {
            let line = Arc::new(Line::new(Arc::clone(&self.dispatch), id));
            if self.has_callbacks {
                options.callback_handler = Some(Arc::new(Handler {
                    line: Arc::clone(&line),
                    replies: run.replies.clone(),
                }));
            }
            if streams.any() {
                options.sink = Some(Arc::new(Sink { line, streams }));
            }
        }
        let dispatch = Arc::clone(&self.dispatch);
        let started = self.sandbox.spawn(code, options, move |outcome| {
            dispatch.done(id, outcome);
        });
        Ok(started.err().map(ErrorObject::from))
    }

    /// Refuses executions from now on and cancels those that run.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.sandbox.close();
    }
}

impl Drop for NativeSandbox {
    /// The environment ends, or nobody can reach the sandbox any more: runs of it have nobody to report to only in the
    /// first case, so they are left to end by themselves.
    fn drop(&mut self) {
        if self.dispatch.is_closed() {
            self.sandbox.close();
        }
    }
}

/// One run, to cancel it and to answer its calls.
#[napi]
#[derive(Default)]
pub struct NativeRun {
    cancel: CancelHandle,
    replies: Replies,
}

#[napi]
impl NativeRun {
    /// A run that is yet to start.
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

    /// Answers a call whose arguments do not match its schema.
    #[napi(catch_unwind)]
    pub fn refuse(&self, call: f64, message: String) {
        if let Some(reply) = self.replies.take(call) {
            reply.send(Err(CallbackFailure::Arguments(message)));
        }
    }
}
