//! [`Sandbox`]: every execution in a fresh interpreter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::config::SandboxConfig;
use crate::engine::{Metering, ticker};
use crate::host::RunState;
use crate::instance::{Ended, Instance, stopped};
use crate::interrupt::Interrupt;
use crate::outcome::Report;
use crate::output::Output;
use crate::{
    CancelHandle, Error, ExecutionError, ExecutionOptions, ExecutionResult, Runtime,
    SandboxOptions, request, workers,
};

/// How an execution ends.
pub type Outcome = Result<ExecutionResult, ExecutionError>;

/// Runs code, each piece in an interpreter of its own. Clones share one sandbox; executions run at the same time.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Runtime,
    config: SandboxConfig,
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
    /// [`Error::InvalidArgument`], or [`Error::Initialization`] if the memory limit is below what the interpreter
    /// takes.
    pub fn new(runtime: &Runtime, options: SandboxOptions) -> Result<Self, Error> {
        let config = SandboxConfig::try_from(options)?;
        let floor = runtime.memory_floor();
        if let Some(limit) = config
            .limits
            .max_memory_bytes
            .filter(|&limit| limit < floor)
        {
            return Err(Error::Initialization(format!(
                "maxMemoryBytes: {limit} bytes are less than the {floor} that the interpreter itself takes"
            )));
        }
        Ok(Self(Arc::new(Inner {
            runtime: runtime.clone(),
            config,
            running: Mutex::default(),
        })))
    }

    /// Runs `code` to its end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(&self, code: impl Into<String>, options: ExecutionOptions) -> Outcome {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let cancel = CancelOnDrop(Some(options.cancel.clone()));
        self.spawn(code, options, move |outcome| drop(sender.send(outcome)))?;
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
        options.check(&code)?;
        let request = request::encode(code, &mut options, &self.0.config)?;
        let id = self.0.register(options.cancel.clone())?;
        let started = Instant::now();
        let inner = Arc::clone(&self.0);
        workers::runtime()
            .spawn(async move { inner.run(id, request, options, started, done).await });
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
        id: u64,
        request: Vec<u8>,
        options: ExecutionOptions,
        mut started: Instant,
        done: impl FnOnce(Outcome),
    ) {
        let finish = |outcome| {
            self.running().cancels.remove(&id);
            done(outcome);
        };
        let limits = &self.config.limits;
        let metering = if limits.max_fuel.is_some() {
            Metering::Fuel
        } else {
            Metering::Off
        };
        let pool = match self.runtime.pool(metering) {
            Ok(pool) => pool,
            Err(error) => return finish(Err(error.into())),
        };
        if metering == Metering::Fuel {
            // Compiling that code, which the first such run does, is not the run's time.
            started = Instant::now();
        }
        let mut instance = match pool.take().await {
            Ok(instance) => instance,
            Err(error) => return finish(Err(error.into())),
        };
        let condition = {
            let _active = ticker().start();
            let state = self.state(&options, started);
            let ended = instance.run(state, &request, limits.max_fuel).await;
            let condition = ended.condition;
            let outcome = self.outcome(&mut instance, ended, &options, started);
            pool.will_return();
            finish(outcome);
            condition
        };
        pool.give_back(instance, condition);
    }

    fn state(&self, options: &ExecutionOptions, started: Instant) -> RunState {
        let limits = &self.config.limits;
        RunState {
            files: self
                .runtime
                .namespace(limits.max_vfs_bytes.unwrap_or(u64::MAX)),
            stdin: options.stdin.as_slice().into(),
            output: Output::new(limits.max_output_bytes, options.sink.clone()),
            interrupt: Interrupt::new(started, self.timeout(options), options.cancel.clone()),
            max_memory: limits
                .max_memory_bytes
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(usize::MAX),
            frozen: false,
        }
    }

    fn timeout(&self, options: &ExecutionOptions) -> Option<std::time::Duration> {
        options
            .timeout
            .unwrap_or(self.config.limits.execution_timeout)
    }

    fn outcome(
        &self,
        instance: &mut Instance,
        ended: Ended,
        options: &ExecutionOptions,
        started: Instant,
    ) -> Outcome {
        let peak_memory_bytes = instance.memory_bytes();
        let host = instance.host();
        let output = host.output.finish();
        let stop = host.interrupt.stop();
        let delivered = std::mem::take(&mut host.delivered);
        let failure = match ended.result.map(|()| Report::new(delivered)) {
            Err(error) => error,
            // Whatever Python made of it: the limit had passed when it was asked to end.
            Ok(_) if stop.is_some() => stopped(stop, false),
            Ok(Report {
                failure: Some(failure),
                ..
            }) => Error::Python(failure),
            Ok(report) => {
                return Ok(ExecutionResult {
                    output,
                    result: report.result,
                    result_error: report.result_error,
                    value: report.value,
                    value_repr: report.value_repr,
                    duration: started.elapsed(),
                    peak_memory_bytes,
                    fuel_consumed: ended.fuel_consumed,
                });
            }
        };
        let error = match failure {
            Error::Timeout { hard, .. } => Error::Timeout {
                limit: self.timeout(options).unwrap_or_default(),
                hard,
            },
            other => other,
        };
        Err(ExecutionError {
            error,
            output: Box::new(output),
        })
    }
}

/// Cancels a run whose future is dropped.
struct CancelOnDrop(Option<CancelHandle>);

impl CancelOnDrop {
    fn forget(mut self) {
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
