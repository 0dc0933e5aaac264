//! [`Sandbox`]: every execution in a fresh interpreter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::guest::instance::{Begin, Condition, Instance};
use crate::run::context::Context;
use crate::run::request::Start;
use crate::run::waiter::Waiter;
use crate::run::{outcome, request};
use crate::runtime::pool::Pool;
use crate::threads::{process, workers};
use crate::{CancelHandle, Error, ExecutionOptions, Outcome, Runtime, SandboxOptions};

/// Runs code, each piece in an interpreter of its own. Clones share one sandbox; executions run at the same time.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    closed: bool,
    next: u64,
    cancels: HashMap<u64, CancelHandle>,
}

impl Sandbox {
    /// A sandbox with these options. Starts nothing.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], or [`Error::MemoryLimit`] if the memory limit is below what the interpreter
    /// takes.
    pub fn new(runtime: &Runtime, options: SandboxOptions) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            context: Context::new(runtime, options)?,
            running: Mutex::default(),
        })))
    }

    /// Runs `code` to its end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(&self, code: impl Into<String>, options: ExecutionOptions) -> Outcome {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let cancel = options.cancel.clone();
        self.spawn(code, options, move |outcome| drop(sender.send(outcome)))?;
        let cancel = CancelOnDrop::new(cancel);
        let outcome = receiver
            .await
            .unwrap_or_else(|_| Err(Error::Internal("the run was dropped".into()).into()));
        cancel.forget();
        outcome
    }

    /// Starts `code` and returns. `done` is called with the outcome, from one of the worker threads; it must be short.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] or [`Error::Closed`]: nothing was started and `done` is not called.
    pub fn spawn(
        &self,
        code: impl Into<String>,
        mut options: ExecutionOptions,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<(), Error> {
        let code = code.into();
        process::check()?;
        options.check(&code, &self.0.context.config)?;
        let request = request::encode(code, &mut options, &self.0.context.config, Start::FRESH)?;
        let id = self.0.register(options.cancel.clone())?;
        let started = Instant::now();
        let (inner, ended) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let waiter = Waiter::new(false, move |outcome| {
            ended.running().cancels.remove(&id);
            done(outcome);
        });
        workers::spawn(async move { inner.run(request, options, started, waiter).await });
        Ok(())
    }

    /// Refuses executions from now on and cancels those that run.
    pub fn close(&self) {
        let mut running = self.0.running();
        running.closed = true;
        for cancel in running.cancels.values() {
            cancel.cancel();
        }
    }
}

impl Inner {
    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, cancel: CancelHandle) -> Result<u64, Error> {
        let mut running = self.running();
        if running.closed {
            return Err(Error::Closed);
        }
        let id = running.next;
        running.next += 1;
        running.cancels.insert(id, cancel);
        Ok(id)
    }

    async fn run(
        &self,
        request: Vec<u8>,
        options: ExecutionOptions,
        mut started: Instant,
        waiter: Waiter,
    ) {
        let config = &self.context.config;
        let ready = self.ready(request, &options, &mut started).await;
        let (pool, request, mut instance) = match ready {
            Ok(ready) => ready,
            Err(error) => return waiter.settle(Err(error.into())),
        };
        let (root, files) = self.context.files(config.mounts.storage());
        let state = self.context.run_state(&options, Some(files), started);
        // The run's state has what it needs of them, and goes with the run.
        drop(options);
        let mut ended = instance
            .run(state, Begin::Request(&request), config.limits.max_fuel)
            .await;
        let condition = ended.condition;
        if condition == Condition::Suspended {
            let trees = [Some(&*root), None];
            ended.result = Err(self.context.suspend(&mut instance, pool, 0, trees));
        }
        let outcome = outcome::of(&mut instance, ended, started);
        instance.host().release();
        // Given back when the outcome is known: nobody has to wait for that.
        let _returning = pool.returning(instance, condition);
        waiter.settle(outcome);
    }

    /// A guest to run in, its pool, and the whole request.
    async fn ready(
        &self,
        request: Vec<u8>,
        options: &ExecutionOptions,
        started: &mut Instant,
    ) -> Result<(&Pool, Vec<u8>, Instance), Error> {
        let mut until = self.context.interrupt(options, *started);
        let pool = self.context.pool(&mut until, started).await?;
        let request = request::complete(request, &self.context.config, Start::FRESH)?;
        Ok((pool, request, pool.take().await?))
    }
}

/// Cancels a run whose future is dropped.
pub(crate) struct CancelOnDrop(Option<CancelHandle>);

impl CancelOnDrop {
    pub(crate) fn new(cancel: CancelHandle) -> Self {
        Self(Some(cancel))
    }

    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}
