//! The engine: how Python's module is compiled, the compiled module, and the clock that interrupts guests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::{Config, Module, OptLevel};

use crate::Error;
use crate::slot::{GUARD, RESERVATION, SlotMemories};

/// Stack of wasm code. CPython's own limit for C recursion (`ERYX_STACK_TOLD` in the guest) must end first.
const WASM_STACK: usize = 32 << 20;
/// What imports may use of the stack beyond that.
const HOST_STACK: usize = 512 << 10;

/// Whether code counts its instructions. The two kinds of code are different modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Metering {
    Off,
    Fuel,
}

/// The CPU baseline that modules are compiled for, and the Cranelift flags that it stands for.
#[cfg(target_arch = "x86_64")]
pub const CPU_BASELINE: (&str, &[&str]) = (
    "x86-64-v3",
    &[
        "has_sse3",
        "has_ssse3",
        "has_sse41",
        "has_sse42",
        "has_popcnt",
        "has_avx",
        "has_avx2",
        "has_bmi1",
        "has_bmi2",
        "has_fma",
        "has_lzcnt",
    ],
);
/// The CPU baseline that modules are compiled for, and the Cranelift flags that it stands for.
#[cfg(not(target_arch = "x86_64"))]
pub const CPU_BASELINE: (&str, &[&str]) = ("armv8-a", &[]);

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
        .epoch_interruption(true)
        .consume_fuel(metering == Metering::Fuel)
        .memory_reservation(RESERVATION as u64)
        .memory_guard_size(GUARD as u64)
        .guard_before_linear_memory(false)
        .memory_may_move(false)
        .memory_init_cow(false)
        .table_lazy_init(false)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(WASM_STACK + HOST_STACK)
        .with_host_memory(Arc::new(SlotMemories));
    config
}

/// An engine and the module compiled for it.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) module: Module,
}

pub(crate) fn new_engine(metering: Metering) -> Result<wasmtime::Engine, Error> {
    let engine = wasmtime::Engine::new(&config(metering))
        .map_err(|error| Error::Initialization(format!("{error:#}")))?;
    ticker().register(&engine);
    Ok(engine)
}

/// Compiles `wasm` to bytes that [`Code::load`] takes on this platform.
pub(crate) fn compile(wasm: &[u8], metering: Metering) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&config(metering))?.precompile_module(wasm)
}

impl Code {
    /// Loads compiled code.
    ///
    /// The file must come from this package or from a cache directory that only we write to: it is machine code.
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

    /// Compiles and keeps the code in memory only.
    pub(crate) fn compile(wasm: &[u8], metering: Metering) -> Result<Self, Error> {
        let engine = new_engine(metering)?;
        let module =
            Module::new(&engine, wasm).map_err(|error| Error::Internal(format!("{error:#}")))?;
        Ok(Self { engine, module })
    }
}

/// Time between two looks at a guest that computes, when few do.
const TICK: Duration = Duration::from_millis(10);
/// The shortest such time.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// The clock goes on for so many ticks after the last guest, so that guests in quick succession need not wake it.
const IDLE_TICKS: u32 = 20;

/// The thread that moves the epochs of all engines on while guests run.
pub(crate) struct Ticker {
    engines: std::sync::Mutex<Vec<wasmtime::EngineWeak>>,
    /// Guests that are running now.
    active: AtomicUsize,
    asleep: std::sync::Mutex<bool>,
    wake: std::sync::Condvar,
    sleeping: std::sync::atomic::AtomicBool,
}

/// A guest that is running. The clock ticks as long as there is one.
pub(crate) struct Active(&'static Ticker);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn ticker() -> &'static Ticker {
    static TICKER: std::sync::OnceLock<&'static Ticker> = std::sync::OnceLock::new();
    TICKER.get_or_init(|| {
        let ticker: &'static Ticker = Box::leak(Box::new(Ticker {
            engines: std::sync::Mutex::default(),
            active: AtomicUsize::new(0),
            asleep: std::sync::Mutex::new(false),
            wake: std::sync::Condvar::new(),
            sleeping: std::sync::atomic::AtomicBool::new(false),
        }));
        // Without the clock no guest could be interrupted: better no engine at all.
        std::thread::Builder::new()
            .name("eryx-clock".into())
            .spawn(move || ticker.run())
            .expect("the operating system can start one more thread");
        ticker
    })
}

impl Ticker {
    fn register(&self, engine: &wasmtime::Engine) {
        let mut engines = self
            .engines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        engines.retain(|weak| weak.upgrade().is_some());
        engines.push(engine.weak());
    }

    /// A guest starts to run.
    pub(crate) fn start(&'static self) -> Active {
        self.active.fetch_add(1, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) {
            *self
                .asleep
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = false;
            self.wake.notify_one();
        }
        Active(self)
    }

    fn run(&self) {
        let mut idle = 0;
        loop {
            std::thread::sleep(self.period());
            self.tick();
            idle = if self.active.load(Ordering::SeqCst) == 0 {
                idle + 1
            } else {
                0
            };
            if idle > IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    /// Shorter the more guests share a core, so that each gets its turn, and meets its deadline, soon.
    fn period(&self) -> Duration {
        let per_core = self
            .active
            .load(Ordering::Relaxed)
            .div_ceil(crate::workers::count());
        (TICK / u32::try_from(per_core.max(1)).unwrap_or(u32::MAX)).max(SHORTEST_TICK)
    }

    fn tick(&self) {
        let engines = self
            .engines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for engine in engines.iter().filter_map(wasmtime::EngineWeak::upgrade) {
            engine.increment_epoch();
        }
    }

    fn sleep(&self) {
        let mut asleep = self
            .asleep
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *asleep = true;
        self.sleeping.store(true, Ordering::SeqCst);
        // A guest that started before it could see the flag must not be left without a clock.
        while *asleep && self.active.load(Ordering::SeqCst) == 0 {
            asleep = self
                .wake
                .wait(asleep)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
