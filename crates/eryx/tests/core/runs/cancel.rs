//! Cancelling: before, during and after a run, by handle, by dropping the future, by closing the sandbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx::{CancelHandle, Error, ExecutionOptions};

use crate::support::{AtOutput, PROMPT, SLACK, alone, promptly, sandbox, text, within};

fn cancelled_by(handle: &CancelHandle) -> ExecutionOptions {
    let mut options = within(Duration::from_secs(30));
    options.cancel = handle.clone();
    options
}

/// Options of a run that is cancelled when it prints.
fn cancelled_at_output(handle: &CancelHandle) -> ExecutionOptions {
    let mut options = cancelled_by(handle);
    options.sink = Some(Arc::new(AtOutput(handle.clone())));
    options
}

#[tokio::test]
async fn during_a_run() {
    for (code, may_clean_up) in [
        ("while True: pass", true),
        ("time.sleep(60)", true),
        ("await asyncio.sleep(60)", true),
        ("asyncio.run(asyncio.sleep(60))", true),
        ("sum(range(10**12))", true),
    ] {
        let code = format!(
            "import asyncio, time\ntry:\n    print('started', flush=True)\n    {code}\nfinally:\n    print('cleaned up')"
        );
        let sandbox = sandbox();
        let outcome = promptly(PROMPT, async || {
            let handle = CancelHandle::new();
            sandbox.execute(&code, cancelled_at_output(&handle)).await
        });
        let failure = outcome.await.expect_err("it was cancelled");
        let Error::Cancelled { hard } = failure.error else {
            panic!("{code}: {:?}", failure.error);
        };
        if may_clean_up && !hard {
            assert_eq!(
                text(&failure.output.stdout),
                "started\ncleaned up\n",
                "{code}"
            );
        }
    }
}

#[tokio::test]
async fn code_that_ignores_it_is_cut_off() {
    let handle = CancelHandle::new();
    let code = "
print('started', flush=True)
while True:
    try:
        while True: pass
    except BaseException: pass";
    let failure = sandbox()
        .execute(code, cancelled_at_output(&handle))
        .await
        .expect_err("it was cancelled");
    assert_eq!(failure.error, Error::Cancelled { hard: true });
}

#[tokio::test]
async fn before_a_run() {
    let handle = CancelHandle::new();
    handle.cancel();
    for code in [
        "print('ran')",
        "import time\ntime.sleep(60)",
        "while True: pass",
    ] {
        let started = Instant::now();
        let failure = sandbox()
            .execute(code, cancelled_by(&handle))
            .await
            .expect_err("it was cancelled");
        assert!(
            matches!(failure.error, Error::Cancelled { .. }),
            "{code}: {:?}",
            failure.error
        );
        assert!(started.elapsed() < SLACK);
        assert!(failure.output.stdout.is_empty(), "{code}");
    }
}

#[tokio::test]
async fn after_a_run() {
    let handle = CancelHandle::new();
    let sandbox = sandbox();
    let first = sandbox.execute("1", cancelled_by(&handle)).await;
    assert_eq!(first.expect("runs").value, Some(1.into()));
    handle.cancel();
    handle.cancel();
    let second = sandbox.execute("2", ExecutionOptions::default()).await;
    assert_eq!(second.expect("runs").value, Some(2.into()));
}

#[tokio::test]
async fn one_handle_for_several_runs() {
    let handle = CancelHandle::new();
    let sandbox = sandbox();
    let sleep = "import time\ntime.sleep(1e6)";
    let last = "import time\nprint('started', flush=True)\ntime.sleep(1e6)";
    let outcomes = tokio::join!(
        sandbox.execute(sleep, cancelled_by(&handle)),
        sandbox.execute(sleep, cancelled_by(&handle)),
        sandbox.execute(last, cancelled_at_output(&handle)),
    );
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        let error = outcome.expect_err("it was cancelled").error;
        assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn dropping_the_future_cancels() {
    let sandbox = sandbox();
    let (ended, on_end) = tokio::sync::oneshot::channel();
    let handle = CancelHandle::new();
    {
        let run = sandbox.execute("while True: pass", cancelled_by(&handle));
        tokio::pin!(run);
        tokio::select! {
            _ = &mut run => panic!("it never ends"),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        assert!(!handle.is_cancelled());
    }
    assert!(handle.is_cancelled());
    // One that is started directly tells when it has ended.
    let handle = CancelHandle::new();
    sandbox
        .spawn("while True: pass", cancelled_by(&handle), move |outcome| {
            drop(ended.send(outcome));
        })
        .expect("starts");
    handle.cancel();
    let outcome = tokio::time::timeout(SLACK, on_end).await.expect("soon");
    let error = outcome.expect("called").expect_err("cancelled").error;
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
}

/// Processor time that this process has used, in hundredths of a second.
#[cfg(target_os = "linux")]
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropped_runs_stop_computing() {
    if !alone("runs::cancel::dropped_runs_stop_computing") {
        return;
    }
    let sandbox = sandbox();
    for _ in 0..4 {
        let run = sandbox.execute("while True: pass", ExecutionOptions::default());
        let ended = tokio::time::timeout(Duration::from_millis(200), run).await;
        assert!(ended.is_err());
    }
    for _ in 0..60 {
        let (before, started) = (processor_ticks(), Instant::now());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let used = Duration::from_millis((processor_ticks() - before) * 10);
        // Runs that still compute get more than that even beside many other processes.
        if used * 20 < started.elapsed() {
            return;
        }
    }
    panic!("something computes");
}

#[tokio::test]
async fn closing_cancels_and_refuses() {
    let sandbox = sandbox();
    let runs: Vec<_> = [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import asyncio\nawait asyncio.sleep(60)",
    ]
    .into_iter()
    .map(|code| {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { sandbox.execute(code, ExecutionOptions::default()).await })
    })
    .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    sandbox.close();
    for run in runs {
        let error = run.await.expect("no panic").expect_err("closed").error;
        assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    }
    for _ in 0..2 {
        let error = sandbox
            .clone()
            .execute("1", ExecutionOptions::default())
            .await
            .expect_err("closed")
            .error;
        assert_eq!(error, Error::Closed);
        sandbox.close();
    }
    // Others of the same runtime go on.
    let other = crate::support::sandbox();
    assert!(
        other
            .execute("1", ExecutionOptions::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_sandbox_may_be_dropped_while_it_runs() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sandbox = sandbox();
    sandbox
        .spawn(
            "import time\ntime.sleep(0.3)\n'slept'",
            ExecutionOptions::default(),
            move |outcome| {
                drop(sender.send(outcome));
            },
        )
        .expect("starts");
    drop(sandbox);
    let outcome = receiver.await.expect("called");
    assert_eq!(outcome.expect("runs").value, Some("slept".into()));
}
