//! The end of a run from outside: deadline and cancellation, in two stages.
//!
//! First Python is asked: a flag in its memory makes it raise `SandboxInterrupt` at the next bytecode, so `finally`
//! blocks run. If it is still running [`GRACE`] later, it is cut off with a trap.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{CancelHandle, Error};
use eryx_memory::Brake;
use eryx_memory::cpu_time::Reading;

/// How long Python may take to end after it was asked.
const GRACE: Duration = Duration::from_millis(100);

/// How long a computing guest's thread has computed since it was asked before it is cut off.
const FAIR: Duration = Duration::from_millis(10);

/// How long a guest that was cut off may take to hand over its output.
const LAST_CALL: Duration = Duration::from_millis(10);

/// Why a run is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Timeout,
    Cancelled,
}

/// What to do with a running guest now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    /// Ask Python to end. Given once.
    Ask,
    /// Cut it off.
    Cut,
}

/// The state of one run's end. Clones are of the same run.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: Option<Duration>,
    cancel: CancelHandle,
    stage: Mutex<Stage>,
}

#[derive(Debug)]
struct Stage {
    deadline: Option<Instant>,
    asked: Option<(Stop, Instant)>,
    /// How long the guest's thread had computed when it was first seen to compute after that.
    computed: Option<Reading>,
}

impl Interrupt {
    /// For a run that the caller started at `started`.
    pub(crate) fn new(started: Instant, timeout: Option<Duration>, cancel: CancelHandle) -> Self {
        // A timeout beyond what Instant can hold is no timeout.
        let deadline = timeout.and_then(|timeout| started.checked_add(timeout));
        Self::at(timeout, cancel, deadline, None)
    }

    fn at(
        limit: Option<Duration>,
        cancel: CancelHandle,
        deadline: Option<Instant>,
        asked: Option<(Stop, Instant)>,
    ) -> Self {
        Self(Arc::new(Shared {
            limit,
            cancel,
            stage: Mutex::new(Stage {
                deadline,
                asked,
                computed: None,
            }),
        }))
    }

    /// For a guest that runs nothing.
    pub(crate) fn never() -> Self {
        Self::new(Instant::now(), None, CancelHandle::new())
    }

    /// For a last call into a guest that was cut off: it is cut off again soon.
    pub(crate) fn soon() -> Self {
        let now = Instant::now();
        let asked = now
            .checked_sub(GRACE.checked_sub(LAST_CALL).unwrap())
            .unwrap_or(now);
        Self::at(
            None,
            CancelHandle::new(),
            Some(now),
            Some((Stop::Timeout, asked)),
        )
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `future` returns, if it does so before the run has to end. For what comes before its first instruction.
    pub(crate) async fn or_end<T>(&self, future: impl Future<Output = T>) -> Result<T, Error> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                done = &mut future => return Ok(done),
                () = self.sleep(None) => {}
            }
            if self.check() != Verdict::Continue {
                return Err(self.error(false));
            }
        }
    }

    pub(crate) fn cancel_handle(&self) -> &CancelHandle {
        &self.0.cancel
    }

    /// Whether the run was asked to end.
    pub(crate) fn stopped(&self) -> bool {
        self.stage().asked.is_some()
    }

    /// The error of a run that was asked to end. `hard`: it had to be cut off.
    pub(crate) fn error(&self, hard: bool) -> Error {
        match self.stage().asked {
            Some((Stop::Cancelled, _)) => Error::Cancelled { hard },
            _ => Error::Timeout {
                limit: self.0.limit.unwrap_or_default(),
                hard,
            },
        }
    }

    /// As [`Interrupt::check`], for a guest that computes on a thread with this reading. Where many share a core, one that was
    /// asked is not cut off before it had the time to answer.
    pub(crate) fn check_computing(&self, reading: impl FnOnce() -> Option<Reading>) -> Verdict {
        let mut stage = self.stage();
        let verdict = stage.check(&self.0.cancel);
        if stage.asked.is_none() {
            return verdict;
        }
        let now = reading();
        let since = now
            .as_ref()
            .zip(stage.computed.as_ref())
            .and_then(|(now, then)| now.since(then));
        if since.is_none() {
            stage.computed = now;
        }
        let is_unknown = stage.computed.is_none();
        if verdict == Verdict::Cut && !is_unknown && since.unwrap_or_default() < FAIR {
            return Verdict::Continue;
        }
        verdict
    }

    pub(crate) fn check(&self) -> Verdict {
        self.stage().check(&self.0.cancel)
    }

    /// When the next stage is due, if time alone brings it.
    pub(crate) fn next_stage(&self) -> Option<Instant> {
        let stage = self.stage();
        match stage.asked {
            Some((_, at)) => Some(at + GRACE),
            None => stage.deadline,
        }
    }

    /// Sleeps until `until`, or for ever. Earlier if the next stage is due; [`Interrupt::check`] tells.
    /// Returns at once if `brake` has an order that was given as the guest still computed.
    pub(crate) async fn wait(&self, brake: Option<&Brake>, until: Option<Instant>) {
        if brake.is_none_or(|brake| !brake.is_given()) {
            self.sleep(until).await;
        }
    }

    /// Sleeps until `until`, or for ever. Earlier if the next stage is due; [`Interrupt::check`] tells.
    async fn sleep(&self, until: Option<Instant>) {
        let end = match (until, self.next_stage()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let timer = async {
            match end {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        if self.stopped() {
            return timer.await;
        }
        tokio::select! {
            () = timer => {}
            () = self.0.cancel.cancelled() => {}
        }
    }
}

impl Stage {
    fn check(&mut self, cancel: &CancelHandle) -> Verdict {
        let cancelled = cancel.is_cancelled();
        if !cancelled && self.deadline.is_none() {
            return Verdict::Continue;
        }
        let now = Instant::now();
        if let Some((_, at)) = self.asked {
            return if now >= at + GRACE {
                Verdict::Cut
            } else {
                Verdict::Continue
            };
        }
        let stop = match self.deadline {
            _ if cancelled => Stop::Cancelled,
            Some(deadline) if now >= deadline => Stop::Timeout,
            _ => return Verdict::Continue,
        };
        self.asked = Some((stop, now));
        Verdict::Ask
    }
}
