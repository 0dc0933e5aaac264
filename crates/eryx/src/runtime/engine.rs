//! The engine: how Python's module is compiled, and the compiled module.

use std::path::Path;

use wasmtime::{Config, Module, OptLevel};

use crate::Error;
use crate::caps::WASM_STACK;
use crate::manifest::CPU_BASELINE;

/// What imports may use of the stack beyond that.
const HOST_STACK: usize = 512 << 10;

/// Whether code counts its instructions. The two kinds of code are different modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Metering {
    Off,
    Fuel,
}

#[expect(unsafe_code, reason = "Cranelift flags are set by name")]
fn config(metering: Metering) -> Config {
    let mut config = Config::new();
    // Naming the target turns off the detection of this machine's features.
    config
        .target(env!("ERYX_TARGET"))
        .expect("the target that this crate is compiled for");
    for flag in CPU_BASELINE.1 {
        // SAFETY: the flag only selects instructions. wasmtime refuses to load code with a feature that the machine
        // lacks, so such instructions never run there.
        unsafe { config.cranelift_flag_enable(flag) };
    }
    config
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_branch_hinting(true)
        .consume_fuel(metering == Metering::Fuel)
        .table_lazy_init(false)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(WASM_STACK + HOST_STACK);
    eryx_memory::configure(&mut config);
    config
}

/// An engine and the module compiled for it.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) module: Module,
}

pub(crate) fn new_engine(metering: Metering) -> Result<wasmtime::Engine, Error> {
    wasmtime::Engine::new(&config(metering))
        .map_err(|error| Error::Initialization(format!("{error:#}")))
}

/// Compiles `wasm` to bytes that [`Code::load`] takes on this platform.
pub(crate) fn compile(wasm: &[u8], metering: Metering) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&config(metering))?.precompile_module(wasm)
}

impl Code {
    /// Loads compiled code.
    ///
    /// The file must come from this package or from a cache directory that only we write to: it is machine code.
    #[expect(unsafe_code, reason = "machine code is loaded")]
    pub(crate) fn load(path: &Path, metering: Metering) -> Result<Self, Error> {
        let engine = new_engine(metering)?;
        // SAFETY: callers pass the package's own file, or one from the cache after its owner, mode and hash were
        // checked. wasmtime checks its version and the compile settings.
        let module = unsafe { Module::deserialize_file(&engine, path) }.map_err(|error| {
            Error::Initialization(format!(
                "the compiled Python runtime cannot be loaded: {}",
                error.root_cause()
            ))
        })?;
        Ok(Self { engine, module })
    }

    /// Takes what [`compile`] made in this process.
    #[expect(unsafe_code, reason = "machine code is loaded")]
    pub(crate) fn from_compiled(compiled: &[u8], metering: Metering) -> Result<Self, Error> {
        let engine = new_engine(metering)?;
        // SAFETY: callers pass what `compile` returned to them.
        let module = unsafe { Module::deserialize(&engine, compiled) }
            .map_err(|error| Error::Internal(format!("{error:#}")))?;
        Ok(Self { engine, module })
    }
}
