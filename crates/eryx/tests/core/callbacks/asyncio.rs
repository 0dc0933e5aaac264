//! Callbacks as asyncio meets them: many at once, in any order, next to timers, below synchronous code.

use std::time::{Duration, Instant};

use eryx::{
    Arguments, CallbackFunctions, ExecutionOptions, OutputSink, Sandbox, SandboxOptions, Stream,
    Value,
};

use crate::support::callbacks::{
    Recorder, first, handled, handled_with, options_with, printed_with_tools, sandbox_of, start,
    start_with, succeed_in, succeeded, tools,
};
use crate::support::{assert_timed_out, list, runtime, text, within};

#[tokio::test]
async fn a_thousand_calls_are_in_flight_at_once() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let run = start(
        &sandbox,
        "import asyncio\nresult = await asyncio.gather(*(f(i) for i in range(1000)))",
    );
    // Answered when all have arrived, the last one first.
    let mut calls = handler.calls(1000).await;
    while let Some(call) = calls.pop() {
        let argument = first(call.decoded().expect("good arguments"));
        call.reply.send(Ok(list([argument])));
    }
    let result = succeeded(run.await.expect("ends"));
    let expected = (0..1000).map(|index| list([index.into()])).collect();
    assert_eq!(result.result, Some(Value::List(expected)));
    assert_eq!(result.output.usage.callback_invocations, 1000);
}

#[tokio::test]
async fn answers_arrive_in_the_order_in_which_they_are_given() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let code = "
import asyncio
tasks = [asyncio.create_task(f(i)) for i in range(10)]
await asyncio.sleep(0)
for done in asyncio.as_completed(tasks): print(await done, end=' ')";
    let run = start(&sandbox, code);
    let mut calls = handler.calls(10).await;
    while let Some(call) = calls.pop() {
        let argument = first(call.decoded().expect("good arguments"));
        call.reply.send(Ok(argument));
    }
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(text(&result.output.stdout), "9 8 7 6 5 4 3 2 1 0 ");
}

#[tokio::test]
async fn more_calls_than_the_host_takes_at_once_wait_their_turn() {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = None;
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "import asyncio\nx = await asyncio.gather(*(echo(i) for i in range(9000)))\nx == list(range(9000))";
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(
        (result.value, result.output.usage.callback_invocations),
        (Some(true.into()), 9000)
    );
}

#[tokio::test]
async fn more_bytes_than_the_host_takes_at_once_wait_their_turn() {
    let functions = CallbackFunctions::new().with("size", |arguments: Arguments| async {
        match first(arguments) {
            Value::Bytes(bytes) => Ok(Value::Int(i64::try_from(bytes.len()).expect("small"))),
            other => panic!("not bytes: {other:?}"),
        }
    });
    let code = "
import asyncio
x = bytes(1 << 20)
sum(await asyncio.gather(*(size(x) for i in range(500)))) >> 20";
    let result = succeed_in(&sandbox_of(functions), code).await;
    assert_eq!(result.value, Some(500.into()));
}

#[tokio::test]
async fn calls_that_wait_for_room_can_be_cancelled() {
    let handler = Recorder::new();
    let sandbox = handled_with(&["f"], &handler, |options| {
        options.limits.max_callback_invocations = None;
    });
    let code = "
import asyncio
tasks = [asyncio.create_task(f(i)) for i in range(4200)]
await asyncio.sleep(0)
for task in tasks[4000:4150]: task.cancel()
print('ready')
ended = await asyncio.gather(*tasks, return_exceptions=True)
sum(x is None for x in ended), sum(isinstance(x, asyncio.CancelledError) for x in ended)";
    let run = start(&sandbox, code);
    for call in handler.calls(4096).await {
        call.reply.send(Ok(Value::Null));
    }
    for call in handler.calls(50).await {
        call.reply.send(Ok(Value::Null));
    }
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(result.value, Some(list([4050.into(), 150.into()])));
}

#[tokio::test]
async fn timers_run_next_to_callbacks() {
    let code = "
import asyncio, time
async def ticks():
    for i in range(5):
        await asyncio.sleep(0.01)
        order.append(i)
order = []
started = time.monotonic()
await asyncio.gather(pause(400), ticks(), pause(1), asyncio.sleep(0.02))
print(order, time.monotonic() - started >= 0.4)";
    assert_eq!(printed_with_tools(code).await, "[0, 1, 2, 3, 4] True\n");
}

#[tokio::test]
async fn callbacks_below_asyncio_run() {
    let code = "
import asyncio
async def both(x): return await asyncio.gather(echo(x), pause(5), echo(x + 1))
print(asyncio.run(both(1)))
def synchronous(x): return asyncio.run(both(x))
print(synchronous(2), [synchronous(i)[0] for i in range(3)])
";
    let expected = "[1, None, 2]\n[2, None, 3] [0, 1, 2]\n";
    assert_eq!(printed_with_tools(code).await, expected);
    // The same inside of a loop that runs already.
    assert_eq!(
        printed_with_tools(&format!("await echo(0)\n{code}")).await,
        expected
    );
    let code = "
import asyncio
async def both(x): return await asyncio.gather(echo(x), pause(5), echo(x + 1))
with asyncio.Runner() as runner:
    print(runner.run(echo(5)), runner.run(both(6)))
loop = asyncio.new_event_loop()
print(loop.run_until_complete(echo(7)))
loop.close()";
    assert_eq!(printed_with_tools(code).await, "5 [6, None, 7]\n7\n");
}

#[tokio::test]
async fn a_nested_loop_takes_answers_for_the_outer_one() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let code = "
import asyncio
async def nested():
    return asyncio.run(f('inner'))
outer = asyncio.create_task(f('outer'))
await asyncio.sleep(0)
print(await nested(), outer.done(), await outer)";
    let run = start(&sandbox, code);
    let mut calls = handler.calls(2).await;
    let inner = calls.pop().expect("two");
    calls.pop().expect("one").reply.send(Ok("outer".into()));
    tokio::time::sleep(Duration::from_millis(30)).await;
    inner.reply.send(Ok("inner".into()));
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(text(&result.output.stdout), "inner False outer\n");
}

#[tokio::test]
async fn deep_nesting_of_loops() {
    let code = "
import asyncio
async def down(n): return n + (asyncio.run(down(n - 1)) if n else await echo(0))
print(await down(20), await echo(1))";
    assert_eq!(printed_with_tools(code).await, "210 1\n");
}

#[tokio::test]
async fn asyncio_timeouts() {
    let code = "
import asyncio
try:
    async with asyncio.timeout(0.02): await pause(60_000)
except TimeoutError as error: print('timeout', repr(error))
async with asyncio.timeout(60): print(await echo(1))
try: await asyncio.wait_for(pause(60_000), 0.02)
except TimeoutError: print('wait_for')
done, pending = await asyncio.wait([asyncio.ensure_future(pause(60_000)), asyncio.ensure_future(echo(2))], return_when='FIRST_COMPLETED')
print(len(done), len(pending), done.pop().result())
shielded = asyncio.ensure_future(pause(100))
try: await asyncio.wait_for(asyncio.shield(shielded), 0.01)
except TimeoutError: print(shielded.cancelled(), await shielded)";
    assert_eq!(
        printed_with_tools(code).await,
        "timeout TimeoutError()\n1\nwait_for\n1 1 2\nFalse None\n"
    );
}

#[tokio::test]
async fn task_groups() {
    let code = "
import asyncio
async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(echo(i)) for i in range(3)]
print([task.result() for task in tasks])
try:
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(pause(60_000))
        group.create_task(fail('E', 'm'))
except* CallbackError as errors:
    print(errors.exceptions, slow.cancelled())";
    assert_eq!(
        printed_with_tools(code).await,
        "[0, 1, 2]\n(CallbackError('E: m'),) True\n"
    );
}

#[tokio::test]
async fn threads_generators_and_context() {
    let code = "
import asyncio, contextvars
print(await asyncio.to_thread(lambda: asyncio.run(echo('thread'))))
async def numbers():
    for i in range(3):
        yield await echo(i)
print([n async for n in numbers()], [await echo(n) async for n in numbers() if await echo(n)])
async def left():
    try:
        yield await echo(1)
        yield await echo(2)
    finally:
        print('left', await echo(3))
        gone.set()
gone = asyncio.Event()
async for n in left(): break
await gone.wait()
async def sent():
    got = 0
    while True: got = yield await echo(got)
generator = sent()
print(await generator.asend(None), await generator.asend(5), await generator.asend(6))
await generator.aclose()
variable = contextvars.ContextVar('variable')
async def keeps(x):
    variable.set(x)
    await echo(0)
    return variable.get()
print(await asyncio.gather(*(keeps(i) for i in range(3))), variable.get('unset'))
async with asyncio.timeout(5): pass
lock = asyncio.Lock()
async def locked(x):
    async with lock: return await echo(x)
print(await asyncio.gather(*(locked(i) for i in range(3))))";
    assert_eq!(
        printed_with_tools(code).await,
        "thread\n[0, 1, 2] [1, 2]\nleft 3\n0 5 6\n[0, 1, 2] unset\n[0, 1, 2]\n"
    );
}

#[tokio::test]
async fn one_coroutine_is_one_call() {
    let code = "
import asyncio
c = echo(1)
print(await c)
try: await c
except RuntimeError as error: print(error)
task = asyncio.create_task(echo(2))
print(await task, await task)
import warnings
warnings.simplefilter('error')
print([await echo(3) for _ in range(2)], {await echo(i) for i in range(2)})";
    assert_eq!(
        printed_with_tools(code).await,
        "1\ncannot reuse already awaited coroutine\n2 2\n[3, 3] {0, 1}\n"
    );
}

#[tokio::test]
async fn a_loop_that_computes_between_awaits_is_interrupted() {
    let code = "
while True:
    await echo(1)
    for _ in range(1000): pass";
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = None;
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let limit = Duration::from_millis(300);
    for code in [
        code,
        "while True: await echo(1)",
        "await echo(1)\nwhile True: pass",
    ] {
        let started = Instant::now();
        let outcome = sandbox.execute(code, within(limit)).await;
        assert_timed_out(outcome, started, limit);
    }
}

#[tokio::test]
async fn a_deadline_may_meet_the_loop_between_two_steps() {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = None;
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "
import asyncio
while True: await asyncio.sleep(1e-6)";
    for code in [code, "while True: await echo(1)"] {
        for milliseconds in 30..50 {
            let (started, limit) = (Instant::now(), Duration::from_millis(milliseconds));
            let outcome = sandbox.execute(code, within(limit)).await;
            assert_timed_out(outcome, started, limit);
        }
    }
}

#[tokio::test]
async fn output_arrives_before_the_call() {
    struct Sink(tokio::sync::mpsc::UnboundedSender<String>);
    impl OutputSink for Sink {
        fn write(&self, _: Stream, text: &str) {
            drop(self.0.send(text.to_owned()));
        }
        fn wants(&self, _: Stream) -> bool {
            true
        }
        fn ready(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::ready(()))
        }
    }
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut options = ExecutionOptions::default();
    options.sink = Some(std::sync::Arc::new(Sink(sender)));
    let run = start_with(
        &sandbox,
        "print('before', end='')\nawait f()\nprint('after', end='')",
        options,
    );
    let (_, reply) = handler.one().await;
    assert_eq!(receiver.try_recv().as_deref(), Ok("before"));
    reply.send(Ok(Value::Null));
    succeeded(run.await.expect("ends"));
    assert_eq!(receiver.try_recv().as_deref(), Ok("after"));
}

#[tokio::test]
async fn waiting_for_a_callback_holds_no_thread() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let runs: Vec<_> = (0..40)
        .map(|index| {
            let code = match index % 2 {
                0 => "await f()",
                _ => "import asyncio\nasyncio.run(f())",
            };
            start(&sandbox, code)
        })
        .collect();
    for call in handler.calls(40).await {
        call.reply.send(Ok(Value::Null));
    }
    for run in runs {
        succeeded(run.await.expect("ends"));
    }
}

#[tokio::test]
async fn nothing_left_to_wait_for_is_a_deadlock() {
    let sandbox = Sandbox::new(runtime(), SandboxOptions::default()).expect("good options");
    for code in [
        "import asyncio\nawait asyncio.Event().wait()",
        "import asyncio\nasyncio.run(asyncio.Event().wait())",
    ] {
        let outcome = sandbox.execute(code, ExecutionOptions::default()).await;
        let message = crate::support::python_error(outcome).message;
        assert!(message.starts_with("RuntimeError: deadlock"), "{message}");
    }
    let code = "
import asyncio
await echo(1)
try: await asyncio.Event().wait()
except asyncio.CancelledError: print('asked')";
    assert_eq!(printed_with_tools(code).await, "asked\n");
}
