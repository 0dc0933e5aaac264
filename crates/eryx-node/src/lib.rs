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
mod run;
mod session;
mod storage;
mod to_js;

use std::path::Path;
use std::sync::Arc;

use eryx::{Runtime, Sandbox};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::dispatch::Dispatch;
use crate::options::{NativeExecutionOptions, NativeSandboxOptions};
pub use crate::run::NativeRun;
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
        let options = run::options(options, run, &self.dispatch, id, self.has_callbacks)?;
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
