//! WASI commands of any origin under our imports: for comparing them with those of others.

use std::sync::Arc;

use eryx_vfs::Namespace;
use wasmtime::{Config, Engine, InstancePre, Linker, Module, Store};

use super::{Result, unlimited};
use crate::ExecutionOutput;
use crate::guest::host;
use crate::guest::host::Host;
use crate::guest::host::system::Exit;

/// A program that imports nothing but what a sandbox has.
pub struct Command {
    engine: Engine,
    program: InstancePre<Host>,
}

impl Command {
    /// Compiles it.
    ///
    /// # Errors
    /// It is not valid, or needs other imports.
    pub fn new(wasm: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        host::add_to_linker(&mut linker)?;
        let program = linker.instantiate_pre(&Module::new(&engine, wasm)?)?;
        Ok(Self { engine, program })
    }

    /// Runs `_start` with these files. Returns the exit code and what was printed.
    ///
    /// # Errors
    /// It is no command, or it traps.
    pub async fn run(&self, files: Namespace, stdin: &[u8]) -> Result<(i32, ExecutionOutput)> {
        let mut run = unlimited(files);
        run.stdin = stdin.into();
        // Real clocks and random numbers.
        run.frozen = false;
        let mut store = Store::new(&self.engine, Host::new(run, Arc::default()));
        let instance = self.program.instantiate_async(&mut store).await?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or("the module exports no memory")?;
        store.data_mut().memory = Some(memory);
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let code = match start.call_async(&mut store, ()).await {
            Ok(()) => 0,
            Err(error) => match error.downcast_ref::<Exit>() {
                Some(Exit(code)) => *code,
                None => return Err(format!("{error:?}").into()),
            },
        };
        Ok((code, store.data_mut().output.finish()))
    }
}
