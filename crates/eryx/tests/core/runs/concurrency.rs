//! Many runs at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eryx::{CancelHandle, ExecutionOptions, Value};

use crate::support::{PROMPT, alone, promptly, sandbox, until, within};

#[tokio::test]
async fn fifty_runs_of_one_sandbox_give_fifty_right_answers() {
    let sandbox = sandbox();
    let runs: Vec<_> = (0..50i64)
        .map(|index| {
            let sandbox = sandbox.clone();
            tokio::spawn(async move {
                let mut options = ExecutionOptions::default();
                options.inputs = vec![("index".into(), index.into())];
                let code = "
import asyncio, os, time
seen = 'mine' in globals()
mine = index
open('/data/mine', 'w').write(str(index))
os.environ['MINE'] = str(index)
if index % 3 == 0: time.sleep(0.01)
if index % 3 == 1: await asyncio.sleep(0.01)
total = sum(range(index * 1000))
print(mine, os.environ['MINE'], open('/data/mine').read())
result = [seen, mine, total]";
                let result = sandbox.execute(code, options).await.expect("runs");
                let total = index * 1000 * (index * 1000 - 1) / 2;
                assert_eq!(
                    result.result,
                    Some(Value::List(vec![false.into(), index.into(), total.into()]))
                );
                assert_eq!(
                    result.output.stdout,
                    format!("{index} {index} {index}\n").into_bytes()
                );
            })
        })
        .collect();
    for run in runs {
        run.await.expect("checked");
    }
}

#[tokio::test]
async fn fifty_sandboxes_at_once() {
    let runs: Vec<_> = (0..50i64)
        .map(|index| {
            tokio::spawn(async move {
                let sandbox = sandbox();
                for round in 0..4i64 {
                    let code = format!(
                        "x = {index} * 100 + {round}\nassert 'y' not in globals()\ny = 1\nx"
                    );
                    let result = sandbox
                        .execute(code, ExecutionOptions::default())
                        .await
                        .expect("runs");
                    assert_eq!(result.value, Some((index * 100 + round).into()));
                }
            })
        })
        .collect();
    for run in runs {
        run.await.expect("checked");
    }
}

#[tokio::test]
async fn waiting_holds_no_thread() {
    for code in [
        "import time\ntime.sleep(0.3)",
        "import asyncio\nawait asyncio.sleep(0.3)",
        "import asyncio\nasyncio.run(asyncio.sleep(0.3))",
        "import select\nselect.select([], [], [], 0.3)",
    ] {
        let sandbox = sandbox();
        // One after the other they would take 30 seconds.
        promptly(Duration::from_secs(4), async || {
            let runs: Vec<_> = (0..100)
                .map(|_| {
                    let sandbox = sandbox.clone();
                    tokio::spawn(async move {
                        let outcome = sandbox.execute(code, ExecutionOptions::default()).await;
                        outcome.expect("runs").output.usage.duration
                    })
                })
                .collect();
            for run in runs {
                let took = run.await.expect("no panic");
                assert!(took >= Duration::from_millis(300), "{code}: {took:?}");
            }
        })
        .await;
    }
}

/// How often the clock's thread went to sleep, and so woke up.
#[cfg(target_os = "linux")]
fn clock_wakes() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let clock = tasks
        .filter_map(|task| Some(task.ok()?.path()))
        .find(|task| read(task.join("comm")).trim() == "eryx-clock");
    let status = read(clock.expect("it runs").join("status"));
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("voluntary_ctxt_switches"));
    line.expect("Linux says it").to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn runs_that_sleep_let_the_clock_rest() {
    if !alone("runs::concurrency::runs_that_sleep_let_the_clock_rest") {
        return;
    }
    let sandbox = sandbox();
    let cancel = CancelHandle::new();
    for code in [
        "import time\ntime.sleep(600)",
        "import asyncio\ndef f(): asyncio.run(asyncio.sleep(600))\nf()",
    ] {
        for _ in 0..20 {
            let mut options = within(Duration::from_mins(1));
            options.cancel = cancel.clone();
            sandbox.spawn(code, options, |_| ()).expect("starts");
        }
    }
    // The clock rests once all of them wait. Before the deadline of the sleepers, or they do not hold it up.
    let mut before = clock_wakes();
    for _ in 0..80 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = clock_wakes();
        if now == before {
            cancel.cancel();
            return;
        }
        before = now;
    }
    panic!("the clock goes on beside sleepers: {before}");
}

#[tokio::test]
async fn runs_that_compute_do_not_starve_others() {
    if !alone("runs::concurrency::runs_that_compute_do_not_starve_others") {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let sandbox = sandbox();
    let cancel = CancelHandle::new();
    let ended = Arc::new(AtomicUsize::new(0));
    for _ in 0..cores * 2 {
        let mut options = within(Duration::from_mins(1));
        options.cancel = cancel.clone();
        let ended = Arc::clone(&ended);
        sandbox
            .spawn("while True: pass", options, move |_| {
                ended.fetch_add(1, Ordering::SeqCst);
            })
            .expect("starts");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..10 {
        let short = async || sandbox.execute("1 + 1", ExecutionOptions::default()).await;
        let result = promptly(Duration::from_secs(1), short).await;
        assert_eq!(result.expect("runs").value, Some(2.into()));
    }
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    cancel.cancel();
    until(|| ended.load(Ordering::SeqCst) == cores * 2).await;
}

#[tokio::test]
async fn deadlines_hold_while_others_compute() {
    let sandbox = sandbox();
    let limit = Duration::from_millis(500);
    promptly(limit + 2 * PROMPT, async || {
        let runs: Vec<_> = (0..16)
            .map(|_| {
                let sandbox = sandbox.clone();
                tokio::spawn(
                    async move { sandbox.execute("while True: pass", within(limit)).await },
                )
            })
            .collect();
        for run in runs {
            let error = run.await.expect("no panic").expect_err("too long").error;
            assert!(matches!(error, eryx::Error::Timeout { .. }), "{error:?}");
        }
    })
    .await;
}

/// Threads of this process that run guests.
#[cfg(target_os = "linux")]
fn workers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("linux has it");
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == "eryx-worker")
        .count()
}

/// Each that computes has a thread; those beyond the bound wait until one ends.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn more_runs_than_there_may_be_threads() {
    const RUNS: usize = 150;
    const THREADS: usize = 128;
    if !alone("runs::concurrency::more_runs_than_there_may_be_threads") {
        return;
    }
    let sandbox = sandbox();
    let cancel = CancelHandle::new();
    let ended = Arc::new(AtomicUsize::new(0));
    for _ in 0..RUNS {
        let mut options = within(Duration::from_mins(1));
        options.cancel = cancel.clone();
        let ended = Arc::clone(&ended);
        sandbox
            .spawn("while True: pass", options, move |_| {
                ended.fetch_add(1, Ordering::SeqCst);
            })
            .expect("starts");
    }
    until(|| workers() == THREADS).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(workers(), THREADS);
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    cancel.cancel();
    until(|| ended.load(Ordering::SeqCst) == RUNS).await;
    // They rest, and go.
    assert_eq!(succeeded(&sandbox).await, Some(2.into()));
    until(|| workers() < THREADS / 2).await;
}

#[cfg(target_os = "linux")]
async fn succeeded(sandbox: &eryx::Sandbox) -> Option<eryx::Value> {
    let result = sandbox.execute("1 + 1", ExecutionOptions::default()).await;
    result.expect("runs").value
}

#[test]
fn works_from_any_executor() {
    let sandbox = sandbox();
    let threads: Vec<_> = (0..8i64)
        .map(|index| {
            let sandbox = sandbox.clone();
            std::thread::spawn(move || {
                let executor = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .expect("an executor");
                for _ in 0..20 {
                    let outcome = executor.block_on(
                        sandbox.execute(format!("{index} + 1"), ExecutionOptions::default()),
                    );
                    assert_eq!(outcome.expect("runs").value, Some((index + 1).into()));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_piles_up() {
    use crate::support::process_kibibytes;
    if !alone("runs::concurrency::nothing_piles_up") {
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("Linux").count();
    let sandbox = sandbox();
    let codes = [
        "print('x' * 1000)",
        "raise ValueError",
        "import os; os._exit(1)",
        // Not its value: the allocator keeps some of what values of that size took.
        "_ = bytearray(16 << 20)",
        "import os; os.abort()",
    ];
    let mut held = (0, 0, 0);
    for round in 0..2000usize {
        let _ = sandbox
            .execute(codes[round % codes.len()], ExecutionOptions::default())
            .await;
        if round == 400 {
            held = (
                process_kibibytes("VmRSS"),
                descriptors(),
                process_kibibytes("Threads"),
            );
        }
    }
    // Guests whose memory is being given back hold it for a moment; on a crowded machine for a long one.
    let most = held.0 + (16 << 10);
    until(|| process_kibibytes("VmRSS") < most).await;
    assert_eq!(descriptors(), held.1);
    // Threads that helped out rest for a while.
    until(|| process_kibibytes("Threads") <= held.2).await;
}
