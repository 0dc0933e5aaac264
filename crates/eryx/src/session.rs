//! [`Session`]: an interpreter that lives from one execution to the next.

mod executions;
mod interpreter;
mod slots;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::caps::MAX_FORKS;
use crate::guest::interrupt::Interrupt;
use crate::run::context::Setup;
use crate::run::outcome::Outcome;
use crate::run::waiter::Waiter;
use crate::runtime::pool::Pool;
use crate::sandbox::CancelOnDrop;
use crate::session::interpreter::{Live, Restored};
use crate::snapshot::Kind;
use crate::threads::workers::survived;
use crate::threads::{process, workers};
use crate::{Answers, CancelHandle, Error, ExecutionOptions, Runtime, SandboxOptions, Storage};

/// Keeps its interpreter between executions. What is asked of it happens in the order of the calls. Clones share one
/// session.
///
/// After a failure it can be used at once. An execution that had to be cut off leaves nothing behind: the interpreter is
/// again in the state before it; files keep what was written.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    setup: Arc<Setup>,
    /// What is mounted as its working directory.
    storage: Storage,
    /// Nobody gave it: it is forked, saved and restored with the session.
    owns_storage: bool,
    queue: Mutex<Queue>,
    executions: AtomicU64,
    /// The limit of executions that bring none of their own.
    timeout: Mutex<Option<Duration>>,
    /// When its guest was last used, as [`slots`] counts.
    used: AtomicU64,
    /// It is among those with a slot.
    listed: AtomicBool,
}

/// What is still to be done. Whoever takes `guest` out does it, and puts the guest back.
struct Queue {
    jobs: VecDeque<Job>,
    /// `None`: jobs are being done.
    guest: Option<Guest>,
    closed: bool,
    /// Of the execution that runs.
    running: Option<CancelHandle>,
    /// They wait until nothing is left to do.
    ends: Vec<oneshot::Sender<()>>,
}

/// The session's interpreter; none before the first execution and after a reset.
type Guest = Option<Live>;
type Done = Pin<Box<dyn Future<Output = Guest> + Send>>;
/// What a job answers, and the guest that it leaves.
type Asked<T> = Pin<Box<dyn Future<Output = (Guest, Result<T, Error>)> + Send>>;
/// Something to do with the guest. Given `None` in place of the session, it reports that the session is closed.
type Job = Box<dyn FnOnce(Option<Arc<Inner>>, Guest) -> Done + Send>;

/// What is to be done now.
enum Next {
    Job(Job, Guest, bool),
    /// The session is closed.
    Discard(Live),
    Rest(Vec<oneshot::Sender<()>>),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.0.setup).finish()
    }
}

impl Session {
    /// A session with these options. Starts nothing.
    ///
    /// # Errors
    /// As for [`Sandbox::new`](crate::Sandbox::new).
    pub fn new(runtime: &Runtime, options: SandboxOptions) -> Result<Self, Error> {
        let setup = Setup::new(runtime, options)?;
        let given = setup.config.mounts.storage().cloned();
        let owned = given.is_none();
        let storage = given.unwrap_or_else(|| Storage::new(setup.max_files()));
        Ok(Self::with(Arc::new(setup), (storage, owned), None, 0))
    }

    fn with(
        setup: Arc<Setup>,
        (storage, owns_storage): (Storage, bool),
        guest: Guest,
        executions: u64,
    ) -> Self {
        let timeout = setup.config.limits.execution_timeout;
        Self(Arc::new(Inner {
            setup,
            storage,
            owns_storage,
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                guest: Some(guest),
                closed: false,
                running: None,
                ends: Vec::new(),
            }),
            executions: AtomicU64::new(executions),
            timeout: Mutex::new(timeout),
            used: AtomicU64::new(0),
            listed: AtomicBool::new(false),
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
        options.check(&code, &self.0.setup.config)?;
        self.push(|| {
            let waiter = Waiter::new(true, done);
            Box::new(move |inner, guest| {
                Box::pin(async move {
                    let Some(inner) = inner else {
                        waiter.settle(Err(Error::Closed.into()));
                        return guest;
                    };
                    inner.execute(guest, code, options, waiter).await
                })
            })
        })
    }

    /// Starts over with a new interpreter. Files stay. [`Session::execution_count`] is 0 again.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn reset(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(|inner, guest| {
            Box::pin(async move {
                inner.discard(guest).await;
                inner.executions.store(0, Ordering::Relaxed);
                (None, Ok(()))
            })
        })
    }

    /// Removes the variables of the user's code. Imported modules stay loaded; callbacks and what libraries define stay.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn clear_state(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(|inner, guest| {
            Box::pin(async move {
                let Some(mut live) = guest else {
                    return (None, Ok(()));
                };
                let cleared = inner.clear(&mut live).await;
                (Some(live), cleared)
            })
        })
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
        self.request(move |inner, guest| {
            Box::pin(async move {
                if count > MAX_FORKS {
                    let text = format!("fork: expected at most {MAX_FORKS} forks, got {count}");
                    return (guest, Err(Error::InvalidArgument(text)));
                }
                let storages = inner.forked_storages(count);
                let Some(mut live) = guest else {
                    let siblings = storages.into_iter().map(|storage| {
                        storage.tree().close_all();
                        inner.sibling(storage, None)
                    });
                    return (None, Ok(siblings.collect()));
                };
                let own = if inner.owns_storage {
                    &storages[..]
                } else {
                    &[]
                };
                let forks = match inner.pool().await {
                    Ok(pool) => live.fork(pool, count, own),
                    Err(error) => Err(error),
                };
                let forks = forks.map(|forks| {
                    let pairs = storages.into_iter().zip(forks);
                    pairs
                        .map(|(storage, fork)| inner.sibling(storage, Some(fork)))
                        .collect()
                });
                (Some(live), forks)
            })
        })
    }

    /// The whole interpreter as bytes: a compressed difference to the runtime's image.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> impl Future<Output = Result<Vec<u8>, Error>> + Send + use<> {
        self.request(|inner, guest| {
            Box::pin(async move {
                let pool = match inner.pool().await {
                    Ok(pool) => pool,
                    Err(error) => return (guest, Err(error)),
                };
                let new = || Live::new(&inner.setup, pool, Some(&inner.storage));
                let mut live = guest.unwrap_or_else(new);
                let executions = inner.executions.load(Ordering::Relaxed);
                let taken = live.snapshot(&inner.setup, pool, executions, inner.own_storage());
                (Some(live), taken)
            })
        })
    }

    /// Puts a snapshot in place of the interpreter. The bytes may come from anywhere.
    ///
    /// # Errors
    /// [`Error::Snapshot`]: the session is as before. [`Error::Closed`].
    pub fn restore(
        &self,
        snapshot: Vec<u8>,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.request(move |inner, guest| {
            Box::pin(async move {
                match inner.read(&snapshot, Kind::Rest).await {
                    Ok(restored) => {
                        inner.discard(guest).await;
                        (Some(inner.restored(restored)), Ok(()))
                    }
                    Err(error) => (guest, Err(error)),
                }
            })
        })
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
        session.push(|| {
            let waiter = Waiter::new(true, done);
            Box::new(move |inner, guest| {
                Box::pin(async move {
                    let Some(inner) = inner else {
                        waiter.settle(Err(Error::Closed.into()));
                        return guest;
                    };
                    inner.resume(&checkpoint, answers, execution, waiter).await
                })
            })
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
        self.0.setup.config.mounts.path()
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
        let mut queue = self.0.queue();
        queue.closed = true;
        if let Some(running) = &queue.running {
            running.cancel();
        }
        let idle = queue.guest.is_some();
        drop(queue);
        if idle {
            self.0.start();
        }
    }

    /// Resolves when a session that was closed has no interpreter any more, and one that was not when nothing is left to do.
    pub fn rested(&self) -> impl Future<Output = ()> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.0.queue();
        queue.ends.push(sender);
        let idle = queue.guest.is_some();
        drop(queue);
        if idle {
            self.0.start();
        }
        async { drop(receiver.await) }
    }

    /// Queues `job` now. The future waits for what it answers.
    fn request<T, J>(&self, job: J) -> impl Future<Output = Result<T, Error>> + Send + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce(Arc<Inner>, Guest) -> Asked<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let pushed = self.push(|| {
            Box::new(move |inner, guest| {
                Box::pin(async move {
                    let (guest, answer) = match inner {
                        Some(inner) => job(inner, guest).await,
                        None => (guest, Err(Error::Closed)),
                    };
                    drop(sender.send(answer));
                    guest
                })
            })
        });
        async move {
            pushed?;
            receiver.await.unwrap_or_else(|_| Err(dropped()))
        }
    }

    /// Queues a job, which is made only if the session takes it.
    fn push(&self, job: impl FnOnce() -> Job) -> Result<(), Error> {
        process::check()?;
        let mut queue = self.0.queue();
        if queue.closed {
            return Err(Error::Closed);
        }
        queue.jobs.push_back(job());
        let idle = queue.guest.is_some();
        drop(queue);
        if idle {
            self.0.start();
        }
        Ok(())
    }
}

/// Finishes what is open in a guest and gives it back.
async fn discard(setup: &Setup, mut live: Live, limit: Option<Duration>) {
    let pool = setup
        .pool(&mut Interrupt::never(), &mut Instant::now())
        .await;
    let Ok(pool) = pool else { return };
    if live.is_unfinished() {
        live.finish(setup, pool, limit).await;
    }
    live.end(pool);
}

fn dropped() -> Error {
    Error::Internal("what was asked of the session was dropped".into())
}

/// A session that nobody closed.
impl Drop for Inner {
    fn drop(&mut self) {
        let limit = *self.timeout();
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(live)) = queue.guest.take() {
            let setup = Arc::clone(&self.setup);
            workers::spawn(async move { discard(&setup, live, limit).await });
        }
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timeout(&self) -> MutexGuard<'_, Option<Duration>> {
        self.timeout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that what `cancel` ends is under way: closing the session cancels it, also if that came first.
    fn runs(&self, cancel: &CancelHandle) {
        let mut queue = self.queue();
        if queue.closed {
            cancel.cancel();
        }
        queue.running = Some(cancel.clone());
    }

    /// Does what is queued, unless somebody is at it.
    fn start(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let Some(guest) = self.queue().guest.take() else {
            return;
        };
        workers::spawn(inner.work(guest));
    }

    /// Queues a job if nothing else is to be done.
    fn push_if_idle(self: &Arc<Self>, job: impl FnOnce() -> Job) -> bool {
        let mut queue = self.queue();
        let idle = queue.guest.is_some() && queue.jobs.is_empty();
        if idle {
            queue.jobs.push_back(job());
        }
        drop(queue);
        if idle {
            self.start();
        }
        idle
    }

    async fn work(self: Arc<Self>, mut guest: Guest) {
        loop {
            let (job, closed) = match self.next(guest) {
                Next::Job(job, kept, closed) => {
                    guest = kept;
                    (job, closed)
                }
                Next::Discard(live) => {
                    self.discard(Some(live)).await;
                    guest = None;
                    continue;
                }
                Next::Rest(ends) => {
                    slots::make_room();
                    // Whoever does not wait any more is none to be told.
                    for end in ends {
                        let _ = end.send(());
                    }
                    return;
                }
            };
            let inner = (!closed).then(|| Arc::clone(&self));
            let Ok(left) = survived(job(inner, guest)).await else {
                // A function of the host's. What is queued must not wait for it for ever.
                guest = None;
                continue;
            };
            guest = left;
        }
    }

    /// The next job. If there is none, the guest is put back, or is to go when the session is closed.
    fn next(&self, guest: Guest) -> Next {
        let mut queue = self.queue();
        queue.running = None;
        let closed = queue.closed;
        if let Some(job) = queue.jobs.pop_front() {
            return Next::Job(job, guest, closed);
        }
        match guest {
            Some(live) if closed => Next::Discard(live),
            guest => {
                queue.guest = Some(guest);
                Next::Rest(std::mem::take(&mut queue.ends))
            }
        }
    }

    /// The storages of forks: forks of the own one, or the one that is shared.
    fn forked_storages(&self, count: usize) -> Vec<Storage> {
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
    fn sibling(&self, storage: Storage, guest: Guest) -> Session {
        let session = Session::with(
            Arc::clone(&self.setup),
            (storage, self.owns_storage),
            guest,
            self.executions.load(Ordering::Relaxed),
        );
        *session.0.timeout() = *self.timeout();
        session
    }

    async fn pool(&self) -> Result<&Pool, Error> {
        self.setup
            .pool(&mut Interrupt::never(), &mut Instant::now())
            .await
    }

    async fn discard(&self, guest: Guest) {
        let Some(live) = guest else { return };
        let limit = *self.timeout();
        discard(&self.setup, live, limit).await;
    }

    async fn read(&self, snapshot: &[u8], kind: Kind) -> Result<Restored, Error> {
        let pool = self.pool().await?;
        let (setup, storage) = (&self.setup, &self.storage);
        Restored::read(setup, pool, (snapshot, kind), storage, self.owns_storage)
    }

    fn restored(&self, restored: Restored) -> Live {
        let executions = restored.kept.executions;
        self.executions.store(executions, Ordering::Relaxed);
        restored.into_live(&self.setup, &self.storage)
    }
}
