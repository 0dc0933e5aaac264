//! What a run is warned of, and what it took: on its result and on its error.

use std::time::Duration;

use eryx::{Warning, WarningKind};

use crate::support::callbacks::{sandbox_of, tools};
use crate::support::{run, sandbox_with, succeed, within};

const HINT: &str = "await it, or declare the callback with sync: true";

/// The warnings of code, however it ends: kind, message and callback.
async fn warnings(code: &str) -> Vec<(WarningKind, String, Option<String>)> {
    let outcome = sandbox_of(tools())
        .execute(code, within(Duration::from_secs(20)))
        .await;
    let output = match outcome {
        Ok(result) => result.output,
        Err(failure) => *failure.output,
    };
    let told = |warning: Warning| (warning.kind, warning.message, warning.callback);
    output.warnings.into_iter().map(told).collect()
}

fn missing(name: &str) -> (WarningKind, String, Option<String>) {
    let message = format!("coroutine '{name}' was never awaited: {HINT}");
    (WarningKind::NeverAwaited, message, Some(name.into()))
}

#[tokio::test]
async fn a_callback_that_is_never_awaited_is_one() {
    for code in [
        "echo(1)\npass",
        "x = echo(1)",
        "x = [echo(n) for n in range(1000)]",
        "x = echo(1)\nx + 1",
        "def f():\n    x = echo(1)\nf()",
        "import sys\nx = echo(1)\nsys.exit(2)",
    ] {
        assert_eq!(warnings(code).await, [missing("echo")], "{code}");
    }
    for code in [
        "await echo(1)",
        "x = echo(1)\nawait x",
        "echo(1).close()",
        "1",
    ] {
        assert!(warnings(code).await.is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_cross_is_one() {
    let result = succeed("result = object\nprint").await;
    assert_eq!(
        result.value_error.as_deref(),
        Some("value: builtin_function_or_method is not transferable")
    );
    assert_eq!(
        result.result_error.as_deref(),
        Some("result: type is not transferable")
    );
    let messages: Vec<_> = result
        .output
        .warnings
        .iter()
        .map(|it| &*it.message)
        .collect();
    assert_eq!(
        messages,
        [
            "result: type is not transferable",
            "value: builtin_function_or_method is not transferable"
        ]
    );
}

/// The list comes from the guest: its number and its texts are bounded whatever the guest says.
#[tokio::test]
async fn forged_ones_are_bounded() {
    for (list, kept) in [
        ("[['a', None]] * 100_000", 98),
        ("[['x' * 10_001, None]]", 0),
        ("[['x', 'y' * 10_000]]", 0),
        ("[['x' * 9_000, 'y' * 1_000]]", 1),
        ("[5, [], ['a'], [5, None], ['a', 5], None]", 1),
        ("{'a': 1}", 0),
        ("5", 0),
    ] {
        let code = format!(
            "import _eryx, _eryx_driver as d\nd._finish = lambda error: (_eryx.deliver(2, {{'never_awaited': {list}}}, 'x'), d.DONE)[1]"
        );
        assert_eq!(warnings(&code).await.len(), kept, "{list}");
    }
}

#[tokio::test]
async fn errors_tell_what_a_run_took() {
    let failure = run("x = bytearray(60 << 20)\n1/0")
        .await
        .expect_err("fails");
    assert!(failure.output.usage.peak_memory_bytes > 60 << 20);
    assert!(failure.output.usage.duration > Duration::ZERO);
    let sandbox = sandbox_with(|limits| limits.max_fuel = Some(50_000_000));
    let outcome = sandbox
        .execute("while True: pass", eryx::ExecutionOptions::default())
        .await;
    let usage = outcome.expect_err("fails").output.usage;
    assert_eq!(usage.fuel_consumed, Some(50_000_000));
}
