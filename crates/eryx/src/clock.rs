//! The clock that interrupts guests which compute.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

use crate::workers;

/// Time between two looks at a guest that computes, when few do.
const TICK: Duration = Duration::from_millis(10);
/// The shortest such time.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// The clock goes on for so many ticks after the last guest, so that guests in quick succession need not wake it.
const IDLE_TICKS: u32 = 20;

/// The thread that moves the epochs of all engines on while guests run.
pub(crate) struct Clock {
    engines: Mutex<Vec<EngineWeak>>,
    /// Guests that compute now.
    active: AtomicUsize,
    asleep: Mutex<bool>,
    wake: Condvar,
    sleeping: AtomicBool,
}

/// A guest that computes. The clock ticks as long as there is one.
pub(crate) struct Active(&'static Clock);

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Active")
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn clock() -> &'static Clock {
    static CLOCK: OnceLock<&'static Clock> = OnceLock::new();
    CLOCK.get_or_init(|| {
        let clock: &'static Clock = Box::leak(Box::new(Clock {
            engines: Mutex::default(),
            active: AtomicUsize::new(0),
            asleep: Mutex::new(false),
            wake: Condvar::new(),
            sleeping: AtomicBool::new(false),
        }));
        // Without the clock no guest could be interrupted: better no engine at all.
        std::thread::Builder::new()
            .name("eryx-clock".into())
            .spawn(move || clock.run())
            .expect("the operating system can start one more thread");
        clock
    })
}

impl Clock {
    pub(crate) fn register(&self, engine: &Engine) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|weak| weak.upgrade().is_some());
        engines.push(engine.weak());
    }

    /// How many guests compute. One that waits does not.
    pub(crate) fn computing(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// A guest starts to compute.
    pub(crate) fn start(&'static self) -> Active {
        self.active.fetch_add(1, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) {
            *self.asleep.lock().unwrap_or_else(PoisonError::into_inner) = false;
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
        let per_core = self.computing().div_ceil(workers::count());
        (TICK / u32::try_from(per_core.max(1)).unwrap_or(u32::MAX)).max(SHORTEST_TICK)
    }

    fn tick(&self) {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        for engine in engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
        }
    }

    fn sleep(&self) {
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        *asleep = true;
        self.sleeping.store(true, Ordering::SeqCst);
        // A guest that started before it could see the flag must not be left without a clock.
        while *asleep && self.active.load(Ordering::SeqCst) == 0 {
            asleep = self
                .wake
                .wait(asleep)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
