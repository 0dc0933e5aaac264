//! What stays from one execution to the next, the order of requests, and what ends an execution.

use std::sync::Arc;
use std::time::Duration;

use eryx::{CancelHandle, Error, ExecutionOptions, Runtime, Session, Storage, Value};

use crate::support::callbacks::{options_with, tools};
use crate::support::sessions::{
    FOREVER, execute, failure, failure_with, limited, session, session_of, started, value,
    with_each_strategy,
};
use crate::support::{list, runtime, text, within};

#[tokio::test]
async fn executions_run_in_the_order_of_the_calls() {
    with_each_strategy(async |runtime| {
        let session = session(runtime);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for index in 0..200 {
            let code = match index {
                0 => "import time\ntime.sleep(0.05)\nseen = [0]".to_owned(),
                _ => format!("seen.append({index})\nlen(seen)"),
            };
            let sender = sender.clone();
            session
                .spawn(code, ExecutionOptions::default(), move |outcome| {
                    sender.send((index, outcome)).expect("the test waits");
                })
                .expect("open");
        }
        for expected in 0..200 {
            let (index, outcome) = receiver.recv().await.expect("each ends");
            assert_eq!(index, expected);
            let length = outcome.expect("runs").value;
            assert_eq!(length, (index > 0).then_some((index + 1).into()));
        }
        assert_eq!(session.execution_count(), 200);
    })
    .await;
}

#[tokio::test]
async fn what_code_leaves_is_there_for_the_next() {
    let cases: [(&str, &[&str], Value); 12] = [
        (
            "variables",
            &["x = [1]", "x.append(2)", "x"],
            list([1.into(), 2.into()]),
        ),
        (
            "deletions",
            &["x = 1", "del x", "'x' in globals()"],
            false.into(),
        ),
        (
            "functions",
            &["def f(n): return n * k", "k = 3", "f(2)"],
            6.into(),
        ),
        (
            "classes",
            &["class A:\n    n = 1", "a = A()\na.n = 4", "[A().n, a.n]"],
            list([1.into(), 4.into()]),
        ),
        (
            "patched modules",
            &["import math\nmath.mine = 5", "import math\nmath.mine"],
            5.into(),
        ),
        (
            "half-run generators",
            &["g = (n * n for n in range(9))\nnext(g), next(g)", "next(g)"],
            4.into(),
        ),
        (
            "asyncio objects",
            &[
                "import asyncio\nqueue = asyncio.Queue()\nawait queue.put('a')",
                "await queue.put('b')",
                "[await queue.get(), await queue.get(), queue.empty()]",
            ],
            list(["a".into(), "b".into(), true.into()]),
        ),
        (
            "open files",
            &[
                "f = open('/tmp/a', 'w+')\nn = f.write('abc')",
                "f.seek(1)\nf.read()",
            ],
            "bc".into(),
        ),
        (
            "files in the working directory",
            &["n = open('a', 'w').write('abc')", "open('/data/a').read()"],
            "abc".into(),
        ),
        (
            "the directory and the environment",
            &[
                "import os\nos.mkdir('/tmp/d')\nos.chdir('/tmp/d')\nos.environ['A'] = '1'",
                "[os.getcwd(), os.environ['A']]",
            ],
            list(["/tmp/d".into(), "1".into()]),
        ),
        (
            "exceptions that were caught",
            &[
                "try: 1/0\nexcept ZeroDivisionError as e: kept = e",
                "str(kept)",
            ],
            "division by zero".into(),
        ),
        (
            "much of it",
            &[
                "big = list(range(500_000))",
                "big[7] = -1",
                "[len(big), big[7], sum(big)]",
            ],
            list([500_000.into(), (-1).into(), 124_999_749_992_i64.into()]),
        ),
    ];
    with_each_strategy(async |runtime| {
        for (what, steps, expected) in &cases {
            let session = session(runtime);
            let (last, before) = steps.split_last().expect("some");
            for code in before {
                execute(&session, code).await;
            }
            assert_eq!(value(&session, last).await, *expected, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_exception_keeps_what_was_reached() {
    with_each_strategy(async |runtime| {
        for (code, message) in [
            ("x += 1\nraise ValueError('oops')", "ValueError: oops"),
            (
                "x += 1\nimport asyncio\nasync def f(): 1/0\nawait asyncio.create_task(f())",
                "ZeroDivisionError: division by zero",
            ),
            ("x += 1\nimport sys\nsys.exit(3)", "SystemExit: 3"),
            ("x += 1\nx = x / 1\nx = int(x)\n'a' * 2**30", "MemoryError"),
            (
                "x += 1\ndef f(): return f()\nf()",
                "RecursionError: maximum recursion depth exceeded",
            ),
        ] {
            let session = started(runtime, "x = 1").await;
            let failure = failure(&session, code).await;
            assert_eq!(failure.error.to_string(), message);
            assert!(!failure.state_lost);
            assert_eq!(value(&session, "x").await, 2.into(), "{code}");
        }
        let session = started(runtime, "x = 1").await;
        let failure = failure(&session, "x = 2\nx = =").await;
        assert!(failure.error.to_string().starts_with("SyntaxError"));
        assert_eq!(value(&session, "x").await, 1.into());
    })
    .await;
}

#[tokio::test]
async fn each_execution_has_its_own_options_and_output() {
    let session = session_of(runtime(), |options| {
        options.result_variable = Some("out".into());
        options.limits.max_output_bytes = Some(10);
    });
    let mut options = ExecutionOptions::default();
    options.inputs = vec![("n".into(), 5.into())];
    options.stdin = b"first\nsecond\n".to_vec();
    let code = "import sys\nout = [n, sys.stdin.readline()]\nprint('a' * 50)\nn += 1";
    let first = session.execute(code, options).await.expect("runs");
    assert_eq!(first.result, Some(list([5.into(), "first\n".into()])));
    assert_eq!(text(&first.output.stdout), "a".repeat(10));
    let code = "print('b')\n['out' in globals(), n, sys.stdin.read()]";
    let second = execute(&session, code).await;
    assert_eq!(text(&second.output.stdout), "b\n");
    assert_eq!((second.result, second.output.truncated), (None, false));
    let expected = list([true.into(), 6.into(), "".into()]);
    assert_eq!(second.value, Some(expected));
}

#[tokio::test]
async fn environment_callbacks_and_libraries_are_set_up_once() {
    with_each_strategy(async |runtime| {
        let mut options = options_with(tools());
        options.env = vec![("A".into(), "1".into())];
        options.libraries = vec!["loaded = globals().get('loaded', 0) + 1".into()];
        let session = Session::new(runtime, options).expect("good options");
        // The first execution does not get as far as the set-up.
        failure(&session, "a b").await;
        failure(&session, "import os\nos._exit(1)").await;
        execute(&session, "import os\nos.environ['A'] += '2'\nkept = echo").await;
        let code = "[loaded, os.environ['A'], await echo(3), await kept(4)]";
        let expected = list([1.into(), "12".into(), 3.into(), 4.into()]);
        assert_eq!(value(&session, code).await, expected);
    })
    .await;
}

#[tokio::test]
async fn every_request_keeps_its_place() {
    with_each_strategy(async |runtime| {
        let other = started(runtime, "x = 'other'").await;
        let snapshot = other.snapshot().await.expect("a snapshot");
        let session = session(runtime);
        let look = "globals().get('x', 'none')";
        let run = |code: &'static str| {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            session
                .spawn(code, ExecutionOptions::default(), |outcome| {
                    drop(sender.send(outcome));
                })
                .expect("open");
            async { receiver.await.expect("ends").expect("runs").value }
        };
        // Queued when they are called, not when they are awaited.
        let _first = run("import time\ntime.sleep(0.05)\nx = 1");
        let (fork, before) = (session.fork(1), run(look));
        let (cleared, after) = (session.clear_state(), run(look));
        let _second = run("x = 2");
        let (taken, restored) = (session.snapshot(), session.restore(snapshot));
        let third = run(look);
        let (reset, last) = (session.reset(), run(look));
        assert_eq!(last.await, Some("none".into()));
        assert_eq!(third.await, Some("other".into()));
        assert_eq!(after.await, Some("none".into()));
        assert_eq!(before.await, Some(1.into()));
        cleared.await.expect("cleared");
        restored.await.expect("restored");
        reset.await.expect("reset");
        let fork = &fork.await.expect("forked")[0];
        assert_eq!(value(fork, "x").await, 1.into());
        fork.restore(taken.await.expect("taken"))
            .await
            .expect("ours");
        assert_eq!(value(fork, "x").await, 2.into());
    })
    .await;
}

#[tokio::test]
async fn executions_are_counted_however_they_end() {
    let session = session(runtime());
    for code in ["1", "1/0", "a b", "import os\nos.abort()"] {
        drop(session.execute(code, ExecutionOptions::default()).await);
    }
    drop(
        session
            .execute(FOREVER, within(Duration::from_millis(50)))
            .await,
    );
    assert_eq!(session.execution_count(), 5);
    let mut options = ExecutionOptions::default();
    options.inputs = vec![("a b".into(), 1.into())];
    let refused = failure_with(&session, "1", options).await;
    assert!(matches!(refused.error, Error::InvalidArgument { .. }));
    assert_eq!(session.execution_count(), 5);
}

#[tokio::test]
async fn the_timeout_can_be_set_and_an_execution_may_bring_its_own() {
    let session = limited(runtime(), |limits| {
        limits.execution_timeout = Some(Duration::from_millis(60));
    });
    let message = async |code| failure(&session, code).await.error.to_string();
    assert_eq!(message(FOREVER).await, "execution timed out after 60 ms");
    session.set_execution_timeout(Some(Duration::from_millis(80)));
    assert_eq!(message(FOREVER).await, "execution timed out after 80 ms");
    let slow = "import time\ntime.sleep(0.2)\n'slept'";
    let outcome = session.execute(slow, within(Duration::from_secs(30))).await;
    assert_eq!(outcome.expect("enough").value, Some("slept".into()));
    session.set_execution_timeout(None);
    assert_eq!(value(&session, slow).await, "slept".into());
}

#[tokio::test]
async fn a_wait_in_the_queue_does_not_count_for_a_limit() {
    let session = session(runtime());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    session
        .spawn(
            "import time\ntime.sleep(1.2)",
            ExecutionOptions::default(),
            |outcome| drop(sender.send(outcome)),
        )
        .expect("open");
    let queued = session.execute("'ran'", within(Duration::from_secs(1)));
    assert_eq!(queued.await.expect("in time").value, Some("ran".into()));
    receiver.await.expect("ends").expect("runs");
}

#[tokio::test]
async fn one_that_is_cancelled_in_the_queue_does_not_run() {
    let session = started(runtime(), "x = 1").await;
    let slow = session.execute("import time\ntime.sleep(0.1)", ExecutionOptions::default());
    let mut options = ExecutionOptions::default();
    let cancel = CancelHandle::new();
    options.cancel = cancel.clone();
    let (slow, queued) = tokio::join!(slow, async {
        let queued = session.execute("x = 2", options);
        cancel.cancel();
        queued.await
    });
    slow.expect("runs");
    let error = queued.expect_err("cancelled").error;
    assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
    assert_eq!(value(&session, "x").await, 1.into());
}

#[tokio::test]
async fn dropping_the_future_cancels() {
    with_each_strategy(async |runtime| {
        let session = started(runtime, "x = 1").await;
        let code = format!("x = 2\n{FOREVER}");
        let run = session.execute(&*code, ExecutionOptions::default());
        assert!(
            tokio::time::timeout(Duration::from_millis(200), run)
                .await
                .is_err()
        );
        assert_eq!(value(&session, "x").await, 2.into());
        // A request that nobody waits for is done all the same.
        drop(session.reset());
        assert_eq!(value(&session, "'x' in globals()").await, false.into());
    })
    .await;
}

#[tokio::test]
async fn its_files_are_its_own_or_those_it_is_given() {
    with_each_strategy(async |runtime| {
        let own = session(runtime);
        assert_eq!(own.mount_path(), "/data");
        own.storage().write_file("from host", b"h").expect("room");
        let code = "n = open('from python', 'w').write('p')\nopen('from host').read()";
        assert_eq!(value(&own, code).await, "h".into());
        assert_eq!(own.storage().read_file("from python").expect("there"), b"p");

        let shared = Storage::new(1 << 20);
        let with_shared = |runtime: &Runtime| {
            session_of(runtime, |options| {
                options.files = Some(shared.clone());
                options.mount_path = Some("/work".into());
            })
        };
        let (first, second) = (with_shared(runtime), with_shared(runtime));
        assert_eq!(first.mount_path(), "/work");
        execute(&first, "n = open('f', 'w').write('shared')").await;
        assert_eq!(
            value(&second, "open('/work/f').read()").await,
            "shared".into()
        );
        assert_eq!(first.storage().read_file("f").expect("there"), b"shared");
        first.reset().await.expect("reset");
        assert_eq!(
            value(&first, "open('/work/f').read()").await,
            "shared".into()
        );
    })
    .await;
}

/// Panics where a handler of callbacks must not.
struct Panics;

impl eryx::CallbackHandler for Panics {
    fn call(&self, _: eryx::Call) {
        panic!("the handler's own defect");
    }
}

/// Runs something, unless the session is stuck.
async fn still_works(session: &Session) -> bool {
    let run = session.execute("1", ExecutionOptions::default());
    tokio::time::timeout(Duration::from_secs(10), run)
        .await
        .is_ok()
}

#[tokio::test]
async fn a_panic_of_the_host_s_own_functions_does_not_hold_the_session_up() {
    let session = session_of(runtime(), |options| {
        options.callbacks = vec!["f".into()];
        options.callback_handler = Some(Arc::new(Panics));
    });
    let failure = failure(&session, "await f()").await;
    assert!(matches!(failure.error, Error::Internal(_)));
    assert!(still_works(&session).await, "after a handler's panic");
    session
        .spawn("1", ExecutionOptions::default(), |_| {
            panic!("its own defect")
        })
        .expect("open");
    assert!(
        still_works(&session).await,
        "after a panic of what is called at the end"
    );
}
