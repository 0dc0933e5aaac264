//! [`Session`]: an interpreter that lives from one execution to the next.

mod command;
mod executions;
mod interpreter;
mod queue;
mod resting;
mod slots;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use command::{Command, Reply, dropped};
use interpreter::{Interpreter, Restored};
use queue::Queue;
use resting::Due;

use crate::caps::MAX_FORKS;
use crate::guest::interrupt::Interrupt;
use crate::run::context::Context;
use crate::run::outcome::Outcome;
use crate::run::waiter::Waiter;
use crate::runtime::pool::Pool;
use crate::sandbox::CancelOnDrop;
use crate::snapshot::SnapshotKind;
use crate::threads::{process, workers};
use crate::{Answers, Error, ExecutionOptions, Runtime, SandboxOptions, Storage};

/// Keeps its interpreter between executions. What is asked of it happens in the order of the calls. Clones share one
/// session.
///
/// After a failure it can be used at once. An execution that had to be cut off leaves nothing behind: the interpreter is
/// again in the state before it; files keep what was written.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    /// What is mounted as its working directory.
    storage: Storage,
    /// Nobody gave it: it is forked, saved and restored with the session.
    owns_storage: bool,
    queue: Mutex<Queue>,
    executions: AtomicU64,
    /// The limit of executions that bring none of their own.
    timeout: Mutex<Option<Duration>>,
    /// When its interpreter was last used: see [`resting`].
    used: AtomicU64,
    /// It is among those with a slot.
    has_slot: AtomicBool,
    /// It is to give its slot back, and has not done so yet.
    is_to_sleep: AtomicBool,
    /// Where it is among those that are looked at when they have rested. `None`: it is none of them.
    place: Mutex<Option<Due>>,
    /// It was packed, or cannot be, and was not used since.
    is_packed: AtomicBool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.0.context).finish()
    }
}

impl Session {
    /// A session with these options. Starts nothing.
    ///
    /// # Errors
    /// As for [`Sandbox::new`](crate::Sandbox::new).
    pub fn new(runtime: &Runtime, options: SandboxOptions) -> Result<Self, Error> {
        let context = Context::new(runtime, options)?;
        let given = context.config.mounts.storage().cloned();
        let owned = given.is_none();
        let storage = given.unwrap_or_else(|| Storage::new(context.max_files()));
        Ok(Self::with(Arc::new(context), (storage, owned), None, 0))
    }

    fn with(
        context: Arc<Context>,
        (storage, owns_storage): (Storage, bool),
        interpreter: Option<Interpreter>,
        executions: u64,
    ) -> Self {
        let timeout = context.config.limits.execution_timeout;
        Self(Arc::new(Inner {
            context,
            storage,
            owns_storage,
            queue: Mutex::new(Queue::new(interpreter)),
            executions: AtomicU64::new(executions),
            timeout: Mutex::new(timeout),
            used: AtomicU64::new(0),
            has_slot: AtomicBool::new(false),
            is_to_sleep: AtomicBool::new(false),
            place: Mutex::new(None),
            is_packed: AtomicBool::new(false),
        }))
    }

    /// Runs `code` to its end, when all that was asked before is done. Dropping the future cancels the run.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(&self, code: impl Into<String>, options: ExecutionOptions) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        let cancel = options.cancel.clone();
        self.spawn(code, options, move |outcome| drop(sender.send(outcome)))?;
        let cancel = CancelOnDrop::new(cancel);
        let outcome = receiver.await.unwrap_or_else(|_| Err(dropped().into()));
        cancel.forget();
        outcome
    }

    /// Queues `code` and returns. `done` is called with the outcome, from one of the worker threads; it must be short.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] or [`Error::Closed`]: nothing was queued and `done` is not called.
    pub fn spawn(
        &self,
        code: impl Into<String>,
        options: ExecutionOptions,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<(), Error> {
        let code = code.into();
        options.check(&code, &self.0.context.config)?;
        self.push(|| Command::Execute {
            code,
            options,
            waiter: Waiter::new(true, done),
        })
    }

    /// Starts over with a new interpreter. Files stay. [`Session::execution_count`] is 0 again.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn reset(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(Command::Reset)
    }

    /// Removes the variables of the user's code. Imported modules stay loaded; callbacks and what libraries define stay.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn clear_state(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(Command::Clear)
    }

    /// So many copies of this session as it is when all that was asked before is done. They share its memory until they
    /// write.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::InvalidArgument`] for more than [`MAX_FORKS`], [`Error::Initialization`] if the
    /// machine has no room.
    pub fn fork(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<Vec<Self>, Error>> + Send + use<> {
        self.request(move |reply| Command::Fork(count, reply))
    }

    /// The whole interpreter as bytes: a compressed difference to the runtime's image.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> impl Future<Output = Result<Vec<u8>, Error>> + Send + use<> {
        self.request(Command::Snapshot)
    }

    /// Puts a snapshot in place of the interpreter. The bytes may come from anywhere.
    ///
    /// # Errors
    /// [`Error::Snapshot`]: the session is as before. [`Error::Closed`].
    pub fn restore(
        &self,
        snapshot: Vec<u8>,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(move |reply| Command::Restore(snapshot, reply))
    }

    /// Goes on with a run that was suspended, in a session of its own. `done` is called with its outcome; unless that is a
    /// success, the session is closed.
    ///
    /// # Errors
    /// As for [`Session::new`].
    pub fn resume(
        runtime: &Runtime,
        options: SandboxOptions,
        checkpoint: Vec<u8>,
        answers: Answers,
        execution: ExecutionOptions,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<Self, Error> {
        let session = Self::new(runtime, options)?;
        session.push(|| Command::Resume {
            checkpoint,
            answers,
            options: execution,
            waiter: Waiter::new(true, done),
        })?;
        Ok(session)
    }

    /// The files of its working directory: the storage of the options, or its own.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Where these files are mounted.
    #[must_use]
    pub fn mount_path(&self) -> &str {
        self.0.context.config.mounts.path()
    }

    /// How many executions ran since the session began or was reset, however they ended.
    #[must_use]
    pub fn execution_count(&self) -> u64 {
        self.0.executions.load(Ordering::Relaxed)
    }

    /// Sets the limit of later executions that bring none of their own.
    pub fn set_execution_timeout(&self, timeout: Option<Duration>) {
        *self.0.timeout() = timeout;
    }

    /// Refuses everything from now on, cancels what runs, and drops what is queued. Then Python finishes what it has open, as it
    /// does when it ends.
    pub fn close(&self) {
        self.0.close();
    }

    /// Resolves when a session that was closed has no interpreter any more, and one that was not when nothing is left to do.
    pub fn rested(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.0.push_end(sender);
        async { drop(receiver.await) }
    }

    /// Queues a command now. The future waits for what it answers.
    fn request<T, C>(&self, command: C) -> impl Future<Output = Result<T, Error>> + Send + use<T, C>
    where
        T: Send + 'static,
        C: FnOnce(Reply<T>) -> Command,
    {
        let (reply, answer) = Reply::new();
        let pushed = self.push(|| command(reply));
        async move {
            pushed?;
            answer.await
        }
    }

    fn push(&self, command: impl FnOnce() -> Command) -> Result<(), Error> {
        process::check()?;
        self.0.push(command)
    }
}

/// Finishes what is open in an interpreter and gives it back.
async fn discard(context: &Context, mut interpreter: Interpreter, limit: Option<Duration>) {
    let pool = context
        .pool(&mut Interrupt::never(), &mut Instant::now())
        .await;
    let Ok(pool) = pool else { return };
    if interpreter.is_unfinished() {
        interpreter.finish(context, pool, limit).await;
    }
    interpreter.end(pool);
}

/// A session that nobody closed.
impl Drop for Inner {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = place.take() {
            resting::strike(place);
        }
        let limit = *self.timeout();
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(interpreter) = queue.interpreter.take() {
            let context = Arc::clone(&self.context);
            workers::spawn(async move { discard(&context, interpreter, limit).await });
        }
    }
}

impl Inner {
    fn timeout(&self) -> MutexGuard<'_, Option<Duration>> {
        self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a command, and returns the interpreter that it leaves.
    async fn perform(
        self: &Arc<Self>,
        command: Command,
        mut interpreter: Option<Interpreter>,
    ) -> Option<Interpreter> {
        if self.queue().closed {
            command.refuse();
            return interpreter;
        }
        self.is_to_sleep.store(false, Ordering::Relaxed);
        if !matches!(command, Command::Sleep) {
            self.is_packed.store(false, Ordering::Relaxed);
        }
        match command {
            Command::Execute {
                code,
                options,
                waiter,
            } => self.execute(interpreter, code, options, waiter).await,
            Command::Resume {
                checkpoint,
                answers,
                options,
                waiter,
            } => self.resume(&checkpoint, answers, options, waiter).await,
            Command::Fork(count, reply) => {
                reply.give(self.fork(&mut interpreter, count).await);
                interpreter
            }
            Command::Snapshot(reply) => {
                reply.give(self.snapshot(&mut interpreter).await);
                interpreter
            }
            Command::Restore(snapshot, reply) => {
                let (interpreter, restored) = self.restore(interpreter, &snapshot).await;
                reply.give(restored);
                interpreter
            }
            Command::Clear(reply) => {
                reply.give(self.clear(&mut interpreter).await);
                interpreter.filter(|interpreter| !interpreter.is_lost())
            }
            Command::Reset(reply) => {
                self.discard(interpreter).await;
                self.executions.store(0, Ordering::Relaxed);
                reply.give(Ok(()));
                None
            }
            Command::Sleep => self.sleep(interpreter, Interpreter::sleep).await,
            Command::Pack(reply) => {
                interpreter = self.sleep(interpreter, Interpreter::pack).await;
                let is_awake = interpreter.as_ref().is_some_and(Interpreter::is_awake);
                self.is_packed.store(!is_awake, Ordering::Relaxed);
                reply.give(Ok(()));
                interpreter
            }
        }
    }

    async fn fork(
        &self,
        interpreter: &mut Option<Interpreter>,
        count: usize,
    ) -> Result<Vec<Session>, Error> {
        if count > MAX_FORKS {
            let problem = format!("expected at most {MAX_FORKS} forks, got {count}");
            return Err(Error::invalid("count", problem));
        }
        let storages = self.fork_storages(count);
        let Some(interpreter) = interpreter else {
            let new = |storage: Storage| {
                storage.tree().close_all();
                self.sibling(storage, None)
            };
            return Ok(storages.into_iter().map(new).collect());
        };
        let own = if self.owns_storage {
            &storages[..]
        } else {
            &[]
        };
        let forks = interpreter.fork(self.pool().await?, count, own)?;
        let pairs = storages.into_iter().zip(forks);
        Ok(pairs
            .map(|(storage, fork)| self.sibling(storage, Some(fork)))
            .collect())
    }

    async fn snapshot(&self, interpreter: &mut Option<Interpreter>) -> Result<Vec<u8>, Error> {
        let pool = self.pool().await?;
        let new = || Interpreter::new(&self.context, pool, Some(&self.storage));
        let executions = self.executions.load(Ordering::Relaxed);
        let interpreter = interpreter.get_or_insert_with(new);
        interpreter.snapshot(&self.context, pool, executions, self.own_storage())
    }

    /// The interpreter that takes the place of this one, or this one if the snapshot is refused.
    async fn restore(
        &self,
        interpreter: Option<Interpreter>,
        snapshot: &[u8],
    ) -> (Option<Interpreter>, Result<(), Error>) {
        match self.read(snapshot, SnapshotKind::Session).await {
            Ok(restored) => {
                self.discard(interpreter).await;
                (Some(self.restored(restored)), Ok(()))
            }
            Err(error) => (interpreter, Err(error)),
        }
    }

    /// Has the interpreter take less room.
    async fn sleep(
        &self,
        mut interpreter: Option<Interpreter>,
        sleep: impl FnOnce(&mut Interpreter, &Pool),
    ) -> Option<Interpreter> {
        if let (Some(interpreter), Ok(pool)) = (&mut interpreter, self.pool().await) {
            sleep(interpreter, pool);
        }
        interpreter
    }

    /// The storages of forks: forks of the own one, or the one that is shared.
    fn fork_storages(&self, count: usize) -> Vec<Storage> {
        let one = |_| {
            if self.owns_storage {
                self.storage.fork()
            } else {
                self.storage.clone()
            }
        };
        (0..count).map(one).collect()
    }

    /// The storage, if it is saved and restored with the session.
    fn own_storage(&self) -> Option<&Storage> {
        self.owns_storage.then_some(&self.storage)
    }

    /// Another session of the same options.
    fn sibling(&self, storage: Storage, interpreter: Option<Interpreter>) -> Session {
        let session = Session::with(
            Arc::clone(&self.context),
            (storage, self.owns_storage),
            interpreter,
            self.executions.load(Ordering::Relaxed),
        );
        *session.0.timeout() = *self.timeout();
        session
    }

    async fn pool(&self) -> Result<&Pool, Error> {
        self.context
            .pool(&mut Interrupt::never(), &mut Instant::now())
            .await
    }

    async fn discard(&self, interpreter: Option<Interpreter>) {
        let Some(interpreter) = interpreter else {
            return;
        };
        let limit = *self.timeout();
        discard(&self.context, interpreter, limit).await;
    }

    async fn read(&self, snapshot: &[u8], kind: SnapshotKind) -> Result<Restored, Error> {
        let pool = self.pool().await?;
        let (context, storage) = (&self.context, &self.storage);
        Restored::read(context, pool, (snapshot, kind), storage, self.owns_storage)
    }

    fn restored(&self, restored: Restored) -> Interpreter {
        let executions = restored.kept.executions;
        self.executions.store(executions, Ordering::Relaxed);
        restored.into_interpreter(&self.context, &self.storage)
    }
}
