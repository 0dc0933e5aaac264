//! [`Sandbox`]: every execution in a fresh interpreter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::config::SandboxConfig;
use crate::engine::Metering;
use crate::host::{Calls, RunState};
use crate::instance::{Ended, Instance};
use crate::interrupt::Interrupt;
use crate::outcome::Report;
use crate::output::Output;
use crate::pool::Pool;
use crate::{
    CancelHandle, Error, ExecutionError, ExecutionOptions, ExecutionResult, Runtime,
    SandboxOptions, Value, request, workers,
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
        let config = SandboxConfig::new(options, runtime.builtins())?;
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
        options.check(&code, &self.0.config)?;
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
        let compiles = metering == Metering::Fuel || self.config.libraries.to_compile().is_some();
        let libraries = self.compile_libraries(pool, &options.cancel).await;
        let request = match libraries.and_then(|()| request::complete(request, &self.config)) {
            Ok(request) => request,
            Err(error) => return finish(Err(error.into())),
        };
        if compiles {
            // What the first run prepares for all is not its time.
            started = Instant::now();
        }
        let mut instance = match pool.take().await {
            Ok(instance) => instance,
            Err(error) => return finish(Err(error.into())),
        };
        let condition = {
            let state = self.state(&options, started);
            let ended = instance.run(state, &request, limits.max_fuel).await;
            let condition = ended.condition;
            let outcome = outcome(&mut instance, ended, started);
            pool.will_return();
            finish(outcome);
            condition
        };
        pool.give_back(instance, condition);
    }

    /// Compiles the libraries, if that was not done yet, in a guest that runs nothing else.
    async fn compile_libraries(&self, pool: &Pool, cancel: &CancelHandle) -> Result<(), Error> {
        let Some(sources) = self.config.libraries.to_compile() else {
            return Ok(());
        };
        let request = request::encode_compile(sources)?;
        let mut instance = pool.take().await?;
        let options = ExecutionOptions {
            timeout: Some(None),
            cancel: cancel.clone(),
            ..ExecutionOptions::default()
        };
        let state = self.state(&options, Instant::now());
        let ended = instance.run(state, &request, None).await;
        let condition = ended.condition;
        let report = ended
            .result
            .map(|()| Report::new(std::mem::take(&mut instance.host().delivered)));
        instance.host().files.release();
        pool.will_return();
        pool.give_back(instance, condition);
        match report? {
            Report {
                failure: Some(failure),
                ..
            } => Err(Error::Initialization(format!(
                "libraries: {}",
                failure.traceback
            ))),
            report => self
                .config
                .libraries
                .compiled(report.result.unwrap_or(Value::Null)),
        }
    }

    fn state(&self, options: &ExecutionOptions, started: Instant) -> RunState {
        let limits = &self.config.limits;
        let mut output = Output::new(limits.max_output_bytes, options.sink.clone());
        if options.trace {
            output.collect_trace();
        }
        RunState {
            files: self.runtime.namespace(
                &self.config.mounts,
                limits.max_vfs_bytes.unwrap_or(u64::MAX),
            ),
            stdin: options.stdin.as_slice().into(),
            output,
            interrupt: Interrupt::new(started, self.timeout(options), options.cancel.clone()),
            calls: Calls::new(
                Arc::clone(&self.config.callbacks),
                options.callback_handler.clone(),
                limits.max_callback_invocations,
            ),
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
}

/// Puts together how a run ended.
fn outcome(instance: &mut Instance, ended: Ended, started: Instant) -> Outcome {
    let peak_memory_bytes = instance.memory_bytes();
    let host = instance.host();
    host.files.release();
    host.calls.finish();
    let callback_invocations = host.calls.started();
    let output = host.output.finish();
    let delivered = std::mem::take(&mut host.delivered);
    let error = match ended.result.map(|()| Report::new(delivered)) {
        Err(error) => error,
        // Whatever Python made of it: the limit had passed when it was asked to end.
        Ok(_) if host.interrupt.stopped() => host.interrupt.error(false),
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
                callback_invocations,
                duration: started.elapsed(),
                peak_memory_bytes,
                fuel_consumed: ended.fuel_consumed,
            });
        }
    };
    Err(ExecutionError {
        error,
        output: Box::new(output),
    })
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
