//! Counting instructions.

use eryx::{Error, ExecutionOptions, Limit, Sandbox};

use crate::support::{sandbox_with, text};

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
            "execution went over the limit maxFuel"
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
