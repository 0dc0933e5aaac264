//! What the tests of sessions share.

use std::sync::OnceLock;

use eryx::internals::RestoreStrategy;
use eryx::{
    CallbackFailure, CallbackFunctions, Error, ExecutionError, ExecutionOptions, Outcome,
    ResourceLimits, Runtime, SandboxOptions, Session, Suspension, Value,
};
use eryx_test::runtime_directory;

use crate::support::callbacks::{options_with, raised, succeeded};
use crate::support::{PATIENCE, compile_for, strategies};

/// Ends by the deadline, in an orderly way.
pub(crate) const FOREVER: &str = "while True: pass";
/// Has to be cut off.
pub(crate) const STUBBORN: &str =
    "while True:\n    try:\n        while True: pass\n    except BaseException: pass";
/// Ends the interpreter.
pub(crate) const TRAP: &str = "import os\nos.abort()";

/// Runs a test once for each way of finding what a guest wrote.
pub(crate) async fn with_each_strategy(test: impl AsyncFn(&'static Runtime)) {
    for (strategy, runtime) in runtimes() {
        // Shown if the test fails.
        eprintln!("{strategy:?}");
        test(runtime).await;
    }
}

/// The runtime, once for each strategy that this machine offers.
pub(crate) fn runtimes() -> &'static [(RestoreStrategy, Runtime)] {
    static RUNTIMES: OnceLock<Vec<(RestoreStrategy, Runtime)>> = OnceLock::new();
    RUNTIMES.get_or_init(|| {
        let load = |strategy| {
            let runtime = Runtime::load_with(&runtime_directory(), strategy);
            (strategy, runtime.expect("the runtime loads"))
        };
        strategies().into_iter().map(load).collect()
    })
}

/// A session with defaults.
pub(crate) fn session(runtime: &Runtime) -> Session {
    session_of(runtime, |_| {})
}

/// A session with options of its own.
pub(crate) fn session_of(runtime: &Runtime, change: impl FnOnce(&mut SandboxOptions)) -> Session {
    let mut options = SandboxOptions::default();
    options.limits.execution_timeout = Some(PATIENCE);
    change(&mut options);
    compile_for(&options);
    Session::new(runtime, options).expect("the options are good")
}

/// A session with some limits changed.
pub(crate) fn limited(runtime: &Runtime, change: impl FnOnce(&mut ResourceLimits)) -> Session {
    session_of(runtime, |options| change(&mut options.limits))
}

/// A session in which `code` ran.
pub(crate) async fn started(runtime: &Runtime, code: &str) -> Session {
    let session = session(runtime);
    execute(&session, code).await;
    session
}

/// Runs code that must succeed.
pub(crate) async fn execute(session: &Session, code: &str) -> eryx::ExecutionResult {
    succeeded(session.execute(code, ExecutionOptions::default()).await)
}

/// The value of code that must succeed; `None` is `Null`.
pub(crate) async fn value(session: &Session, code: &str) -> Value {
    let result = execute(session, code).await;
    match result.value {
        Some(value) => value,
        None => assert_none(result.value_repr.as_deref()),
    }
}

/// A value that could not cross is a mistake of the test.
fn assert_none(repr: Option<&str>) -> Value {
    assert_eq!(repr, None, "the value does not cross");
    Value::Null
}

/// What each of the sessions answers to the same code.
pub(crate) async fn values(sessions: impl IntoIterator<Item = &Session>, code: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for session in sessions {
        values.push(value(session, code).await);
    }
    values
}

/// How code ends that must fail.
pub(crate) async fn failure(session: &Session, code: &str) -> ExecutionError {
    failure_with(session, code, ExecutionOptions::default()).await
}

/// The same with options.
pub(crate) async fn failure_with(
    session: &Session,
    code: &str,
    options: ExecutionOptions,
) -> ExecutionError {
    session
        .execute(code, options)
        .await
        .expect_err("it does not end well")
}

/// Makes the state one that takes more pages than are kept as copies.
pub(crate) const LARGE: &str = "big = list(range(500_000))";

/// `stop(*args)` suspends the run, `echo(x)` returns it, `fail()` fails.
pub(crate) fn suspending() -> CallbackFunctions {
    CallbackFunctions::new()
        .with("stop", |_| async {
            Err(CallbackFailure::Suspend("stop".into()))
        })
        .with("echo", |arguments| async {
            Ok(crate::support::callbacks::first(arguments))
        })
        .with("fail", |_| async { Err(raised("Error", "failed")) })
}

/// A session with [`suspending`] callbacks.
pub(crate) fn suspending_session(runtime: &Runtime) -> Session {
    Session::new(runtime, options_with(suspending())).expect("the options are good")
}

/// The error of a run that a callback must have suspended.
pub(crate) fn suspended(outcome: Outcome) -> Suspension {
    let failure = outcome.expect_err("it is suspended");
    assert!(!failure.state_lost);
    match failure.error {
        Error::Suspended(suspension) => *suspension,
        other => panic!("not suspended: {other:?}"),
    }
}

/// Why bytes are refused, without what all refusals begin with.
pub(crate) fn refusal(error: Error) -> String {
    match error {
        Error::Snapshot(message) => message
            .strip_prefix("the snapshot cannot be restored: ")
            .unwrap_or_else(|| panic!("another message: {message}"))
            .to_owned(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Draws from everything that must not repeat. `DRAW` imports, `draw()` draws.
pub(crate) const DRAW: &str = "
import os, random, secrets, string, tempfile, uuid
def draw():
    return [random.random(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(8), os.urandom(8).hex(),
            tempfile.mktemp(), random.SystemRandom().random(), random.Random().random(), random.gauss(0, 1)]
first = draw()";

/// Checks that nothing was drawn twice.
pub(crate) fn assert_all_differ(drawn: &[Value]) {
    let rows = drawn.iter().map(|row| match row {
        Value::List(items) => items,
        other => panic!("not a list: {other:?}"),
    });
    let rows: Vec<_> = rows.collect();
    for (index, row) in rows.iter().enumerate() {
        for other in &rows[..index] {
            for (column, (left, right)) in row.iter().zip(*other).enumerate() {
                assert_ne!(left, right, "column {column}");
            }
        }
    }
}
