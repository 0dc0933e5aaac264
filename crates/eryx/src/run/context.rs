//! What sandboxes and sessions are made of: a runtime and checked options, and what a run needs of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx_vfs::{MemoryFs, Namespace};

use crate::guest::host::{Calls, RunState};
use crate::guest::instance::{Begin, Instance};
use crate::guest::interrupt::Interrupt;
use crate::options::SandboxConfig;
use crate::output::Output;
use crate::run::checkpoint;
use crate::run::outcome::Report;
use crate::run::request;
use crate::runtime::engine::Metering;
use crate::runtime::pool::Pool;
use crate::snapshot::Trees;
use crate::{CancelHandle, Error, ExecutionOptions, Runtime, SandboxOptions, Storage, Value};

/// Shared by all runs of a sandbox or session.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) runtime: Runtime,
    pub(crate) config: SandboxConfig,
}

impl Context {
    /// Checks options. Starts nothing.
    pub(crate) fn new(runtime: &Runtime, options: SandboxOptions) -> Result<Self, Error> {
        let config = SandboxConfig::new(options, runtime.builtins())?;
        let floor = runtime.memory_floor();
        if let Some(limit) = config
            .limits
            .max_memory_bytes
            .filter(|&limit| limit < floor)
        {
            return Err(Error::MemoryLimit { limit, floor });
        }
        Ok(Self {
            runtime: runtime.clone(),
            config,
        })
    }

    /// Where guests come from. Compiles the libraries and the code that counts, if that is wanted and was not done yet.
    /// `started` moves on past the libraries: what the first run prepares for all is not its time. The code that counts takes
    /// seconds, and is waited for until `until` says otherwise.
    pub(crate) async fn pool(
        &self,
        until: &mut Interrupt,
        started: &mut Instant,
    ) -> Result<&Pool, Error> {
        let metering = if self.config.limits.max_fuel.is_some() {
            Metering::Fuel
        } else {
            Metering::Off
        };
        let pool = until.or_end(self.runtime.pool(metering)).await??;
        if self.config.libraries.to_compile().is_some() {
            self.compile_libraries(pool, until.cancel_handle()).await?;
            *started = Instant::now();
        }
        Ok(pool)
    }

    /// What ends a run with these options that was started at `started`.
    pub(crate) fn interrupt(&self, options: &ExecutionOptions, started: Instant) -> Interrupt {
        Interrupt::new(started, self.timeout(options), options.cancel.clone())
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
        let files = Some(self.files(None).1);
        let state = self.run_state(&options, files, Instant::now());
        let ended = instance.run(state, Begin::Request(&request), None).await;
        let condition = ended.condition;
        let report = ended
            .result
            .map(|()| Report::new(std::mem::take(&mut instance.host().delivered)));
        instance.host().release();
        drop(pool.returning(instance, condition));
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

    /// The error of a run that a callback suspended.
    pub(crate) fn suspend(
        &self,
        instance: &mut Instance,
        pool: &Pool,
        executions: u64,
        trees: Trees<&MemoryFs>,
    ) -> Error {
        let runtime = self.runtime.identity();
        checkpoint::suspend(instance, pool, &runtime, executions, trees)
    }

    /// The files of a new guest, and among them the tree at `/`, which is its own. `storage` is mounted.
    pub(crate) fn files(&self, storage: Option<&Storage>) -> (Arc<MemoryFs>, Namespace) {
        let mounts = &self.config.mounts;
        mounts.namespace(self.runtime.library(), storage, self.max_files())
    }

    /// The files of a guest whose tree at `/` was saved before.
    pub(crate) fn files_on(
        &self,
        root: &Arc<MemoryFs>,
        storage: Option<&Storage>,
    ) -> Result<Namespace, Error> {
        let mounts = &self.config.mounts;
        mounts.namespace_on(root, self.runtime.library(), storage, self.max_files())
    }

    /// Bytes of files of one guest, besides those of a storage.
    pub(crate) fn max_files(&self) -> u64 {
        self.config.limits.max_vfs_bytes.unwrap_or(u64::MAX)
    }

    /// What a run brings with it. Without files, the guest goes on with those it has.
    pub(crate) fn run_state(
        &self,
        options: &ExecutionOptions,
        files: Option<Namespace>,
        started: Instant,
    ) -> RunState {
        let limits = &self.config.limits;
        let mut output = Output::new(limits.max_output_bytes, options.sink.clone());
        if options.trace {
            output.collect_trace();
        }
        RunState {
            files,
            stdin: options.stdin.as_slice().into(),
            output,
            interrupt: self.interrupt(options, started),
            calls: Calls::new(
                Arc::clone(&self.config.callbacks),
                options.callback_handler.clone(),
                limits.max_callback_invocations,
            ),
            max_memory: self.max_memory(),
            frozen: false,
        }
    }

    /// Bytes of linear memory that a guest may have.
    pub(crate) fn max_memory(&self) -> usize {
        let limit = self.config.limits.max_memory_bytes;
        limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX)
    }

    fn timeout(&self, options: &ExecutionOptions) -> Option<Duration> {
        options
            .timeout
            .unwrap_or(self.config.limits.execution_timeout)
    }
}
