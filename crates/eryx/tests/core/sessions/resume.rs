//! Runs that a callback suspended, and sessions that go on with them.

use std::sync::Arc;
use std::time::Duration;

use eryx::{
    Answers, CancelHandle, Error, ExecutionOptions, ExecutionResult, Outcome, Runtime, Sandbox,
    SandboxOptions, Session, Storage, Suspension, Value, Volume,
};
use eryx_test::new_directory;

use crate::support::callbacks::{Recorder, options_with, succeeded};
use crate::support::layout::{KIND_AT, RUNTIME_AT, VERSION_AT, signed};
use crate::support::sessions::{
    DRAW, FOREVER, LARGE, TRAP, assert_all_differ, execute, failure, refusal, runtimes, session,
    suspended, suspending, suspending_session, value, with_each_strategy,
};
use crate::support::{invalid, list, runtime, within};

fn sandbox(runtime: &Runtime) -> Sandbox {
    Sandbox::new(runtime, options_with(suspending())).expect("the options are good")
}

/// What is left of code that is suspended in a sandbox.
async fn stopped(runtime: &Runtime, code: &str) -> Suspension {
    let sandbox = sandbox(runtime);
    suspended(sandbox.execute(code, ExecutionOptions::default()).await)
}

/// The same in a session, after `first`.
async fn stopped_in_session(runtime: &Runtime, first: &str, code: &str) -> Suspension {
    let session = suspending_session(runtime);
    execute(&session, first).await;
    suspended(session.execute(code, ExecutionOptions::default()).await)
}

fn results<const N: usize>(results: [(u64, Value); N]) -> Answers {
    Answers {
        results: results.into(),
        ..Answers::default()
    }
}

/// Goes on, and waits for how that ends.
async fn resume_with(
    runtime: &Runtime,
    options: SandboxOptions,
    checkpoint: &[u8],
    answers: Answers,
    execution: ExecutionOptions,
) -> (Session, Outcome) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let session = Session::resume(
        runtime,
        options,
        checkpoint.to_vec(),
        answers,
        execution,
        |outcome| drop(sender.send(outcome)),
    )
    .expect("the options are good");
    (session, receiver.await.expect("called"))
}

async fn resume(runtime: &Runtime, checkpoint: &[u8], answers: Answers) -> (Session, Outcome) {
    let options = options_with(suspending());
    let execution = ExecutionOptions::default();
    resume_with(runtime, options, checkpoint, answers, execution).await
}

/// Goes on to an end that must be good.
async fn resumed(
    runtime: &Runtime,
    stop: &Suspension,
    answers: Answers,
) -> (Session, ExecutionResult) {
    let (session, outcome) = resume(runtime, &stop.checkpoint, answers).await;
    (session, succeeded(outcome))
}

/// The value at the end of a run whose only pending call returns `answer`.
async fn answered(runtime: &Runtime, stop: &Suspension, answer: Value) -> Option<Value> {
    let answers = results([(stop.pending[0].id, answer)]);
    resumed(runtime, stop, answers).await.1.value
}

#[tokio::test]
async fn the_error_says_why_and_what_waits() {
    with_each_strategy(async |runtime| {
        let code =
            "import asyncio\nprint('before')\nawait asyncio.gather(stop(1, a='x'), stop(b=[b'y']))";
        let outcome = sandbox(runtime)
            .execute(code, ExecutionOptions::default())
            .await;
        let failure = outcome.expect_err("suspended");
        assert_eq!(failure.output.stdout, b"before\n");
        assert_eq!(failure.error.to_string(), "execution was suspended: stop");
        let stop = suspended(Err(failure));
        assert_eq!(stop.reason, "stop");
        let pending: Vec<_> = stop
            .pending
            .iter()
            .map(|call| (&*call.name, call.args.clone(), call.kwargs.clone()))
            .collect();
        let expected = [
            ("stop", vec![1.into()], vec![("a".into(), "x".into())]),
            ("stop", vec![], vec![("b".into(), list([b"y"[..].into()]))]),
        ];
        assert_eq!(pending, expected);
        assert!(stop.pending[0].id < stop.pending[1].id);
    })
    .await;
}

#[tokio::test]
async fn a_call_is_answered_with_any_value() {
    with_each_strategy(async |runtime| {
        let stop = stopped(runtime, "x = await stop()\n[type(x).__name__, x]").await;
        for (kind, given) in [
            ("NoneType", Value::Null),
            ("bool", true.into()),
            ("int", Value::BigInt(eryx::BigInt::from(2).pow(70))),
            ("bytes", b"\0\xff"[..].into()),
            ("dict", vec![("a".to_owned(), list([1.into()]))].into()),
            ("str", "".into()),
        ] {
            let found = answered(runtime, &stop, given.clone()).await;
            assert_eq!(found, Some(list([kind.into(), given])));
        }
    })
    .await;
}

#[tokio::test]
async fn results_errors_and_calls_that_are_made_again() {
    with_each_strategy(async |runtime| {
        let code = "
import asyncio
async def outer(n): return await (stop if n < 3 else echo)(n)
ends = await asyncio.gather(outer(1), outer(2), stop(9), return_exceptions=True)
[[type(end).__name__, str(end)] for end in ends]";
        let stop = stopped(runtime, code).await;
        let [first, second, third] = stop.pending.as_slice() else {
            panic!("three calls: {:?}", stop.pending);
        };
        let answers = Answers {
            results: vec![(first.id, "r".into())],
            errors: vec![(second.id, "e".into()), (third.id, "f".into())],
        };
        let (_, result) = resumed(runtime, &stop, answers).await;
        let pair = |kind: &str, text: &str| list([kind.into(), text.into()]);
        let expected = list([
            pair("str", "r"),
            pair("CallbackError", "e"),
            pair("CallbackError", "f"),
        ]);
        assert_eq!(result.value, Some(expected));
        // One that has no answer is called again, with the same arguments, by whoever has that name now.
        let handler = Recorder::new();
        let mut options = SandboxOptions::default();
        options.callbacks = vec!["other".into(), "stop".into()];
        options.callback_handler = Some(Arc::clone(&handler) as _);
        let answers = results([(first.id, "r".into()), (second.id, "s".into())]);
        let going_on = resume_with(
            runtime,
            options,
            &stop.checkpoint,
            answers,
            ExecutionOptions::default(),
        );
        let ((_, outcome), ()) = tokio::join!(going_on, async {
            let call = handler.calls(1).await.pop().expect("one");
            assert_eq!(call.callback, 1);
            assert_eq!(call.decoded().expect("arguments").positional, [9.into()]);
            call.reply.send(Ok("again".into()));
        });
        let expected = list([pair("str", "r"), pair("str", "s"), pair("str", "again")]);
        assert_eq!(succeeded(outcome).value, Some(expected));
    })
    .await;
}

#[tokio::test]
async fn without_the_callback_the_call_fails() {
    let code = "try: await stop()\nexcept CallbackError as e: x = str(e)\nx";
    let stop = stopped(runtime(), code).await;
    let options = SandboxOptions::default();
    let execution = ExecutionOptions::default();
    let (_, outcome) = resume_with(
        runtime(),
        options,
        &stop.checkpoint,
        Answers::default(),
        execution,
    )
    .await;
    let expected = "stop() is not known to the host";
    assert_eq!(succeeded(outcome).value, Some(expected.into()));
}

#[tokio::test]
async fn it_may_be_suspended_again_and_again() {
    with_each_strategy(async |runtime| {
        let code = "seen = []\nfor n in range(6): seen.append(await stop(n))\nseen";
        let mut stop = stopped(runtime, code).await;
        for n in 0..5 {
            let [call] = stop.pending.as_slice() else {
                panic!("one call: {:?}", stop.pending);
            };
            assert_eq!(call.args, [n.into()]);
            let answers = results([(call.id, (n * 10).into())]);
            stop = suspended(resume(runtime, &stop.checkpoint, answers).await.1);
        }
        let expected: Vec<Value> = [0, 10, 20, 30, 40, 50].map(Value::from).into();
        assert_eq!(
            answered(runtime, &stop, 50.into()).await,
            Some(expected.into())
        );
        // By the same call: it keeps its number and its arguments.
        let stop = stopped(runtime, "await stop('a', b=1)").await;
        let again = suspended(
            resume(runtime, &stop.checkpoint, Answers::default())
                .await
                .1,
        );
        assert_eq!(again.pending, stop.pending);
        assert_eq!(answered(runtime, &again, 7.into()).await, Some(7.into()));
    })
    .await;
}

#[tokio::test]
async fn the_same_checkpoint_may_go_on_twice_and_any_way_the_pages_were_found() {
    let code = "import random\nx = await stop()\nif x: y = await stop(x)\n[x, y]";
    for (_, taken) in runtimes() {
        let stop = stopped_in_session(taken, LARGE, code).await;
        for (_, given) in runtimes() {
            for round in 1..3 {
                let answers = results([(stop.pending[0].id, round.into())]);
                let next = suspended(resume(given, &stop.checkpoint, answers).await.1);
                assert_eq!(next.pending[0].args, [round.into()]);
                let found = answered(taken, &next, 5.into()).await;
                assert_eq!(found, Some(list([round.into(), 5.into()])));
            }
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_behind_it() {
    with_each_strategy(async |runtime| {
        let first = "y = [1]\ndef count():\n    yield from range(9)\ng = count()\nnext(g)\nf = open('/data/f', 'w+')\nn = f.write('0123456789'), f.seek(4)";
        let code = "x = await stop(next(g))\n[x, y, next(g), f.read()]";
        let stop = stopped_in_session(runtime, first, code).await;
        assert_eq!(stop.pending[0].args, [1.into()]);
        let answers = results([(stop.pending[0].id, "answer".into())]);
        let (session, result) = resumed(runtime, &stop, answers).await;
        let expected = list(["answer".into(), list([1.into()]), 2.into(), "456789".into()]);
        assert_eq!(result.value, Some(expected));
        assert_eq!(session.execution_count(), 2);
        assert_eq!(session.storage().read_file("f").expect("there"), b"0123456789");
        failure(&session, &format!("x = 0\n{TRAP}")).await;
        let fork = session.fork(1).await.expect("a fork").pop().expect("one");
        let bytes = fork.snapshot().await.expect("a snapshot");
        session.restore(bytes).await.expect("ours");
        assert_eq!(value(&session, "[x, await echo(5)]").await, list(["answer".into(), 5.into()]));
        assert_eq!(session.execution_count(), 4);
    })
    .await;
}

#[tokio::test]
async fn files_that_a_sandbox_had_are_there() {
    with_each_strategy(async |runtime| {
        let code = "n = open('f', 'w').write('mine')\nf = open('f')\nf.read(1)\nx = await stop()\n[f.read(), open('/data/f').read()]";
        let stop = stopped(runtime, code).await;
        let found = answered(runtime, &stop, 1.into()).await;
        assert_eq!(found, Some(list(["ine".into(), "mine".into()])));
        // Those of a storage of the options are where they were.
        let files = Storage::new(1 << 20);
        let options = || {
            let mut options = options_with(suspending());
            options.files = Some(files.clone());
            options
        };
        let sandbox = Sandbox::new(runtime, options()).expect("good options");
        let stop = suspended(sandbox.execute(code, ExecutionOptions::default()).await);
        files.write_file("f", b"MINE").expect("room");
        let answers = results([(stop.pending[0].id, 1.into())]);
        let execution = ExecutionOptions::default();
        let (_, outcome) =
            resume_with(runtime, options(), &stop.checkpoint, answers, execution).await;
        // Three characters were read ahead.
        assert_eq!(succeeded(outcome).value, Some(list(["ine".into(), "MINE".into()])));
    })
    .await;
}

/// A session that went on with a run of a sandbox of the same options, which had a file in its working directory.
async fn from_a_sandbox(runtime: &Runtime, options: impl Fn() -> SandboxOptions) -> Session {
    let sandbox = Sandbox::new(runtime, options()).expect("the options are good");
    let code = "n = open('f', 'w').write('mine')\nx = await stop()";
    let stop = suspended(sandbox.execute(code, ExecutionOptions::default()).await);
    let answers = results([(stop.pending[0].id, 1.into())]);
    let execution = ExecutionOptions::default();
    let resumed = resume_with(runtime, options(), &stop.checkpoint, answers, execution);
    let (session, outcome) = resumed.await;
    succeeded(outcome);
    session
}

#[tokio::test]
async fn files_that_a_sandbox_had_are_there_in_copies_too() {
    with_each_strategy(async |runtime| {
        let session = from_a_sandbox(runtime, || options_with(suspending())).await;
        let look = "open('/data/f').read()";
        assert_eq!(value(&session, look).await, "mine".into());
        let fork = session.fork(1).await.expect("a fork").pop().expect("one");
        assert_eq!(value(&fork, look).await, "mine".into());
        let code = format!("await stop()\n{look}");
        let stop = suspended(session.execute(code, ExecutionOptions::default()).await);
        assert_eq!(
            answered(runtime, &stop, 1.into()).await,
            Some("mine".into())
        );
        let other = suspending_session(runtime);
        let bytes = session.snapshot().await.expect("a snapshot");
        other.restore(bytes).await.expect("ours");
        assert_eq!(value(&other, look).await, "mine".into());
    })
    .await;
}

#[tokio::test]
async fn volumes_are_there_in_copies_too() {
    with_each_strategy(async |runtime| {
        let directory = new_directory("session-resume-volume");
        std::fs::write(directory.join("a"), b"of the host").expect("ours");
        let options = || {
            let mut options = options_with(suspending());
            options.volumes = vec![Volume::new(&directory, "/mnt/volume")];
            options
        };
        let session = from_a_sandbox(runtime, options).await;
        let look = "open('/mnt/volume/a').read()";
        assert_eq!(value(&session, look).await, "of the host".into());
        let fork = session.fork(1).await.expect("a fork").pop().expect("one");
        assert_eq!(
            value(&fork, &format!("1\n{look}")).await,
            "of the host".into()
        );
        std::fs::remove_dir_all(directory).expect("ours");
    })
    .await;
}

#[tokio::test]
async fn what_was_removed_before_takes_no_room() {
    with_each_strategy(async |runtime| {
        for path in ["/data/f", "/tmp/f"] {
            let first = format!(
                "import os\nf = open('{path}', 'w+')\nn = f.write('x' * 50_000), f.flush()"
            );
            let code = format!("f.close()\nos.unlink('{path}')\nx = await stop()");
            let stop = stopped_in_session(runtime, &first, &code).await;
            let answers = results([(stop.pending[0].id, 1.into())]);
            let (session, _) = resumed(runtime, &stop, answers).await;
            execute(&session, "1").await;
            assert_eq!(session.storage().used_bytes(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_drawn_at_random_afterwards_differs() {
    with_each_strategy(async |runtime| {
        let stop = stopped(runtime, &format!("{DRAW}\nx = await stop()")).await;
        let mut drawn = Vec::new();
        for _ in 0..3 {
            let answers = results([(stop.pending[0].id, 1.into())]);
            let (session, _) = resumed(runtime, &stop, answers).await;
            drawn.push(value(&session, "draw()").await);
        }
        assert_all_differ(&drawn);
    })
    .await;
}

#[tokio::test]
async fn python_exceptions_and_limits_end_it_as_any_run() {
    with_each_strategy(async |runtime| {
        let code = format!("x = await stop()\nif x == 1: raise ValueError('oops')\n{FOREVER}");
        let stop = stopped(runtime, &code).await;
        let id = stop.pending[0].id;
        let (_, outcome) = resume(runtime, &stop.checkpoint, results([(id, 1.into())])).await;
        assert_eq!(
            outcome.expect_err("raises").error.to_string(),
            "ValueError: oops"
        );
        let limit = Duration::from_millis(80);
        let options = || options_with(suspending());
        let (_, outcome) = resume_with(
            runtime,
            options(),
            &stop.checkpoint,
            results([(id, 2.into())]),
            within(limit),
        )
        .await;
        let error = outcome.expect_err("too long").error;
        assert!(matches!(error, Error::Timeout { limit: named, .. } if named == limit));
        let mut cancelled = ExecutionOptions::default();
        cancelled.cancel = CancelHandle::new();
        cancelled.cancel.cancel();
        let answers = results([(id, 2.into())]);
        let (_, outcome) =
            resume_with(runtime, options(), &stop.checkpoint, answers, cancelled).await;
        let error = outcome.expect_err("cancelled").error;
        assert!(
            matches!(error, Error::Cancelled { .. } | Error::Snapshot(_)),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn answers_to_calls_that_do_not_wait_are_refused() {
    with_each_strategy(async |runtime| {
        let stop = stopped(runtime, "await stop()").await;
        let id = stop.pending[0].id;
        let twice = Answers {
            results: vec![(id, 1.into())],
            errors: vec![(id, "e".into())],
        };
        let errors = Answers {
            results: vec![],
            errors: vec![(id + 7, "e".into())],
        };
        for (answers, list, unknown) in [
            (
                results([(id, 1.into()), (id + 9, 2.into())]),
                "results",
                id + 9,
            ),
            (results([(0, 2.into())]), "results", 0),
            (results([(id, 1.into()), (id, 2.into())]), "results", id),
            (twice, "errors", id),
            (errors, "errors", id + 7),
        ] {
            let (_, outcome) = resume(runtime, &stop.checkpoint, answers).await;
            let text = format!("{list}: expected ids of pending calls, got {unknown}");
            assert_eq!(invalid(&outcome.expect_err("refused").error), text);
        }
        assert_eq!(answered(runtime, &stop, 3.into()).await, Some(3.into()));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_checkpoint_of_this_runtime_is_refused() {
    with_each_strategy(async |runtime| {
        let stop = stopped(runtime, "await stop()").await;
        let good = &stop.checkpoint;
        let refused = async |bytes: &[u8]| {
            let (_, outcome) = resume(runtime, bytes, Answers::default()).await;
            refusal(outcome.expect_err("refused").error)
        };
        for size in [0, 7, 8, 72, 200, good.len() / 2, good.len() - 1] {
            let expected = if size < 8 {
                "these bytes are no snapshot"
            } else {
                "it is damaged"
            };
            assert_eq!(refused(&good[..size]).await, expected);
        }
        for at in [9, 13, 50, 60, 90, 5000, good.len() - 5] {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            assert_eq!(refused(&bytes).await, "it is damaged");
        }
        for (at, expected) in [
            (RUNTIME_AT, "it was made with another Python runtime"),
            (KIND_AT, "it is a snapshot of a session, not a checkpoint"),
        ] {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert_eq!(refused(&signed(bytes)).await, expected);
        }
        let mut bytes = good.clone();
        bytes[VERSION_AT] = 77;
        let message = refused(&signed(bytes)).await;
        assert!(
            message.starts_with("it has format 77, this version reads "),
            "{message}"
        );
        let rest = session(runtime).snapshot().await.expect("a snapshot");
        let expected = "it is a snapshot of a session, not a checkpoint";
        assert_eq!(refused(&rest).await, expected);
        assert_eq!(answered(runtime, &stop, 3.into()).await, Some(3.into()));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_could_not_go_on_is_closed() {
    let stop = stopped(runtime(), "x = await stop()\nraise ValueError").await;
    let id = stop.pending[0].id;
    let bad_answer = results([(id + 1, 1.into())]);
    for (bytes, answers) in [
        (&stop.checkpoint[..20], Answers::default()),
        (&stop.checkpoint, bad_answer),
        (&stop.checkpoint, results([(id, 1.into())])),
    ] {
        let (session, outcome) = resume(runtime(), bytes, answers).await;
        outcome.expect_err("it does not end well");
        assert_eq!(failure(&session, "1").await.error, Error::Closed);
    }
}

#[tokio::test]
async fn timers_have_the_time_that_they_had() {
    with_each_strategy(async |runtime| {
        let code = "
import asyncio, time
began = time.monotonic()
async def late():
    async with asyncio.timeout(0.3): await stop()
async def slow(): await asyncio.sleep(0.2, 'slept')
try: await asyncio.gather(late(), slow())
except TimeoutError: end = 'late'
[end, time.monotonic() - began >= 0.3]";
        let stop = stopped(runtime, code).await;
        let handler = Recorder::new();
        let mut options = SandboxOptions::default();
        options.callbacks = vec!["stop".into()];
        options.callback_handler = Some(Arc::clone(&handler) as _);
        let execution = ExecutionOptions::default();
        let (_, outcome) = resume_with(
            runtime,
            options,
            &stop.checkpoint,
            Answers::default(),
            execution,
        )
        .await;
        assert_eq!(
            succeeded(outcome).value,
            Some(list(["late".into(), true.into()]))
        );
    })
    .await;
}
