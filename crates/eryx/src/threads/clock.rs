//! The clock: a thread that looks after guests which compute, and after tasks that wait for a thread.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

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
    watched: Mutex<Vec<Arc<dyn Watched>>>,
    /// Looks after the queue of tasks, and says whether some wait.
    queue: OnceLock<fn() -> bool>,
    /// How many guests compute.
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

/// What the clock looks after, for as long as it is on its list.
pub(crate) trait Watched: Debug + Send + Sync {
    /// Does what is due. Returns when the next thing is, if time alone brings it.
    fn look(&self) -> Option<Instant>;
}

/// Takes its guest off the list when it is dropped: the clock does nothing to it any more.
#[derive(Debug)]
pub(crate) struct Watch(Arc<dyn Watched>);

impl Drop for Watch {
    fn drop(&mut self) {
        let clock = clock();
        let mut watched = clock.watched();
        if let Some(at) = watched.iter().position(|it| Arc::ptr_eq(it, &self.0)) {
            watched.swap_remove(at);
        }
        clock.count.store(watched.len(), Ordering::Release);
    }
}

pub(crate) fn clock() -> &'static Clock {
    static CLOCK: OnceLock<&'static Clock> = OnceLock::new();
    CLOCK.get_or_init(|| {
        let clock: &'static Clock = Box::leak(Box::new(Clock {
            watched: Mutex::default(),
            queue: OnceLock::new(),
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
    fn watched(&self) -> MutexGuard<'_, Vec<Arc<dyn Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many guests compute. One that waits does not.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A guest computes from now on.
    pub(crate) fn watch(&self, guest: Arc<dyn Watched>) -> Watch {
        let mut watched = self.watched();
        watched.push(Arc::clone(&guest));
        self.count.store(watched.len(), Ordering::SeqCst);
        drop(watched);
        if self.sleeping.load(Ordering::SeqCst) {
            self.ring();
        }
        Watch(guest)
    }

    /// From now on looks after the queue of tasks too. The first call counts.
    pub(crate) fn serve(&self, queue: fn() -> bool) {
        self.queue.get_or_init(|| queue);
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
            // Without the clock nothing could be interrupted any more: what panics is passed over.
            let next = catch_unwind(AssertUnwindSafe(|| self.look())).unwrap_or(None);
            // Before the look at the queue: who comes after it rings.
            self.slow.store(true, Ordering::SeqCst);
            let serve = || self.queue.get().is_some_and(|queue| queue());
            let waiting = catch_unwind(AssertUnwindSafe(serve)).unwrap_or(true);
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
        let watched = self.watched();
        watched.iter().filter_map(|guest| guest.look()).min()
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
