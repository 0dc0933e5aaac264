//! The other side: `wasmtime-wasi` over an empty directory of the host.

use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, InstancePre, Linker, Module, Result, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx};

/// Bytes of output that are kept.
const MAX_OUTPUT: usize = 16 << 20;

/// A program under `wasmtime-wasi`.
pub struct Theirs {
    engine: Engine,
    program: InstancePre<WasiP1Ctx>,
}

impl Theirs {
    /// Compiles it.
    ///
    /// # Errors
    /// It is no preview 1 program.
    pub fn new(wasm: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_async(&mut linker, |context| context)?;
        let program = linker.instantiate_pre(&Module::new(&engine, wasm)?)?;
        Ok(Self { engine, program })
    }

    /// What it prints with an empty directory.
    ///
    /// # Errors
    /// It traps or fails.
    pub async fn run(&self, stdin: &str) -> Result<String> {
        let directory = tempfile::tempdir()?;
        let stdout = MemoryOutputPipe::new(MAX_OUTPUT);
        let context = WasiCtx::builder()
            .stdin(MemoryInputPipe::new(stdin.to_owned()))
            .stdout(stdout.clone())
            .preopened_dir(directory.path(), "/", FsPerms::ReadWrite)?
            .build_p1();
        let mut store = Store::new(&self.engine, context);
        let instance = self.program.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        match start.call_async(&mut store, ()).await {
            Ok(()) => {}
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(0)) => {}
                _ => return Err(error).context("the program failed"),
            },
        }
        drop(store);
        Ok(String::from_utf8_lossy(&stdout.contents()).into_owned())
    }
}
