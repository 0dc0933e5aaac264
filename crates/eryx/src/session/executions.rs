//! Running code in a session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::interpreter::Interpreter;
use super::{Inner, slots};
use crate::guest::host::RunState;
use crate::guest::instance::{Begin, Condition, Ended, Instance};
use crate::run::outcome::Outcome;
use crate::run::waiter::Waiter;
use crate::run::{outcome, request};
use crate::runtime::pool::Pool;
use crate::snapshot::SnapshotKind;
use crate::{Answers, CancelHandle, Error, ExecutionError, ExecutionOptions, Storage};

/// One execution.
struct Run<'a> {
    state: RunState,
    begin: Begin<'a>,
    started: Instant,
}

impl Inner {
    /// Puts a guest that is to run into a slot.
    pub(super) async fn wake(
        self: &Arc<Self>,
        interpreter: &mut Interpreter,
        pool: &Pool,
    ) -> Result<(), Error> {
        let slept = !interpreter.is_awake();
        interpreter.wake(pool).await?;
        self.note_used();
        if slept {
            slots::note(self, true);
        }
        Ok(())
    }

    pub(super) async fn resume(
        self: &Arc<Self>,
        checkpoint: &[u8],
        mut answers: Answers,
        mut options: ExecutionOptions,
        waiter: Waiter,
    ) -> Option<Interpreter> {
        let done = |outcome: Outcome| {
            if outcome.is_err() {
                self.queue().closed = true;
            }
            self.settle(waiter, outcome);
        };
        self.note_running(&options.cancel);
        options.timeout = options.timeout.or(Some(*self.timeout()));
        let ready = async {
            let pool = self.pool().await?;
            let mut restored = self.read(checkpoint, SnapshotKind::Checkpoint).await?;
            let open = std::mem::take(&mut restored.kept.open);
            let last_call = restored.kept.last_call;
            let mut interpreter = self.restored(restored);
            self.wake(&mut interpreter, pool).await?;
            interpreter
                .rebind(&self.context, pool, &options.cancel)
                .await?;
            Ok::<_, Error>((pool, interpreter, last_call, open))
        };
        let (pool, interpreter, last_call, open) = match ready.await {
            Ok(ready) => ready,
            Err(error) => {
                done(Err(error.into()));
                return None;
            }
        };
        let started = Instant::now();
        let mut state = self.context.run_state(&options, None, started);
        let answer = |call| answers.take(call);
        state.calls.take_up(last_call, open, answer);
        if let Some((list, call)) = answers.left() {
            let problem = format!("expected ids of pending calls, got {call}");
            done(Err(Error::invalid(list, problem).into()));
            return None;
        }
        let run = Run {
            state,
            begin: Begin::Waiting,
            started,
        };
        self.run(interpreter, pool, run, done).await
    }

    /// Runs a guest to the end of an execution.
    async fn run(
        &self,
        mut interpreter: Interpreter,
        pool: &Pool,
        run: Run<'_>,
        done: impl FnOnce(Outcome),
    ) -> Option<Interpreter> {
        let root = interpreter.root();
        let own = interpreter.saves(self.own_storage());
        let settle = |instance: &mut Instance, mut ended: Ended| {
            if ended.condition == Condition::Suspended {
                let executions = self.executions.load(Ordering::Relaxed);
                let trees = [Some(&*root), own.map(Storage::tree)];
                ended.result = Err(self.context.suspend(instance, pool, executions, trees));
            }
            outcome::of(instance, ended, run.started)
        };
        let done = |outcome, state_lost| done(with_state(outcome, state_lost));
        let kept = interpreter
            .run(pool, run.state, run.begin, settle, done)
            .await;
        kept.then_some(interpreter)
    }

    /// The execution has ended: from now on, closing the session does not cancel it.
    fn settle(&self, waiter: Waiter, outcome: Outcome) {
        self.note_ended();
        waiter.settle(outcome);
    }

    pub(super) async fn execute(
        self: &Arc<Self>,
        interpreter: Option<Interpreter>,
        code: String,
        mut options: ExecutionOptions,
        waiter: Waiter,
    ) -> Option<Interpreter> {
        let mut started = Instant::now();
        self.note_running(&options.cancel);
        options.timeout = options.timeout.or(Some(*self.timeout()));
        let mut until = self.context.interrupt(&options, started);
        let pool = match self.context.pool(&mut until, &mut started).await {
            Ok(pool) => pool,
            Err(error) => {
                self.settle(waiter, Err(error.into()));
                return interpreter;
            }
        };
        let new = || Interpreter::new(&self.context, pool, Some(&self.storage));
        let mut interpreter = interpreter.unwrap_or_else(new);
        let slept = !interpreter.is_awake();
        if let Err(error) = self.wake(&mut interpreter, pool).await {
            self.settle(waiter, Err(error.into()));
            return Some(interpreter);
        }
        if slept {
            // To unpack a large state takes its time, which is none of the code's.
            started = Instant::now();
        }
        let config = &self.context.config;
        let start = interpreter.start;
        let request = request::encode(code, &mut options, config, start)
            .and_then(|request| request::complete(request, config, start));
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.settle(waiter, Err(error.into()));
                return Some(interpreter);
            }
        };
        self.executions.fetch_add(1, Ordering::Relaxed);
        let run = Run {
            state: self.context.run_state(&options, None, started),
            begin: Begin::Request(&request),
            started,
        };
        // The run's state has what it needs of them, and goes with the run.
        drop(options);
        let done = |outcome| self.settle(waiter, outcome);
        self.run(interpreter, pool, run, done).await
    }

    pub(super) async fn clear(
        self: &Arc<Self>,
        interpreter: &mut Option<Interpreter>,
    ) -> Result<(), Error> {
        let Some(interpreter) = interpreter else {
            return Ok(());
        };
        let pool = self.pool().await?;
        self.wake(interpreter, pool).await?;
        let request = request::encode_clear()?;
        let cancel = CancelHandle::new();
        self.note_running(&cancel);
        let within = (*self.timeout(), &cancel);
        interpreter
            .order(&self.context, pool, &request, within)
            .await
    }
}

fn with_state(outcome: Outcome, state_lost: bool) -> Outcome {
    outcome.map_err(|error| ExecutionError {
        state_lost,
        ..error
    })
}
