//! Callbacks that Python calls as plain functions.

use std::time::Duration;

use eryx::{
    Arguments, CallbackDefinition, CallbackFailure, CallbackFunctions, CancelHandle, Error,
    ExecutionOptions, Value,
};

use crate::support::callbacks::{
    Recorder, first, handled_with, options_with, raised, sandbox_of, start_with, succeed_in, tools,
};
use crate::support::sessions::{execute, session_of, value};
use crate::support::{list, python_error, runtime, text, within};

fn sync(name: &str) -> CallbackDefinition {
    let mut definition = CallbackDefinition::from(name);
    definition.sync = true;
    definition
}

/// The tools, and `twice(x)`, `fails()`, `suspends()`, which are synchronous.
fn functions() -> CallbackFunctions {
    tools()
        .with(sync("twice"), |arguments: Arguments| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let value = first(arguments);
            Ok(Value::List(vec![value.clone(), value]))
        })
        .with(sync("fails"), |_: Arguments| async {
            Err(raised("KeyError", "no"))
        })
        .with(sync("suspends"), |_: Arguments| async {
            Err(CallbackFailure::Suspend("look".into()))
        })
}

async fn printed(code: &str) -> String {
    text(
        &succeed_in(&sandbox_of(functions()), code)
            .await
            .output
            .stdout,
    )
}

#[tokio::test]
async fn it_is_called_as_a_plain_function() {
    let code = "
import asyncio, inspect
print(twice(5), twice(twice(1)), inspect.iscoroutinefunction(twice), twice)
async def f(): return twice('a')
print(await f(), await asyncio.gather(f(), echo(2)))
def g(): return asyncio.run(f())
print(g(), [c['name'] for c in list_callbacks() if c['sync']])
try: fails()
except CallbackError as error: print(error)";
    assert_eq!(
        printed(code).await,
        "[5, 5] [[1, 1], [1, 1]] False <callback twice>
['a', 'a'] [['a', 'a'], 2]
['a', 'a'] ['twice', 'fails', 'suspends']
KeyError: no
"
    );
}

#[tokio::test]
async fn answers_of_others_are_kept_while_it_waits() {
    let code = "
import asyncio
tasks = [asyncio.create_task(echo(n)) for n in range(900)]
await asyncio.sleep(0)
for _ in range(20): twice(1)
print(sum(await asyncio.gather(*tasks)))";
    assert_eq!(printed(code).await, "404550\n");
}

#[tokio::test]
async fn it_cannot_suspend_the_run() {
    let refused =
        "SuspendExecution: a run can be suspended at an await, not in a synchronous callback\n";
    for code in [
        "try: suspends()\nexcept CallbackError as e: print(e)",
        "async def f():\n    try: suspends()\n    except CallbackError as e: print(e)\nawait f()",
        "import asyncio\nasync def f():\n    try: suspends()\n    except CallbackError as e: print(e)\ndef g(): asyncio.run(f())\ng()",
    ] {
        assert_eq!(printed(code).await, refused, "{code}");
    }
}

/// More calls in flight than the host takes: a synchronous one waits for room too.
#[tokio::test]
async fn it_waits_for_room() {
    let code = "
import asyncio
tasks = [asyncio.create_task(pause(20)) for _ in range(4096)]
await asyncio.sleep(0)
print(twice(3))
await asyncio.gather(*tasks)";
    let sandbox = {
        let mut options = options_with(functions());
        options.limits.max_callback_invocations = None;
        eryx::Sandbox::new(runtime(), options).expect("the options are good")
    };
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(text(&result.output.stdout), "[3, 3]\n");
    assert_eq!(result.output.usage.callback_invocations, 4097);
}

/// In all places where it may wait, the interrupt of the run ends the wait, and `finally` blocks run.
#[tokio::test]
async fn it_ends_with_its_run() {
    for code in [
        "try: never()\nfinally: print('end')",
        "async def f():\n    try: never()\n    finally: print('end')\nawait f()",
        "import asyncio\nasync def f():\n    try: never()\n    finally: print('end')\ndef g(): asyncio.run(f())\ng()",
        "import asyncio\nasync def f():\n    try: never()\n    finally: print('end')\nasyncio.run(f())",
    ] {
        for tries in 0.. {
            let handler = Recorder::new();
            let sandbox = handled_with(&[], &handler, |options| {
                options.callbacks = vec![sync("never")];
            });
            let mut options = ExecutionOptions::default();
            let cancel = CancelHandle::new();
            options.cancel = cancel.clone();
            let run = start_with(&sandbox, code, options);
            let (id, _reply) = handler.one().await;
            cancel.cancel();
            let failure = run.await.expect("no panic").expect_err("cancelled");
            assert_eq!(handler.cancelled(1).await, [id]);
            let Error::Cancelled { hard } = failure.error else {
                panic!("{code}: {:?}", failure.error);
            };
            if !hard {
                assert_eq!(text(&failure.output.stdout), "end\n", "{code}");
                break;
            }
            assert!(tries < 20, "{code}: always cut off");
        }
    }
}

#[tokio::test]
async fn its_own_time_limit_is_a_timeout_error() {
    let handler = Recorder::new();
    let sandbox = handled_with(&[], &handler, |options| {
        let mut never = sync("never");
        never.timeout = Some(Some(Duration::from_millis(20)));
        options.callbacks = vec![never];
    });
    let outcome = sandbox
        .execute("never()", eryx::ExecutionOptions::default())
        .await;
    assert_eq!(
        python_error(outcome).message,
        "TimeoutError: never() took longer than 20 ms"
    );
}

#[tokio::test]
async fn a_restored_interpreter_takes_what_is_declared_now() {
    let first = session_of(runtime(), |options| *options = options_with(functions()));
    execute(&first, "kept = twice").await;
    let snapshot = first.snapshot().await.expect("taken");
    let now = session_of(runtime(), |options| {
        let functions = CallbackFunctions::new()
            .with("twice", |_: Arguments| async { Ok("awaited".into()) })
            .with(sync("new"), |_: Arguments| async { Ok("plain".into()) });
        *options = options_with(functions);
    });
    now.restore(snapshot).await.expect("restored");
    assert_eq!(
        value(&now, "[await kept(), await twice(), new()]").await,
        list(["awaited".into(), "awaited".into(), "plain".into()])
    );
    let fork = now.fork(1).await.expect("forked").remove(0);
    assert_eq!(value(&fork, "new()").await, "plain".into());
}

/// Code that goes round Python's part: it calls, and never looks for the answer, or waits in a loop.
#[tokio::test]
async fn hostile_calls_of_it_end_with_the_run() {
    for code in [
        "import _eryx\n_eryx.call(4, 'x', (), {})",
        "import _eryx\nfor _ in range(500): _eryx.call(6, 'x', (), {})\nimport time\ntime.sleep(0.01)",
        "import _eryx\n_eryx.call(6, 'x', (), {})\n_eryx.wait(10_000_000)\nawait echo(1)",
        "import _eryx_callbacks as c\nc._waiting.clear()\nc.take_answers = lambda: None\ntwice(1)",
        "import _eryx_callbacks as c\nc._waiting[1] = None\ntwice(1)",
        "twice.__class__ = type(echo)\nawait twice(1)",
        "echo.__class__ = type(twice)\necho(1)",
        "import asyncio\nloop = asyncio.new_event_loop()\nloop._interrupted = True\nloop.run_until_complete(asyncio.sleep(0))",
    ] {
        let sandbox = sandbox_of(functions());
        let outcome = sandbox
            .execute(code, within(Duration::from_millis(500)))
            .await;
        drop(outcome);
        assert_eq!(
            succeed_in(&sandbox, "twice(1)").await.value,
            Some(list([1.into(), 1.into()])),
            "{code}"
        );
    }
}
