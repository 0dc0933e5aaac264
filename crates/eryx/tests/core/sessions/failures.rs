//! Sessions after executions that failed: they work at once, and what cut-off runs did to the interpreter is gone.

use std::time::Duration;

use eryx::{Error, ExecutionOptions, Limit, Runtime, Session, Value};

use crate::support::layout::Layout;
use crate::support::sessions::{
    FOREVER, LARGE, STUBBORN, TRAP, execute, failure, failure_with, limited, session, session_of,
    started, suspended, suspending_session, value, with_each_strategy,
};
use crate::support::{list, runtime, said_alone, text, within};

const SHORT: Duration = Duration::from_millis(100);

type Check = fn(&Error) -> bool;

/// One way to fail.
struct Failing {
    name: &'static str,
    code: String,
    timeout: Option<Duration>,
    expected: Check,
}

/// Whether nothing is left of what a run did to the interpreter that ended so. On a machine that is busy with other things,
/// Python may not have the time to end in an orderly way.
fn is_cut_off(error: &Error) -> bool {
    match error {
        Error::Timeout { hard, .. } | Error::Cancelled { hard } => *hard,
        Error::Python(python) => python.interpreter_lost,
        _ => true,
    }
}

fn failing() -> Vec<Failing> {
    let hard = |error: &Error| matches!(error, Error::Timeout { hard: true, .. });
    let timeout = |error: &Error| matches!(error, Error::Timeout { .. });
    let exit = |error: &Error| matches!(error, Error::Python(python) if python.interpreter_lost && python.exit_code == Some(3));
    let trap = |error: &Error| matches!(error, Error::Python(python) if python.interpreter_lost && python.exit_code.is_none());
    let python = |error: &Error| matches!(error, Error::Python(python) if !python.interpreter_lost);
    let table: [(&str, &str, bool, Check); 11] = [
        ("a timeout", FOREVER, true, timeout),
        (
            "a timeout in a wait",
            "import time\ntime.sleep(60)",
            true,
            timeout,
        ),
        (
            "a timeout in an await",
            "import asyncio\nawait asyncio.sleep(60)",
            true,
            timeout,
        ),
        ("a hard timeout", STUBBORN, true, hard),
        (
            "a hard timeout in an await",
            "import asyncio\nwhile True:\n    try: await asyncio.sleep(60)\n    except BaseException: pass",
            true,
            hard,
        ),
        (
            "memory",
            "held = []\nwhile True: held.append(bytearray(1 << 22))",
            false,
            python,
        ),
        ("os._exit", "import os\nos._exit(3)", false, exit),
        ("a trap", TRAP, false, trap),
        (
            "a trap in a task",
            "import asyncio, os\nasync def f(): os.abort()\nawait asyncio.gather(f(), asyncio.sleep(9))",
            false,
            trap,
        ),
        (
            "a trap after much was written",
            "big = list(range(1_000_000))\nimport os\nos.abort()",
            false,
            trap,
        ),
        (
            "a trap in grown memory",
            "big = bytearray(b'x') * (60 << 20)\nimport os\nos.abort()",
            false,
            trap,
        ),
    ];
    let failing = table
        .into_iter()
        .map(|(name, code, short, expected)| Failing {
            name,
            code: format!("print('so far', flush=True)\nx.append(2)\n{code}"),
            timeout: short.then_some(SHORT),
            expected,
        });
    failing.collect()
}

/// Whether nothing is left of what it did to the interpreter. `None`: its deadline came before it had begun.
async fn fail(session: &Session, failing: &Failing, timeout: Option<Duration>) -> Option<bool> {
    let options = timeout.map_or_else(ExecutionOptions::default, within);
    let failure = failure_with(session, &failing.code, options).await;
    let (error, printed) = (&failure.error, text(&failure.output.stdout));
    assert!(!failure.state_lost, "{}", failing.name);
    if timeout.is_some() && printed.is_empty() {
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        return None;
    }
    assert!((failing.expected)(error), "{}: {error:?}", failing.name);
    assert_eq!(printed, "so far\n", "{}", failing.name);
    Some(is_cut_off(error))
}

/// Every byte of the interpreter's memory, apart from what every interpreter has in common.
async fn memory(session: &Session) -> Layout {
    let snapshot = session.snapshot().await.expect("a snapshot");
    Layout::parse(&snapshot).memory()
}

async fn assert_memory_is(session: &Session, before: &Layout, what: &str) {
    let now = memory(session).await;
    // Not shown: it is long.
    assert!(now == *before, "{what}: the memory is not as before");
}

async fn check_each(runtime: &Runtime, first: &str) {
    for failing in failing() {
        let session = limited(runtime, |limits| limits.max_memory_bytes = Some(112 << 20));
        execute(&session, first).await;
        execute(&session, "x = [1]\nimport json").await;
        let mut early = 0;
        for _ in 0..3 {
            let mut before = memory(&session).await;
            let mut timeout = failing.timeout;
            let cut_off = loop {
                if let Some(cut_off) = fail(&session, &failing, timeout).await {
                    break cut_off;
                }
                early += 1;
                timeout = timeout.map(|timeout| timeout * 2);
                before = memory(&session).await;
            };
            if cut_off {
                assert_memory_is(&session, &before, failing.name).await;
            }
            let reached = if cut_off { "[1]" } else { "[1, 2]" };
            let code = "json.dumps(json.loads(json.dumps(x)))";
            assert_eq!(
                value(&session, code).await,
                reached.into(),
                "{}",
                failing.name
            );
            execute(&session, "x = [1]\nheld = None").await;
        }
        assert_eq!(session.execution_count(), 11 + early);
    }
}

#[tokio::test]
async fn it_works_at_once() {
    with_each_strategy(async |runtime| check_each(runtime, "1").await).await;
}

#[tokio::test]
async fn with_a_large_state_it_works_at_once() {
    with_each_strategy(async |runtime| check_each(runtime, LARGE).await).await;
}

#[tokio::test]
async fn a_first_execution_that_is_cut_off_leaves_a_fresh_interpreter() {
    with_each_strategy(async |runtime| {
        for code in [TRAP, "import os\nos._exit(3)"] {
            let session = session_of(runtime, |options| {
                options.libraries = vec!["loaded = globals().get('loaded', 0) + 1".into()];
                options.env = vec![("A".into(), "1".into())];
            });
            let failure = failure(&session, &format!("x = 1\n{code}")).await;
            assert!(!failure.state_lost);
            let code = "import os\n['x' in globals(), loaded, os.environ['A']]";
            let expected = list([false.into(), 1.into(), "1".into()]);
            assert_eq!(value(&session, code).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn fuel_that_runs_out_cuts_off() {
    with_each_strategy(async |runtime| {
        let session = limited(runtime, |limits| limits.max_fuel = Some(300_000_000));
        execute(&session, "x = [1]").await;
        for _ in 0..3 {
            let before = memory(&session).await;
            let code = format!("print('so far', flush=True)\nx.append(2)\n{FOREVER}");
            let failure = failure(&session, &code).await;
            assert_eq!(failure.error, Error::ResourceLimit(Limit::Fuel));
            assert!(!failure.state_lost);
            assert_eq!(text(&failure.output.stdout), "so far\n");
            assert_memory_is(&session, &before, "fuel").await;
            assert_eq!(value(&session, "x").await, list([1.into()]));
        }
    })
    .await;
}

#[tokio::test]
async fn cancelling_keeps_what_was_reached_unless_it_has_to_cut_off() {
    with_each_strategy(async |runtime| {
        for code in [FOREVER, STUBBORN] {
            let session = started(runtime, "x = 1").await;
            let options = ExecutionOptions::default();
            let cancel = options.cancel.clone();
            let code = format!("x = 2\nopen('/data/started', 'w').close()\n{code}");
            let (failure, ()) = tokio::join!(failure_with(&session, &code, options), async {
                while !session.storage().exists("started") {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                // Until it is in the loop.
                tokio::time::sleep(SHORT).await;
                cancel.cancel();
            });
            let error = &failure.error;
            assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
            assert!(!failure.state_lost);
            let expected = if is_cut_off(error) { 1 } else { 2 };
            assert_eq!(value(&session, "x").await, expected.into());
        }
    })
    .await;
}

#[tokio::test]
async fn finally_blocks_run_before_a_soft_end_and_their_effects_stay() {
    with_each_strategy(async |runtime| {
        let session = started(runtime, "x = y = 1").await;
        let code = format!("try:\n    x = 2\n    {FOREVER}\nfinally: y = 3");
        let failure = failure_with(&session, &code, within(SHORT)).await;
        let error = &failure.error;
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        let reached = if is_cut_off(error) { [1, 1] } else { [2, 3] };
        let expected = list(reached.map(Into::into));
        assert_eq!(value(&session, "[x, y]").await, expected);
    })
    .await;
}

#[tokio::test]
async fn many_cut_offs_between_executions_that_succeed() {
    with_each_strategy(async |runtime| {
        let session = started(runtime, "big = list(range(300_000))\nn = 0").await;
        for round in 1..=12 {
            execute(
                &session,
                &format!("n += 1\nbig[n] = -n\nextra = bytearray({round} << 18)"),
            )
            .await;
            failure(
                &session,
                "big.clear()\nn = extra = None\nimport os\nos._exit(1)",
            )
            .await;
        }
        let code = "[n, len(big), big[12], big[13], len(extra)]";
        let expected = list([
            12.into(),
            300_000.into(),
            (-12).into(),
            13.into(),
            (12 << 18).into(),
        ]);
        assert_eq!(value(&session, code).await, expected);
    })
    .await;
}

#[tokio::test]
async fn files_keep_what_was_written_and_open_ones_their_places() {
    with_each_strategy(async |runtime| {
        let code = "f = open('/data/f', 'wb+', buffering=0)\nn = f.write(b'0123456789')\nn = f.seek(2)";
        let session = started(runtime, code).await;
        let code = "f.seek(8)\nf.write(b'AB')\ng = open('/data/g', 'w')\nf.close()\nimport os\nos.unlink('/data/f')\nos._exit(1)";
        failure(&session, code).await;
        let code = "import os\n[f.tell(), f.read().decode(), os.listdir('/data')]";
        let expected = list([2.into(), "234567AB".into(), list(["g".into()])]);
        assert_eq!(value(&session, code).await, expected);
        // The descriptor of the file that was opened in vain is free again.
        assert_eq!(value(&session, "h = open('/data/g')\nh.fileno() - f.fileno()").await, 1.into());
    })
    .await;
}

#[tokio::test]
async fn a_suspended_run_leaves_the_state_before_it() {
    with_each_strategy(async |runtime| {
        let session = suspending_session(runtime);
        execute(&session, "x = [1]").await;
        for _ in 0..3 {
            let before = memory(&session).await;
            let code = "x.append(2)\nbig = bytearray(b'x') * (5 << 20)\nawait stop()";
            suspended(session.execute(code, ExecutionOptions::default()).await);
            assert_memory_is(&session, &before, "a suspension").await;
            assert_eq!(value(&session, "x").await, list([1.into()]));
        }
        assert_eq!(session.execution_count(), 7);
    })
    .await;
}

#[tokio::test]
async fn clear_state_that_is_cut_off_leaves_the_state_before_it() {
    with_each_strategy(async |runtime| {
        let stubborn = STUBBORN.replace('\n', "\n    ");
        let code = format!(
            "import _eryx_driver\nx = 1\ndef hold(_):\n    global x\n    x = 2\n    {stubborn}\n_eryx_driver._ORDERS['clear'] = hold"
        );
        let session = started(runtime, &code).await;
        session.set_execution_timeout(Some(SHORT));
        let error = session.clear_state().await.expect_err("held up");
        assert!(matches!(error, Error::Timeout { hard: true, .. }), "{error:?}");
        session.set_execution_timeout(None);
        assert_eq!(value(&session, "x").await, 1.into());
    })
    .await;
}

/// Pages that were written, and are as in the image again.
#[tokio::test]
async fn pages_that_are_as_in_the_image_again() {
    with_each_strategy(async |runtime| {
        let session = started(runtime, "x = [1]").await;
        for round in 0..6 {
            execute(&session, &format!("y = [0] * {round} * 1000\ndel y")).await;
            let before = memory(&session).await;
            failure(&session, TRAP).await;
            assert_memory_is(&session, &before, "a trap").await;
        }
        execute(&session, "import json\njson.dumps(x)").await;
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_state_is_kept_without_a_file_too() {
    let few = ["-c", "ulimit -n 64 && exec \"$0\" \"$@\""];
    let test = "sessions::failures::a_large_state_is_kept_without_a_file_too";
    if said_alone("sh", &few, test).is_some() {
        return;
    }
    let session = started(runtime(), "x = 1").await;
    execute(&session, LARGE).await;
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    let look = "[x, len(big)]";
    let expected = list([1.into(), 500_001.into()]);
    execute(&session, "big = list(range(500_001))").await;
    let fork = session.fork(1).await.expect("a fork").pop().expect("one");
    assert_eq!(value(&fork, look).await, expected);
    for session in [&session, &fork] {
        assert!(
            !failure(session, &format!("big.clear()\n{TRAP}"))
                .await
                .state_lost
        );
        assert_eq!(value(session, look).await, expected);
    }
    drop(taken);
    execute(&session, &format!("x = 2\n{LARGE}")).await;
    assert!(!failure(&session, TRAP).await.state_lost);
    assert_eq!(
        value(&session, look).await,
        list([2.into(), 500_000.into()])
    );
}

/// A deadline that comes as a run ends is for that run alone.
#[tokio::test]
async fn what_was_asked_of_one_execution_is_not_asked_of_the_next() {
    let session = session(runtime());
    execute(&session, "done = 0").await;
    let (mut late, mut done) = (0, 0);
    for round in 0..400 {
        let mut options = ExecutionOptions::default();
        options.timeout = Some(Some(Duration::from_micros(900 + 10 * (round % 40))));
        let code = format!("for _ in range({}): pass\ndone += 1", 500 * (round % 67));
        match session.execute(code, options).await {
            Ok(_) => done += 1,
            Err(failure) => {
                assert!(
                    matches!(failure.error, Error::Timeout { .. }),
                    "{failure:?}"
                );
                assert!(!failure.state_lost);
                late += 1;
            }
        }
        let counted = value(&session, "done").await;
        assert!(
            matches!(counted, Value::Int(count) if count >= done),
            "{counted:?}"
        );
    }
    assert!(late > 0 && done > 0, "{late} late, {done} done");
}
