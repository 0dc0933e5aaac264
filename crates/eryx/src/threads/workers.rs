//! The threads that run guests.
//!
//! As many as there are cores take tasks from one queue. A guest that computes keeps its thread: nothing makes it yield, the
//! operating system shares the cores. Where tasks wait while threads have been at one thing for a while, the clock sends more
//! threads to the queue, up to [`MAX_WORKERS`]; they rest when there is nothing left to do.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_task::Runnable;
use tokio::runtime::{Builder, Runtime};

use crate::caps::MAX_WORKERS;
use crate::threads::clock::clock;

/// How long a thread that has nothing to do looks out for something before it sleeps. To put it to sleep and to wake it takes
/// longer than a short function of the host, or a short run, does.
const LOOK_OUT: Duration = Duration::from_micros(40);
/// A thread that has been at one task for so long counts as one that is not there.
const SLICE: Duration = Duration::from_millis(2);
/// A thread beyond the cores' own ends when it had nothing to do for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// The queue and its threads.
struct Workers {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// How many tasks wait, to be read without locking.
    waiting: AtomicUsize,
    /// A thread looks out for the next task.
    looking: AtomicBool,
    /// A task had to wait for a thread since the clock looked last.
    waited: AtomicBool,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Runnable>,
    /// When each thread began with what it does.
    busy: Vec<(usize, Instant)>,
    threads: usize,
    /// Threads that wait to be woken.
    idle: usize,
    /// How many may be busy.
    allowed: usize,
    /// The number of the next thread.
    next: usize,
}

static WORKERS: Workers = Workers {
    queue: Mutex::new(Queue {
        ready: VecDeque::new(),
        busy: Vec::new(),
        threads: 0,
        idle: 0,
        allowed: 0,
        next: 0,
    }),
    wake: Condvar::new(),
    waiting: AtomicUsize::new(0),
    looking: AtomicBool::new(false),
    waited: AtomicBool::new(false),
};

/// How many cores there are.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Runs a future on the threads that run guests. For short work between waits.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let (task, handle) = async_task::spawn(future, |task| WORKERS.add(task));
    handle.detach();
    task.schedule();
}

/// What the future returns, or that it panicked.
pub(crate) async fn survived<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// Looks out for a moment for what `found` waits for, if the machine has nothing else to do for us.
pub(crate) fn look_out(found: impl Fn() -> bool) -> bool {
    if count() == 1 {
        return false;
    }
    let end = Instant::now() + LOOK_OUT;
    while clock().count() == 0 && Instant::now() < end {
        if found() {
            return true;
        }
        if WORKERS.waiting.load(Ordering::Acquire) > 0 {
            return false;
        }
        std::thread::yield_now();
    }
    false
}

/// The clock's look at the queue: where it does not move, more threads come. Whether tasks wait, or had to.
fn look_after() -> bool {
    let mut queue = WORKERS.queue();
    let now = Instant::now();
    let stuck = queue.busy.iter().filter(|(_, since)| now - *since >= SLICE);
    queue.allowed = (count() + stuck.count()).min(MAX_WORKERS);
    let room = queue.allowed.saturating_sub(queue.busy.len());
    for _ in 0..room.min(queue.ready.len()) {
        WORKERS.send(&mut queue);
    }
    WORKERS.waited.swap(false, Ordering::AcqRel) || !queue.ready.is_empty()
}

impl Workers {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&'static self, task: Runnable) {
        let mut queue = self.queue();
        queue.ready.push_back(task);
        self.waiting.store(queue.ready.len(), Ordering::Release);
        queue.allowed = queue.allowed.max(count());
        if queue.busy.len() >= queue.allowed {
            drop(queue);
            self.waited.store(true, Ordering::Release);
            clock().ring_if_slow();
        } else if !self.looking.load(Ordering::Acquire) {
            self.send(&mut queue);
        }
    }

    /// Sends one more thread to the queue.
    fn send(&'static self, queue: &mut Queue) {
        if queue.idle > 0 {
            self.wake.notify_one();
            return;
        }
        let wanted = (queue.threads + 1).max(count()).min(MAX_WORKERS);
        while queue.threads < wanted {
            if let Err(error) = self.start(queue.next) {
                // Those that there are go on.
                assert!(queue.threads > 0, "no thread can be started: {error}");
                return;
            }
            clock().serve(look_after);
            queue.threads += 1;
            queue.next += 1;
        }
    }

    fn start(&'static self, number: usize) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("eryx-worker".into())
            .spawn(move || self.work(number))
            .map(drop)
    }

    fn work(&self, number: usize) {
        // Timers are tokio's.
        let _context = runtime().enter();
        while let Some(task) = self.next(number) {
            // async-task drops a future that panics; the thread is for the others.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run()));
        }
    }

    /// The next task. `None`: the thread is one too many.
    fn next(&self, number: usize) -> Option<Runnable> {
        let mut queue = self.queue();
        queue.busy.retain(|(busy, _)| *busy != number);
        let mut may_look = true;
        loop {
            let has_place = queue.busy.len() < queue.allowed;
            if has_place && let Some(task) = queue.ready.pop_front() {
                self.waiting.store(queue.ready.len(), Ordering::Release);
                queue.busy.push((number, Instant::now()));
                // More may have come while this thread looked out, and woken nobody.
                if !queue.ready.is_empty() && queue.busy.len() < queue.allowed {
                    WORKERS.send(&mut queue);
                }
                return Some(task);
            }
            if may_look && has_place && !self.looking.swap(true, Ordering::AcqRel) {
                may_look = false;
                drop(queue);
                look_out(|| self.waiting.load(Ordering::Acquire) > 0);
                queue = self.queue();
                self.looking.store(false, Ordering::Release);
                continue;
            }
            may_look = false;
            queue.idle += 1;
            let (woken, time) = self
                .wake
                .wait_timeout(queue, KEEP_ALIVE)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if time.timed_out() && queue.threads > count() && queue.ready.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

/// Timers, and functions of the host's that are futures.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("eryx-timer")
            .enable_time()
            .build()
            .expect("the operating system can start a thread")
    })
}
