//! A guest that computes, as the clock sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use eryx_memory::cpu_time::ThreadClock;
use eryx_memory::{Brake, Order};

use super::Timeouts;
use crate::guest::interrupt::{Interrupt, Verdict};
use crate::threads::clock::{Watch, Watched, clock};
use crate::threads::workers;

/// The clock looks after this guest. It gives no orders any more when this is dropped.
#[derive(Debug)]
pub(super) struct Computing {
    guest: Arc<ComputingGuest>,
    _watch: Watch,
}

/// What the clock needs of a guest.
#[derive(Debug)]
struct ComputingGuest {
    interrupt: Interrupt,
    brake: Arc<Brake>,
    thread: Option<ThreadClock>,
    timeouts: Mutex<Option<Arc<Timeouts>>>,
}

impl Computing {
    /// The guest starts to compute on this thread.
    pub(super) fn start(
        interrupt: &Interrupt,
        brake: &Arc<Brake>,
        timeouts: Option<&Arc<Timeouts>>,
    ) -> Self {
        let guest = Arc::new(ComputingGuest {
            interrupt: interrupt.clone(),
            brake: Arc::clone(brake),
            thread: ThreadClock::own(),
            timeouts: Mutex::new(timeouts.cloned()),
        });
        Self {
            _watch: clock().watch(guest.clone()),
            guest,
        }
    }

    /// The guest has begun a call that may take only so long.
    pub(super) fn expect_late(&self, timeouts: &Arc<Timeouts>) {
        *self.guest.timeouts() = Some(Arc::clone(timeouts));
    }
}

impl ComputingGuest {
    fn timeouts(&self) -> MutexGuard<'_, Option<Arc<Timeouts>>> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched for ComputingGuest {
    fn look(&self) -> Option<Instant> {
        // An order whose page could not be protected, or was opened for one before.
        self.brake.repeat();
        let reading = || self.thread.and_then(ThreadClock::read);
        match self.interrupt.check_computing(reading) {
            Verdict::Continue => {}
            Verdict::Ask => self.brake.give(Order::Ask),
            Verdict::Cut => self.brake.give(Order::Cut),
        }
        if let Some(late) = self.timeouts().as_ref().filter(|it| it.begin_to_expire()) {
            let late = Arc::clone(late);
            // A function of the host's is told, which may take its time.
            workers::spawn(async move { late.expire() });
        }
        self.interrupt
            .next_stage()
            .filter(|at| *at > Instant::now())
    }
}
