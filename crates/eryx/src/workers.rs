//! The threads that run guests: one per core, for the whole process.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::clock::clock;

/// How long a thread that has nothing to do looks out for something before it sleeps. To put it to sleep and to wake it takes
/// longer than a short function of the host, or a short run, does.
const LOOK_OUT: Duration = Duration::from_micros(40);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A thread that looks out for its next task.
struct Lookout {
    /// What `door` says, to be looked at without locking.
    open: AtomicBool,
    handed: AtomicBool,
    door: Mutex<Door>,
    /// Tasks that no thread has begun with.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Door {
    open: bool,
    task: Option<Task>,
}

static LOOKOUT: Lookout = Lookout {
    open: AtomicBool::new(false),
    handed: AtomicBool::new(false),
    door: Mutex::new(Door {
        open: false,
        task: None,
    }),
    waiting: AtomicUsize::new(0),
};

/// How many.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Runs a future on the threads that run guests. For short work between waits.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let Some(task) = LOOKOUT.hand_over(Box::pin(future)) else {
        return;
    };
    LOOKOUT.waiting.fetch_add(1, Ordering::Relaxed);
    runtime().spawn(async move {
        LOOKOUT.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut next = Some(task);
        while let Some(task) = next {
            task.await;
            next = LOOKOUT.next();
        }
    });
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
    let waiting = || LOOKOUT.waiting.load(Ordering::Relaxed);
    if count() == 1 {
        return false;
    }
    let end = Instant::now() + LOOK_OUT;
    while clock().computing() == 0 && waiting() == 0 && Instant::now() < end {
        if found() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

impl Lookout {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `task` to the thread that looks out, or back.
    fn hand_over(&self, task: Task) -> Option<Task> {
        if !self.open.load(Ordering::Acquire) {
            return Some(task);
        }
        let mut door = self.door();
        if !door.open {
            return Some(task);
        }
        door.open = false;
        self.open.store(false, Ordering::Relaxed);
        door.task = Some(task);
        self.handed.store(true, Ordering::Release);
        None
    }

    /// Looks out for a task, unless another thread does.
    fn next(&self) -> Option<Task> {
        let mut door = self.door();
        if door.open || door.task.is_some() {
            return None;
        }
        door.open = true;
        self.handed.store(false, Ordering::Relaxed);
        self.open.store(true, Ordering::Release);
        drop(door);
        look_out(|| self.handed.load(Ordering::Acquire));
        let mut door = self.door();
        door.open = false;
        self.open.store(false, Ordering::Relaxed);
        door.task.take()
    }
}

/// Where tasks are spawned. One that waits holds none of the threads.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(count())
            .thread_name("eryx-worker")
            .enable_time()
            .build()
            .expect("the operating system can start the worker threads")
    })
}
