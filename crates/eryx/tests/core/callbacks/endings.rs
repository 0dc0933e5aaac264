//! Calls that do not end with an answer in time: timeouts, cancellation, the end of the run, answers too late or too large.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eryx::{
    CallbackDefinition, CancelHandle, Error, ExecutionOptions, Sandbox, SandboxOptions, Value,
};

use crate::support::callbacks::{
    Recorder, handled, handled_with, start, start_with, succeed_in, succeeded,
};
use crate::support::{runtime, text, within};

const SHORT: Duration = Duration::from_millis(50);

fn with_timeout(handler: &Arc<Recorder>, timeout: Option<Duration>) -> Sandbox {
    handled_with(&["f"], handler, |options| {
        options.limits.callback_timeout = timeout;
    })
}

#[tokio::test]
async fn an_unanswered_call_ends_within_its_deadline() {
    let handler = Recorder::new();
    let sandbox = with_timeout(&handler, Some(SHORT));
    let started = Instant::now();
    let code = "
try: await f(1)
except TimeoutError as error: print(error)
print('went on')";
    let run = start(&sandbox, code);
    let (id, reply) = handler.one().await;
    assert_eq!(handler.cancelled(1).await, [id]);
    let result = succeeded(run.await.expect("ends"));
    assert!(started.elapsed() >= SHORT);
    assert_eq!(
        text(&result.output.stdout),
        "f() took longer than 50 ms\nwent on\n"
    );
    // Too late for anybody.
    reply.send(Ok(Value::Null));
    assert_eq!(handler.cancelled_now(), [id]);
}

#[tokio::test]
async fn timeouts_below_synchronous_code() {
    let handler = Recorder::new();
    let sandbox = with_timeout(&handler, Some(SHORT));
    for code in [
        "import asyncio\ntry: asyncio.run(f())\nexcept TimeoutError as error: print(error)",
        "import asyncio\nawait asyncio.sleep(0)\ntry: asyncio.run(f())\nexcept TimeoutError as error: print(error)",
        "import time\ntask = __import__('asyncio').create_task(f())\nawait __import__('asyncio').sleep(0)\ntime.sleep(0.1)\ntry: await task\nexcept TimeoutError as error: print(error)",
    ] {
        let result = succeed_in(&sandbox, code).await;
        assert_eq!(
            text(&result.output.stdout),
            "f() took longer than 50 ms\n",
            "{code}"
        );
    }
    assert_eq!(handler.cancelled_now().len(), 3);
}

#[tokio::test]
async fn a_callback_may_have_a_timeout_of_its_own() {
    let handler = Recorder::new();
    let mut options = SandboxOptions::default();
    options.limits.callback_timeout = Some(SHORT);
    let timeouts = [
        ("usual", None),
        ("short", Some(Some(Duration::from_micros(1500)))),
        ("none", Some(None)),
        ("zero", Some(Some(Duration::ZERO))),
        ("huge", Some(Some(Duration::MAX))),
    ];
    for (name, timeout) in timeouts {
        let mut definition = CallbackDefinition::from(name);
        definition.timeout = timeout;
        options.callbacks.push(definition);
    }
    options.callback_handler = Some(Arc::clone(&handler) as _);
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "
import asyncio
calls = [usual(), short(), none(), zero(), huge()]
done, pending = await asyncio.wait([asyncio.ensure_future(c) for c in calls], timeout=0.3)
print(len(pending), sorted(str(task.exception()) for task in done))";
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(
        text(&result.output.stdout),
        "2 ['short() took longer than 1.5 ms', 'usual() took longer than 50 ms', 'zero() took longer than 0 ms']\n"
    );
    assert_eq!(handler.cancelled(5).await.len(), 5);
}

#[tokio::test]
async fn without_a_timeout_the_run_ends_at_its_own() {
    let handler = Recorder::new();
    let sandbox = with_timeout(&handler, None);
    for code in [
        "await f()",
        "import asyncio\nasyncio.run(f())",
        "import asyncio\nawait asyncio.gather(f(), f())",
        "try: await f()\nfinally: await f()",
    ] {
        let (started, limit) = (Instant::now(), Duration::from_millis(200));
        let outcome = sandbox.execute(code, within(limit)).await;
        crate::support::assert_timed_out(outcome, started, limit);
    }
    // Each of them was told of, once.
    let ids = handler.cancelled(6).await;
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (6, 6));
}

#[tokio::test]
async fn cancelling_a_task_cancels_the_right_call() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    for step in [
        "task = asyncio.create_task(f(1)); await asyncio.sleep(0.02); task.cancel()\ntry: await task\nexcept asyncio.CancelledError: pass",
        "try: await asyncio.wait_for(f(1), 0.02)\nexcept TimeoutError: pass",
        "try:\n    async with asyncio.timeout(0.02): await f(1)\nexcept TimeoutError: pass",
        "try:\n    async with asyncio.TaskGroup() as group:\n        group.create_task(f(1))\n        async def bad(): await asyncio.sleep(0.02); 1/0\n        group.create_task(bad())\nexcept* ZeroDivisionError: pass",
        "async def g():\n    try: yield await f(1)\n    finally: pass\nfirst = asyncio.create_task(anext(g())); await asyncio.sleep(0.02); first.cancel()\nawait asyncio.wait([first])",
        "async def once(): await f(1)\ntry: asyncio.run(asyncio.wait_for(once(), 0.02))\nexcept TimeoutError: pass",
    ] {
        let before = handler.cancelled_now().len();
        let code = format!(
            "import asyncio\nother = asyncio.create_task(f(0))\nawait asyncio.sleep(0)\n{step}\nprint(await other)"
        );
        let run = start(&sandbox, &code);
        let mut calls = handler.calls(2).await;
        let cancelled = calls.pop().expect("two");
        assert_eq!(
            handler.cancelled(before + 1).await[before..],
            [cancelled.id],
            "{step}"
        );
        calls.pop().expect("one").reply.send(Ok("kept".into()));
        let result = succeeded(run.await.expect("ends"));
        assert_eq!(text(&result.output.stdout), "kept\n", "{step}");
        assert_eq!(handler.cancelled_now().len(), before + 1, "{step}");
        cancelled.reply.send(Ok(Value::Null));
    }
}

#[tokio::test]
async fn tasks_that_are_left_at_the_end_are_cancelled() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    for (code, calls) in [
        ("asyncio.create_task(f())\nawait asyncio.sleep(0)", 1),
        (
            "tasks = [asyncio.create_task(f()) for _ in range(3)]\nawait asyncio.sleep(0)\n1/0",
            3,
        ),
        (
            "asyncio.create_task(f())\nawait asyncio.sleep(0)\nraise SystemExit",
            1,
        ),
        (
            "asyncio.create_task(f())\nawait asyncio.sleep(0)\nimport os; os._exit(0)",
            1,
        ),
        (
            "asyncio.create_task(f())\nawait asyncio.sleep(0)\nimport os; os.abort()",
            1,
        ),
    ] {
        let before = handler.cancelled_now().len();
        drop(
            sandbox
                .execute(
                    format!("import asyncio\n{code}"),
                    ExecutionOptions::default(),
                )
                .await,
        );
        assert_eq!(handler.cancelled_now().len(), before + calls, "{code}");
    }
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_an_error() {
    let handler = Recorder::new();
    let sandbox = with_timeout(&handler, None);
    let run = start(
        &sandbox,
        "try: await f()\nexcept CallbackError as error: print(error)",
    );
    let (_, reply) = handler.one().await;
    drop(reply);
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(
        text(&result.output.stdout),
        "the host dropped the call without an answer\n"
    );
    assert!(handler.cancelled_now().is_empty());
}

#[tokio::test]
async fn closing_the_sandbox_ends_open_calls() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let runs = ["await f()", "import asyncio\nasyncio.run(f())"].map(|code| start(&sandbox, code));
    let mut open: Vec<_> = handler.calls(2).await;
    sandbox.close();
    for run in runs {
        let failure = run.await.expect("ends").expect_err("it was closed");
        assert!(
            matches!(failure.error, Error::Cancelled { .. }),
            "{:?}",
            failure.error
        );
    }
    let mut told = handler.cancelled_now();
    told.sort_unstable();
    assert_eq!(told, [open[0].id, open[1].id]);
    open.pop().expect("two").reply.send(Ok(Value::Null));
    drop(sandbox);
    open.pop().expect("one").reply.send(Ok(Value::Null));
}

#[tokio::test]
async fn cancelling_the_run_ends_open_calls() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    for code in [
        "try: await f()\nfinally: print('cleaned up')",
        "import asyncio\ntry: asyncio.run(f())\nfinally: print('cleaned up')",
        "import asyncio\ntry: await asyncio.gather(*(f() for _ in range(5)))\nfinally: print('cleaned up')",
    ] {
        let before = handler.cancelled_now().len();
        let mut options = within(Duration::from_secs(20));
        options.cancel = CancelHandle::new();
        let cancel = options.cancel.clone();
        let run = start_with(&sandbox, code, options);
        let count = if code.contains("range(5)") { 5 } else { 1 };
        let open = handler.calls(count).await;
        cancel.cancel();
        let failure = run.await.expect("ends").expect_err("it was cancelled");
        let Error::Cancelled { hard } = failure.error else {
            panic!("{code}: {:?}", failure.error);
        };
        if !hard {
            assert_eq!(text(&failure.output.stdout), "cleaned up\n", "{code}");
        }
        assert_eq!(handler.cancelled_now().len(), before + count, "{code}");
        for call in open {
            call.reply.send(Ok(Value::Null));
        }
    }
}

#[tokio::test]
async fn code_that_is_asked_to_end_may_still_call() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let mut options = within(Duration::from_secs(20));
    options.cancel = CancelHandle::new();
    let cancel = options.cancel.clone();
    let run = start_with(
        &sandbox,
        "try: await f(1)\nfinally: print(await f(2))",
        options,
    );
    let open = handler.calls(1).await;
    cancel.cancel();
    handler
        .calls(1)
        .await
        .pop()
        .expect("one")
        .reply
        .send(Ok("goodbye".into()));
    let failure = run.await.expect("ends").expect_err("it was cancelled");
    if failure.error == (Error::Cancelled { hard: false }) {
        assert_eq!(text(&failure.output.stdout), "goodbye\n");
    }
    assert_eq!(handler.cancelled_now(), [open[0].id]);
}

#[tokio::test]
async fn an_answer_that_came_while_python_computed_counts() {
    let handler = Recorder::new();
    let sandbox = with_timeout(&handler, Some(Duration::from_millis(150)));
    let code = "
import asyncio, time
task = asyncio.create_task(f())
await asyncio.sleep(0)
until = time.monotonic() + 0.4
while time.monotonic() < until: pass
print(await task)";
    let run = start(&sandbox, code);
    let (_, reply) = handler.one().await;
    reply.send(Ok("in time".into()));
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(text(&result.output.stdout), "in time\n");
    assert!(handler.cancelled_now().is_empty());
    // One that came after its deadline does not, though nobody had looked.
    let run = start(
        &sandbox,
        &code.replace(
            "print(await task)",
            "try: await task\nexcept TimeoutError: print('late')",
        ),
    );
    let (id, reply) = handler.one().await;
    assert_eq!(handler.cancelled(1).await, [id]);
    reply.send(Ok("too late".into()));
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(text(&result.output.stdout), "late\n");
}

#[tokio::test]
async fn late_answers_do_not_keep_the_guest_busy() {
    let handler = Recorder::new();
    let sandbox = handled(&["f", "ready"], &handler);
    let code = "
import asyncio, _eryx_driver
task = asyncio.create_task(f())
await asyncio.sleep(0)
task.cancel()
await ready()
advance, count = _eryx_driver._advance, 0
def counted():
    global count
    count += 1
    return advance()
_eryx_driver._advance = counted
await asyncio.sleep(0.1)
_eryx_driver._advance = advance
count";
    let run = start(&sandbox, code);
    let mut calls = handler.calls(2).await;
    let ready = calls.pop().expect("two").reply;
    assert_eq!(handler.cancelled(1).await.len(), 1);
    ready.send(Ok(Value::Null));
    calls.pop().expect("one").reply.send(Ok(Value::Null));
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(result.value, Some(1.into()));
}

#[tokio::test]
async fn a_result_that_does_not_fit_is_a_memory_error_of_that_call() {
    let handler = Recorder::new();
    let sandbox = handled_with(&["f"], &handler, |options| {
        options.limits.max_memory_bytes = Some(64 << 20);
    });
    let code = "
import asyncio
for _ in range(4):
    try: print(len(await f()))
    except MemoryError as error: print(error)
print(await asyncio.gather(f(), f(), return_exceptions=True))";
    let run = start(&sandbox, code);
    let many = Value::List(vec![Value::Map(vec![]); 1_000_000]);
    for answer in [
        vec![0u8; 60 << 20].into(),
        "fits".into(),
        many,
        "x".repeat(50 << 20).into(),
    ] {
        handler.one().await.1.send(Ok(answer));
    }
    let [first, second] = <[_; 2]>::try_from(handler.calls(2).await).expect("two");
    first.reply.send(Ok(vec![0u8; 60 << 20].into()));
    second.reply.send(Ok(1.into()));
    let result = succeeded(run.await.expect("ends"));
    let message = "the result of f() does not fit into memory";
    assert_eq!(
        text(&result.output.stdout),
        format!("{message}\n4\n{message}\n{message}\n[MemoryError('{message}'), 1]\n")
    );
}

#[tokio::test]
async fn answers_of_many_megabytes_wait_outside_of_the_guest() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let code = "
import asyncio, time
async def size(): return len(await f())
tasks = [asyncio.create_task(size()) for _ in range(3)]
await asyncio.sleep(0)
time.sleep(0.3)
try: print(sum(await asyncio.gather(*tasks)) >> 20)
except CallbackError as error: print(error)";
    let run = start(&sandbox, code);
    for call in handler.calls(3).await {
        call.reply.send(Ok(vec![0u8; 20 << 20].into()));
    }
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(text(&result.output.stdout), "60\n");
}
