//! The commands that wait for a session, and who carries them out.
//!
//! The interpreter is in the queue while nothing is done with it. Whoever takes it out carries out all that is queued, on one of
//! the worker threads, and puts it back.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::command::Command;
use super::interpreter::Interpreter;
use super::{Inner, slots};
use crate::threads::workers::{self, survived};
use crate::{CancelHandle, Error};

/// What is still to be done, and with what.
pub(super) struct Queue {
    commands: VecDeque<Command>,
    /// None before the first execution, after a reset, and while commands are carried out.
    pub(super) interpreter: Option<Interpreter>,
    /// Somebody carries out commands.
    is_busy: bool,
    pub(super) closed: bool,
    /// Of the execution that runs.
    running: Option<CancelHandle>,
    /// They wait until nothing is left to do.
    ends: Vec<oneshot::Sender<()>>,
}

/// What is to be done now.
#[expect(
    clippy::large_enum_variant,
    reason = "it is made to be taken apart at once"
)]
enum Next {
    Command(Command, Option<Interpreter>),
    /// The session is closed.
    Discard(Interpreter),
    Rest(Vec<oneshot::Sender<()>>),
}

impl Queue {
    pub(super) fn new(interpreter: Option<Interpreter>) -> Self {
        Self {
            commands: VecDeque::new(),
            interpreter,
            is_busy: false,
            closed: false,
            running: None,
            ends: Vec::new(),
        }
    }

    /// The next command. If there is none, the interpreter is put back, or is to go when the session is closed.
    fn next(&mut self, interpreter: Option<Interpreter>) -> Next {
        self.running = None;
        if let Some(command) = self.commands.pop_front() {
            return Next::Command(command, interpreter);
        }
        match interpreter {
            Some(interpreter) if self.closed => Next::Discard(interpreter),
            interpreter => {
                self.interpreter = interpreter;
                self.is_busy = false;
                Next::Rest(std::mem::take(&mut self.ends))
            }
        }
    }
}

impl Inner {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command, which is made only if the session takes it.
    pub(super) fn push(self: &Arc<Self>, command: impl FnOnce() -> Command) -> Result<(), Error> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Error::Closed);
        }
        queue.commands.push_back(command());
        drop(queue);
        self.start();
        Ok(())
    }

    /// Queues a command if nothing else is to be done.
    pub(super) fn push_if_idle(self: &Arc<Self>, command: Command) -> bool {
        let mut queue = self.queue();
        let idle = !queue.is_busy && queue.commands.is_empty() && !queue.closed;
        if idle {
            queue.commands.push_back(command);
        }
        drop(queue);
        if idle {
            self.start();
        }
        idle
    }

    /// Refuses everything from now on, and cancels what runs.
    pub(super) fn close(self: &Arc<Self>) {
        let mut queue = self.queue();
        queue.closed = true;
        if let Some(running) = &queue.running {
            running.cancel();
        }
        drop(queue);
        self.start();
    }

    /// Tells `end` when nothing is left to do.
    pub(super) fn push_end(self: &Arc<Self>, end: oneshot::Sender<()>) {
        self.queue().ends.push(end);
        self.start();
    }

    /// Notes that what `cancel` ends is under way: closing the session cancels it, also if that came first.
    pub(super) fn note_running(&self, cancel: &CancelHandle) {
        let mut queue = self.queue();
        if queue.closed {
            cancel.cancel();
        }
        queue.running = Some(cancel.clone());
    }

    /// From now on, closing the session cancels nothing.
    pub(super) fn note_ended(&self) {
        self.queue().running = None;
    }

    /// Carries out what is queued, unless somebody is at it.
    fn start(self: &Arc<Self>) {
        let mut queue = self.queue();
        if std::mem::replace(&mut queue.is_busy, true) {
            return;
        }
        let interpreter = queue.interpreter.take();
        drop(queue);
        workers::spawn(Arc::clone(self).work(interpreter));
    }

    async fn work(self: Arc<Self>, mut interpreter: Option<Interpreter>) {
        loop {
            let next = self.queue().next(interpreter);
            interpreter = match next {
                Next::Command(command, interpreter) => {
                    let performed = survived(self.perform(command, interpreter)).await;
                    // A function of the host's has panicked. What is queued must not wait for it for ever.
                    let left = performed.unwrap_or(None);
                    slots::note(&self, left.as_ref().is_some_and(Interpreter::is_awake));
                    left
                }
                Next::Discard(interpreter) => {
                    drop(survived(self.discard(Some(interpreter))).await);
                    None
                }
                Next::Rest(ends) => {
                    slots::make_room();
                    self.expect_sleep();
                    for end in ends {
                        let _ = end.send(());
                    }
                    return;
                }
            };
        }
    }
}
