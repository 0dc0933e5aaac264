//! Sandboxes: the end of each execution is an event with the number of it.

use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::events::Dispatch;
use crate::execution::{self, Execution};
use crate::options::{ExecutionOptions, SandboxOptions};
use crate::outcome::{self, ErrorObject};
use crate::runtime::Runtime;
use crate::storage::Storage;

/// A sandbox.
#[napi]
pub struct Sandbox {
    core: eryx::Sandbox,
    has_callbacks: bool,
    dispatch: Arc<Dispatch>,
}

#[napi]
impl Sandbox {
    /// Options come checked from `js/options.js`.
    ///
    /// # Errors
    /// What only the core can check is wrong with them.
    #[napi(constructor, catch_unwind)]
    pub fn new(runtime: &Runtime, options: SandboxOptions, vfs: Option<&Storage>) -> Result<Self> {
        let has_callbacks = options.callbacks.is_some();
        let core = eryx::Sandbox::new(&runtime.core, options.into_core(vfs)?)
            .map_err(|error| outcome::thrown(&error))?;
        Ok(Self {
            core,
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
        options: ExecutionOptions,
        execution: &Execution,
    ) -> Result<Option<ErrorObject>> {
        let (options, done) =
            execution::prepare(options, execution, &self.dispatch, id, self.has_callbacks)?;
        let started = self.core.spawn(code, options, done);
        Ok(started.err().map(ErrorObject::from))
    }

    /// Refuses executions from now on and cancels those that run.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.core.close();
    }
}

impl Drop for Sandbox {
    /// The environment ends, or nobody can reach the sandbox any more: runs of it have nobody to report to only in the
    /// first case, so they are left to end by themselves.
    fn drop(&mut self) {
        if self.dispatch.is_closed() {
            self.core.close();
        }
    }
}
