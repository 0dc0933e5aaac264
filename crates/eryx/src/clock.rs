//! The clock: a thread that looks after guests which compute, and after tasks that wait for a thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::host::Timeouts;
use crate::interrupt::{Interrupt, Verdict};
use crate::workers;
use eryx_memory::cpu_time::ThreadClock;
use eryx_memory::{Brake, Order};

/// Time between two looks at guests that compute. A cancellation is met this late at most.
const TICK: Duration = Duration::from_millis(10);
/// The same while tasks wait for a thread.
const BUSY_TICK: Duration = Duration::from_millis(2);
/// The shortest such time: deadlines that are due together are met in one look.
const SHORTEST_TICK: Duration = Duration::from_micros(200);
/// The clock goes on for so many ticks after the last guest, so that guests in quick succession need not wake it.
const IDLE_TICKS: u32 = 20;

/// The clock of the process.
pub(crate) struct Clock {
    computing: Mutex<Vec<Arc<Computing>>>,
    /// How many these are.
    count: AtomicUsize,
    /// What the thread is told.
    bell: Mutex<Bell>,
    rung: Condvar,
    /// The thread sleeps until the bell is rung, or is about to.
    sleeping: AtomicBool,
    /// It does not look again soon.
    slow: AtomicBool,
}

#[derive(Default)]
struct Bell {
    rung: bool,
}

/// A guest that computes.
#[derive(Debug)]
struct Computing {
    interrupt: Interrupt,
    brake: Arc<Brake>,
    thread: Option<ThreadClock>,
    timeouts: Mutex<Option<Arc<Timeouts>>>,
}

/// The clock looks after this guest. It gives no orders any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Active(Arc<Computing>);

impl Active {
    /// The guest has begun a call that may take only so long.
    pub(crate) fn watch(&self, timeouts: &Arc<Timeouts>) {
        *self.0.timeouts() = Some(Arc::clone(timeouts));
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let clock = clock();
        let mut computing = clock.computing();
        if let Some(at) = computing.iter().position(|it| Arc::ptr_eq(it, &self.0)) {
            computing.swap_remove(at);
        }
        clock.count.store(computing.len(), Ordering::Release);
    }
}

pub(crate) fn clock() -> &'static Clock {
    static CLOCK: OnceLock<&'static Clock> = OnceLock::new();
    CLOCK.get_or_init(|| {
        let clock: &'static Clock = Box::leak(Box::new(Clock {
            computing: Mutex::default(),
            count: AtomicUsize::new(0),
            bell: Mutex::default(),
            rung: Condvar::new(),
            sleeping: AtomicBool::new(false),
            slow: AtomicBool::new(false),
        }));
        // Without the clock no guest could be interrupted: better no guest at all.
        std::thread::Builder::new()
            .name("eryx-clock".into())
            .spawn(move || clock.run())
            .expect("the operating system can start one more thread");
        clock
    })
}

impl Clock {
    fn computing(&self) -> MutexGuard<'_, Vec<Arc<Computing>>> {
        self.computing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many guests compute. One that waits does not.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A guest starts to compute on this thread.
    pub(crate) fn start(
        &self,
        interrupt: &Interrupt,
        brake: &Arc<Brake>,
        timeouts: Option<&Arc<Timeouts>>,
    ) -> Active {
        let guest = Arc::new(Computing {
            interrupt: interrupt.clone(),
            brake: Arc::clone(brake),
            thread: ThreadClock::own(),
            timeouts: Mutex::new(timeouts.cloned()),
        });
        let mut computing = self.computing();
        computing.push(Arc::clone(&guest));
        self.count.store(computing.len(), Ordering::SeqCst);
        drop(computing);
        if self.sleeping.load(Ordering::SeqCst) {
            self.ring();
        }
        Active(guest)
    }

    /// Tasks wait for a thread.
    pub(crate) fn ring_if_slow(&self) {
        if self.slow.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Has the thread look now.
    fn ring(&self) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.rung = true;
        self.rung.notify_one();
    }

    fn run(&self) {
        let mut idle = 0;
        loop {
            let next = self.look();
            // Before the look at the queue: who comes after it rings.
            self.slow.store(true, Ordering::SeqCst);
            let waiting = workers::look_after();
            self.slow.fetch_and(!waiting, Ordering::SeqCst);
            let period = if waiting { BUSY_TICK } else { TICK };
            let due = next.map(|next| next.saturating_duration_since(Instant::now()));
            let nothing = !waiting && self.count.load(Ordering::SeqCst) == 0;
            idle = if nothing { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.sleep();
                idle = 0;
            } else {
                let period = due.map_or(period, |due| due.min(period));
                self.wait(period.max(SHORTEST_TICK));
            }
        }
    }

    /// Gives orders to guests that have to end. Returns when the next may be due.
    fn look(&self) -> Option<Instant> {
        // Held meanwhile: who is not in the list any more gets no order.
        let computing = self.computing();
        computing.iter().filter_map(|guest| guest.look()).min()
    }

    fn wait(&self, period: Duration) {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bell, _) = self
            .rung
            .wait_timeout_while(bell, period, |bell| !bell.rung)
            .unwrap_or_else(PoisonError::into_inner);
        bell.rung = false;
    }

    fn sleep(&self) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleeping.store(true, Ordering::SeqCst);
        // A guest that started before it could see the flag must not be left without a clock.
        while !bell.rung && self.count.load(Ordering::SeqCst) == 0 {
            bell = self.rung.wait(bell).unwrap_or_else(PoisonError::into_inner);
        }
        bell.rung = false;
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

impl Computing {
    fn timeouts(&self) -> MutexGuard<'_, Option<Arc<Timeouts>>> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Option<Instant> {
        let reading = || self.thread.and_then(ThreadClock::read);
        match self.interrupt.check_computing(reading) {
            Verdict::Continue => {}
            Verdict::Ask => self.brake.give(Order::Ask),
            Verdict::Cut => self.brake.give(Order::Cut),
        }
        if let Some(late) = self.timeouts().as_ref().filter(|it| it.are_due()) {
            let late = Arc::clone(late);
            // A function of the host's is told, which may take its time.
            workers::spawn(async move { late.expire() });
        }
        self.interrupt
            .next_stage()
            .filter(|at| *at > Instant::now())
    }
}
