//! Counting instructions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eryx::{Error, ExecutionOptions, Limit, Sandbox, SandboxOptions, Session};

use crate::support::{runtime, said_alone, sandbox, sandbox_with, text, within};

fn metered(fuel: u64) -> Sandbox {
    sandbox_with(|limits| limits.max_fuel = Some(fuel))
}

const WORK: &str = "
import json, re
class A:
    def f(self, n): return sum(range(n))
text = json.dumps({str(i): [A().f(i)] for i in range(500)})
print(len(re.findall(r'\\d+', text)))";

#[tokio::test]
async fn the_same_code_takes_the_same_fuel() {
    let sandbox = metered(10_000_000_000);
    let mut taken = Vec::new();
    for _ in 0..4 {
        let result = sandbox
            .execute(WORK, ExecutionOptions::default())
            .await
            .expect("runs");
        taken.push(result.output.usage.fuel_consumed.expect("counted"));
        // Others in between leave no trace.
        let _ = sandbox
            .execute("import os\nos.abort()", ExecutionOptions::default())
            .await;
        let _ = sandbox
            .execute("bytearray(30 << 20)", ExecutionOptions::default())
            .await;
    }
    assert!(taken[0] > 1_000_000);
    assert_eq!(taken, [taken[0]; 4]);
    let other = metered(20_000_000_000);
    let result = other
        .execute(WORK, ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(result.output.usage.fuel_consumed, Some(taken[0]));
}

#[tokio::test]
async fn running_out() {
    let sandbox = metered(50_000_000);
    for code in [
        "print('before', flush=True)\nwhile True: pass",
        "print('before', flush=True)\nsum(range(10**12))",
        "print('before', flush=True)\ntry:\n    while True: pass\nexcept BaseException:\n    pass",
    ] {
        let failure = sandbox
            .execute(code, ExecutionOptions::default())
            .await
            .expect_err("too much");
        assert_eq!(failure.error, Error::ResourceLimit(Limit::Fuel));
        assert_eq!(
            failure.error.to_string(),
            "execution went over the limit max_fuel"
        );
        assert_eq!(text(&failure.output.stdout), "before\n");
        let next = sandbox
            .execute("print('clean')", ExecutionOptions::default())
            .await;
        assert_eq!(next.expect("runs").output.stdout, b"clean\n");
    }
}

#[tokio::test]
async fn a_budget_that_is_just_enough() {
    let needed = metered(10_000_000_000)
        .execute(WORK, ExecutionOptions::default())
        .await
        .expect("runs")
        .output
        .usage
        .fuel_consumed
        .expect("counted");
    assert!(
        metered(needed)
            .execute(WORK, ExecutionOptions::default())
            .await
            .is_ok()
    );
    let failure = metered(needed - needed / 100)
        .execute(WORK, ExecutionOptions::default())
        .await;
    assert_eq!(
        failure.expect_err("too few").error,
        Error::ResourceLimit(Limit::Fuel)
    );
    let failure = metered(0).execute("1", ExecutionOptions::default()).await;
    assert_eq!(
        failure.expect_err("none at all").error,
        Error::ResourceLimit(Limit::Fuel)
    );
}

#[tokio::test]
async fn without_a_limit_nothing_is_counted() {
    assert_eq!(
        crate::support::succeed("1")
            .await
            .output
            .usage
            .fuel_consumed,
        None
    );
}

#[tokio::test]
async fn all_fuel_there_is() {
    let result = metered(u64::MAX)
        .execute("1 + 1", ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(result.value, Some(2.into()));
    assert!(
        result
            .output
            .usage
            .fuel_consumed
            .is_some_and(|fuel| fuel > 0)
    );
}

#[tokio::test]
async fn other_limits_hold_too() {
    let sandbox = metered(u64::MAX);
    let limit = std::time::Duration::from_millis(400);
    let started = std::time::Instant::now();
    let outcome = sandbox
        .execute("while True: pass", crate::support::within(limit))
        .await;
    crate::support::assert_timed_out(outcome, started, limit);
    let outcome = sandbox
        .execute(
            "held = []\nwhile True: held.append(bytearray(1 << 20))",
            ExecutionOptions::default(),
        )
        .await;
    assert_eq!(
        crate::support::python_error(outcome).python_type,
        "MemoryError"
    );
}

#[tokio::test]
async fn nobody_waits_for_the_first_to_compile() {
    // Nothing can be kept below a file, so the code is compiled and not loaded.
    let no_cache = ["ERYX_CACHE_DIR=/dev/null/cache"];
    let test = "limits::fuel::nobody_waits_for_the_first_to_compile";
    if said_alone("env", &no_cache, test).is_some() {
        return;
    }
    let mut options = SandboxOptions::default();
    options.limits.max_fuel = Some(10_000_000_000);
    let sandbox_with_fuel = Sandbox::new(runtime(), options.clone()).expect("good options");
    let compiled = Arc::new(AtomicBool::new(false));
    // More of them than threads.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (sandbox, compiled) = (sandbox_with_fuel.clone(), Arc::clone(&compiled));
            tokio::spawn(async move {
                let outcome = sandbox
                    .execute("1 + 1", within(Duration::from_mins(5)))
                    .await;
                compiled.store(true, Ordering::SeqCst);
                outcome.expect("runs").value
            })
        })
        .collect();
    let limit = Duration::from_millis(50);
    let timed_out = Error::Timeout { limit, hard: false };
    let late = sandbox_with_fuel.execute("1", within(limit)).await;
    assert_eq!(late.expect_err("not compiled yet").error, timed_out);
    let session = Session::new(runtime(), options).expect("good options");
    let late = session.execute("1", within(limit)).await;
    assert_eq!(late.expect_err("not compiled yet").error, timed_out);
    let cancelled = within(Duration::from_mins(5));
    cancelled.cancel.cancel();
    let outcome = sandbox_with_fuel.execute("1", cancelled).await;
    let error = outcome.expect_err("cancelled").error;
    assert_eq!(error, Error::Cancelled { hard: false });
    // Others run meanwhile.
    let other = sandbox();
    for _ in 0..20 {
        let result = other.execute("1 + 1", ExecutionOptions::default()).await;
        assert_eq!(result.expect("runs").value, Some(2.into()));
    }
    assert!(!compiled.load(Ordering::SeqCst), "compiled before all that");
    for run in waiting {
        assert_eq!(run.await.expect("no panic"), Some(2.into()));
    }
    let next = session.execute("1", ExecutionOptions::default()).await;
    assert!(next.expect("compiled").output.usage.fuel_consumed.is_some());
}
