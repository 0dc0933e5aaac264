//! The threads that run guests: one per core, for the whole process.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// How many.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Runs a future on the threads that run guests. For short work between waits.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    runtime().spawn(future);
}

/// Where runs are spawned. A run that waits holds none of the threads.
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
