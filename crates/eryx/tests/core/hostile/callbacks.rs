//! Code that attacks the Python side of callbacks, or calls the host by hand.
//!
//! Whatever it does ends in a Python exception or in the end of its own run; the next run is fine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eryx::{Arguments, Error, ExecutionOptions, Outcome, PythonError, Sandbox, Value};

use crate::support::callbacks::{Recorder, handled_with, options_with, start, succeeded, tools};
use crate::support::{alone, python_error, runtime, text, within};

pub(crate) const SOON: Duration = Duration::from_mins(1);
/// For code that may break its own waits.
const MOMENT: Duration = Duration::from_millis(100);

fn hostile_options() -> ExecutionOptions {
    within(SOON)
}

pub(crate) fn unlimited() -> Sandbox {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = None;
    Sandbox::new(runtime(), options).expect("good options")
}

/// Runs hostile code, which must end by itself unless it has little time, and then good code.
pub(crate) async fn endured_by(
    sandbox: &Sandbox,
    code: &str,
    options: ExecutionOptions,
) -> Outcome {
    let may_wait = options.timeout != Some(Some(SOON));
    let outcome = sandbox.execute(code, options).await;
    if let Err(failure) = &outcome {
        let good = match failure.error {
            Error::Python(_) | Error::ResourceLimit(_) => true,
            Error::Timeout { .. } => may_wait,
            _ => false,
        };
        assert!(good, "{code}\n{:?}", failure.error);
    }
    let good =
        "import asyncio\nprint(await asyncio.gather(echo(1), asyncio.sleep(0.001, 2), echo(3)))";
    let mut options = hostile_options();
    options.trace = true;
    let good = sandbox.execute(good, options).await.expect("the next run");
    assert_eq!(text(&good.output.stdout), "[1, 2, 3]\n", "{code}");
    assert_eq!(
        (
            good.output.trace.len(),
            good.output.usage.callback_invocations
        ),
        (8, 2),
        "{code}"
    );
    outcome
}

async fn endured(code: &str) -> Outcome {
    endured_by(&unlimited(), code, hostile_options()).await
}

async fn endured_error(code: &str) -> PythonError {
    python_error(endured(code).await)
}

#[tokio::test]
async fn arguments_of_the_wrong_type() {
    let sandbox = unlimited();
    for call in [
        "call()",
        "call(0)",
        "call(0, 'n', [])",
        "call(0, 'n', [], {}, 5)",
        "call('0', 'n', [], {})",
        "call(None, 'n', [], {})",
        "call(0.5, 'n', [], {})",
        "call(2**31, 'n', [], {})",
        "call(-2**31 - 1, 'n', [], {})",
        "call(0, 5, [], {})",
        "call(0, None, [], {})",
        "call(0, 'a\\0b', [], {})",
        "call(0, '\\ud800', [], {})",
        "call(0, 'n', object(), {})",
        "call(0, 'n', [], {1: 2})",
        "call(0, '%s%n%s' * 1000, [object()], {})",
        "call(0, 'ü' * 1000, [object()], {'ü' * 1000: 1})",
        "cancel()",
        "cancel(1, 2)",
        "cancel('1')",
        "cancel(None)",
        "cancel(0.5)",
        "cancel(2**63)",
        "cancel(-2**63 - 1)",
        "answer(1)",
        "trace()",
        "trace(object())",
        "trace([object()])",
        "trace(1, 2)",
        "decode()",
        "decode('n')",
        "decode(None)",
        "decode(bytearray(b'n'))",
        "decode(memoryview(b'n'))",
        "deliver(0, object(), 'n')",
        "wait('1')",
        "wait(2**63)",
    ] {
        let code = format!(
            "import _eryx\ntry: print(_eryx.{call})\nexcept (TypeError, OverflowError, ValueError, UnicodeError): print('refused')"
        );
        let result = succeeded(sandbox.execute(&code, hostile_options()).await);
        assert_eq!(text(&result.output.stdout), "refused\n", "{call}");
        assert_eq!(result.output.usage.callback_invocations, 0, "{call}");
    }
}

#[tokio::test]
async fn calls_that_the_host_refuses() {
    let code = "
import _eryx
class Index:
    def __index__(self): return 2**31 - 1
deep = None
for _ in range(255): deep = [deep]
cases = [(4, [], {}), (-1, [], {}), (2**31 - 1, [], {}), (-2**31, [], {}), (Index(), [], {}),
    (0, {}, []), (0, None, None), (0, 5, {}), (0, [], []), (0, b'', ''), (0, [None] * 1_048_576, {}),
    (0, [[[]] * 1100] * 1100, {}), (0, [], dict.fromkeys(map(str, range(600_000)), [0]))]
print([_eryx.call(callback, 'n', positional, named) for callback, positional, named in cases[:5]])
print([_eryx.call(callback, 'n', positional, named) for callback, positional, named in cases[5:]])
print(_eryx.call(0, 'n', (deep,), {'k': (deep,)}), _eryx.call(True, 'n', [], {}))";
    let result = endured(code).await.expect("nothing is raised");
    assert_eq!(
        text(&result.output.stdout),
        "[-1, -1, -1, -1, -1]\n[-4, -4, -4, -4, -4, -4, -4, -4]\n1 2\n"
    );
    assert_eq!(result.output.usage.callback_invocations, 2);
}

#[tokio::test]
async fn numbers_of_calls_that_do_not_exist() {
    let code = "
import _eryx, asyncio
for number in (0, -1, 1, 2, 10**9, 2**63 - 1, -2**63): _eryx.cancel(number)
task = asyncio.create_task(echo('kept'))
await asyncio.sleep(0)
print(_eryx.call(0, 'n', [], {}))
for number in (0, -1, 2, 2, 3, 10**9): _eryx.cancel(number)
print(await task)
_eryx.cancel(1)
print(_eryx.answer(), await echo(2))";
    let result = endured(code).await.expect("runs");
    assert_eq!(text(&result.output.stdout), "2\nkept\nNone 2\n");
}

#[tokio::test]
async fn a_call_cancelled_behind_the_back_of_its_future() {
    let code = "
import _eryx, asyncio
task = asyncio.create_task(pause(60_000))
await asyncio.sleep(0)
_eryx.cancel(1)
try: await asyncio.wait_for(task, 0.05)
except TimeoutError: print('never answered')
_eryx.call(0, 'n', ['by hand'], {})
print(await echo(1))";
    let result = endured(code).await.expect("runs");
    assert_eq!(text(&result.output.stdout), "never answered\n1\n");
}

#[tokio::test]
async fn answers_taken_by_hand() {
    let code = "
import _eryx, asyncio, time
a, b = _eryx.call(0, 'n', [1], {}), _eryx.call(2, 'n', ['E', 'm'], {})
answers = []
while len(answers) < 2:
    _eryx.wait(10**9)
    while (answer := _eryx.answer()) is not None: answers.append(answer)
print(sorted(answers) == [(a, 0, 1), (b, 1, ['E', 'm'])], _eryx.answer())
task = asyncio.create_task(echo(2))
await asyncio.sleep(0)
_eryx.wait(10**9)
print(_eryx.answer()[1:])
try: await asyncio.wait_for(task, 0.05)
except TimeoutError: print('stolen')";
    let result = endured(code).await.expect("runs");
    assert_eq!(text(&result.output.stdout), "True None\n(0, 2)\nstolen\n");
}

#[tokio::test]
async fn bytes_that_are_no_value() {
    let sandbox = unlimited();
    for bytes in [
        "b''",
        "b'?'",
        "b'i'",
        "b's\\xff\\xff\\xff\\xff'",
        "b's\\x01\\0\\0\\0\\xff'",
        "b'l\\xff\\xff\\xff\\xff'",
        "b'l\\xff\\xff\\xff\\x7f'",
        "b'l\\xff\\xff\\xff\\x0fn'",
        "b'l\\x02\\0\\0\\0n'",
        "b'm\\xff\\xff\\xff\\xff'",
        "b'm\\x01\\0\\0\\0\\x01\\0\\0\\0\\xffn'",
        "b'm\\x01\\0\\0\\0\\x01\\0\\0\\0a'",
        "b'I\\xff\\xff\\xff\\xff'",
        "b'l\\x02\\0\\0\\0' * 1000",
    ] {
        let code =
            format!("import _eryx\ntry: _eryx.decode({bytes})\nexcept Exception: print('refused')");
        let result = succeeded(sandbox.execute(&code, hostile_options()).await);
        assert_eq!(text(&result.output.stdout), "refused\n", "{bytes}");
    }
    let code = "import _eryx\nprint(_eryx.decode(b'I\\0\\0\\0\\0'), _eryx.decode(b'nn'), _eryx.decode(b'm\\0\\0\\0\\0'))";
    assert!(endured(code).await.is_ok());
    // Deeper than any stack.
    for tag in ["l", "m\\x01\\0\\0\\0\\0\\0\\0\\0m"] {
        let code = format!("import _eryx\n_eryx.decode(b'{tag}\\x01\\0\\0\\0' * 3_000_000)");
        endured_error(&code).await;
    }
}

#[tokio::test]
async fn large_and_nested_arguments() {
    for code in [
        "await echo('x' * 1_000_000_000)",
        "await echo(*['x' * 1_000_000] * 1000)",
        "await echo(**{str(i): 'x' * 1_000_000 for i in range(1000)})",
        "x = []\nfor _ in range(10_000): x = [x]\nawait echo(x)",
        "x = {}\nfor _ in range(10_000): x = {'k': x}\nawait echo(**x)",
        "x = []\nx.append(x)\nawait echo(*x)",
        "x = {}\nx['x'] = x\nawait echo(**x)",
        "await echo([None] * 2_000_000)",
        "await echo([[None] * 1000] * 2000)",
        "await echo([{'a': 1}] * 2_000_000)",
        "await echo(1 << 600_000_000)",
    ] {
        let error = endured_error(code).await;
        assert!(!error.interpreter_lost, "{code}: {error:?}");
        assert!(
            ["TypeError", "MemoryError"].contains(&error.python_type.as_str()),
            "{code}: {}",
            error.message
        );
    }
}

#[tokio::test]
async fn arguments_that_change_while_they_are_read() {
    let code = "
class D(dict):
    def items(self): raise SystemExit
    keys = __iter__ = __len__ = __getitem__ = items
class L(list):
    def __iter__(self): raise SystemExit
    __len__ = __getitem__ = __iter__
class S(str):
    def __str__(self): raise SystemExit
    encode = __hash__ = __eq__ = __len__ = __str__
print(await echo(D(a=L([1, S('x')]))))
print(await seen(*L([1]) if False else [1], **{'a': D(b=2)}))";
    let result = endured(code).await.expect("runs");
    assert_eq!(
        text(&result.output.stdout),
        "{'a': [1, 'x']}\n[[1], {'a': {'b': 2}}]\n"
    );
}

#[tokio::test]
async fn calls_that_nobody_waits_for() {
    for (code, calls) in [
        (
            "import _eryx\nn = [_eryx.call(0, 'n', [i], {}) for i in range(10_000)]\nprint(max(n), min(n))",
            4096,
        ),
        (
            "import _eryx, asyncio\nfor i in range(4096): _eryx.call(3, 'n', [60_000], {})\nawait asyncio.sleep(0.01)\nprint(4096, -3)",
            4096,
        ),
    ] {
        let result = endured(code).await.expect("runs");
        assert_eq!(text(&result.output.stdout), "4096 -3\n", "{code}");
        assert_eq!(result.output.usage.callback_invocations, calls);
    }
    // All room is taken by calls that no future belongs to.
    let code = "
import _eryx
for i in range(4096): _eryx.call(3, 'n', [60_000], {})
await echo(1)";
    let error = endured_error(code).await;
    assert!(
        error.message.starts_with("RuntimeError: deadlock"),
        "{error:?}"
    );
    let code = "for i in range(100_000): echo(i)\nprint('done')";
    let result = endured(code).await.expect("only warnings");
    assert_eq!(result.output.usage.callback_invocations, 0);
}

#[tokio::test]
async fn taking_the_python_side_apart() {
    let sandbox = unlimited();
    for code in [
        "c._call = None\nawait echo(1)",
        "c._start = lambda *a: 5\nawait echo(1)",
        "async def start(*a): return 'x'\nc._start = start\nawait echo(1)",
        "async def start(*a): return 1 << 80\nc._start = start\nawait echo(1)",
        "c._waiting = None\nawait echo(1)",
        "c._waiting = 5\nawait echo(1)",
        "c._waiting = {1: 5}\nawait echo(1)",
        "c._waiting[2] = None\nawait echo(1)\nawait echo(2)",
        "c._queued = None\nawait asyncio.wait_for(pause(60_000), 0.01)",
        "c.take_answers = lambda: 1/0\nawait echo(1)",
        "c.take_answers = None\nasyncio.run(echo(1))",
        "c.waits = lambda: exit(3)\nawait echo(1)",
        "c.waits = lambda: False\nawait echo(1)",
        "c._failure = lambda *a: 5\nawait fail('E', 'm')",
        "c._failure = lambda *a: SystemExit(3)\nawait fail('E', 'm')",
        "c.before_call = 5\nawait echo(1)",
        "c.observe = lambda name: 5\nawait echo(1)",
        "c.observe = lambda name: exit(3)\nawait echo(1)",
        "c.CallbackError.__init__ = None\nawait fail('E', 'm')",
        "c.Callback.__call__ = lambda *a: 5\necho()",
        "c.Callback.__init__ = None",
        "c._all.clear()\nlist_callbacks()",
        "c._all.append(5)\nlist_callbacks()",
        "echo._details = b'garbage'\nawait echo(1)",
        "echo._details = [1, 2, [[]], 4]\nawait echo(1)",
        "echo._index = -1\nawait echo(1)",
        "echo._index = 1 << 80\nawait echo(1)",
        "echo.__name__ = 'x\\0'\nawait echo(1)",
        "echo.__name__ = 5\nawait echo(1)",
        "echo._members = {'a': echo}\nawait echo.a.a.a(1)",
        "c.__dict__.clear()\nawait echo(1)",
        "del c.events\nawait echo(1)",
        "_eryx.call = lambda *a: -7\nawait echo(1)",
        "_eryx.call = lambda *a: None\nawait echo(1)",
        "_eryx.call = lambda *a: -3\nawait echo(1)",
        "_eryx.answer = lambda: (1, 0)\nawait echo(1)",
        "_eryx.answer = lambda: (1, 7, 5)\nawait echo(1)",
        "_eryx.answer = lambda: exit(3)\nawait echo(1)",
        "_eryx.cancel = None\nawait asyncio.wait_for(pause(60_000), 0.01)",
        "_eryx.wait = lambda n: 1/0\nasyncio.run(echo(1))",
        "l._loop = None\nawait echo(1)",
        "l._Selector.select = lambda self, timeout: 5\nawait echo(1)",
        "l._Selector.select = lambda self, timeout: exit(3)\nawait asyncio.sleep(0.01)\nawait echo(1)",
        "l.cancel_all = l.outcome = l.advance = None\nawait echo(1)",
        "l._UNINTERRUPTED.clear()\nawait echo(1)",
        "l._deadlocked = None\nawait asyncio.Event().wait()",
        "l.Loop._run_once = lambda self: 1/0\nawait echo(1)",
        "del sys.modules['_eryx_callbacks'], sys.modules['_eryx_loop'], sys.modules['_eryx_trace']\nawait echo(1)",
        "sys.modules['_eryx_callbacks'] = sys.modules['_eryx_loop'] = None\nawait echo(1)",
        "asyncio.events.get_running_loop = lambda: 5\nawait echo(1)",
        "asyncio.events._get_running_loop = None\nawait echo(1)",
        "asyncio.Future.set_result = None\nawait echo(1)",
        "asyncio.get_running_loop().create_future = lambda: 5\nawait echo(1)",
        "asyncio.get_running_loop()._ready.clear()\nawait echo(1)",
        "asyncio.get_running_loop().close()",
        "asyncio.get_running_loop().stop()\nawait echo(1)",
    ] {
        let code = format!(
            "import asyncio, sys, _eryx, _eryx_callbacks as c, _eryx_loop as l\nawait asyncio.sleep(0)\n{code}"
        );
        let _ = endured_by(&sandbox, &code, within(MOMENT)).await;
    }
}

#[tokio::test]
async fn loops_that_never_wait_end_at_the_deadline() {
    let sandbox = unlimited();
    for code in [
        "import _eryx_callbacks as c\nc.take_answers = lambda: None\nawait echo(1)",
        "import _eryx\n_eryx.answer = lambda: None\nawait echo(1)",
        "import _eryx\n_eryx.answer = lambda: (1, 0, 0)\nawait echo(1)\nawait echo(1)",
        "import _eryx\nwhile True: _eryx.cancel(_eryx.call(0, 'n', [], {}))",
        "import _eryx\nwhile True: _eryx.wait(0)",
        "import _eryx\nwhile True: _eryx.answer()",
        "import _eryx\nwhile True: _eryx.trace([])",
        "import _eryx_loop\n_eryx_loop.advance = lambda task: 0\nawait echo(1)",
    ] {
        let limit = Duration::from_millis(200);
        let started = std::time::Instant::now();
        let outcome = sandbox.execute(code, within(limit)).await;
        crate::support::assert_timed_out(outcome, started, limit);
    }
    let good = succeeded(sandbox.execute("await echo(1)", hostile_options()).await);
    assert_eq!(good.value, Some(1.into()));
}

#[tokio::test]
async fn a_slow_handler_holds_back_a_guest_that_calls_and_cancels() {
    let handler = Recorder::new();
    let sandbox = handled_with(&["f"], &handler, |options| {
        options.limits.max_callback_invocations = None;
    });
    let code = "
import _eryx
for i in range(20_000): _eryx.cancel(_eryx.call(0, 'n', [i], {}))
await f('last')";
    let run = start(&sandbox, code);
    let mut calls = handler.calls(20_001).await;
    assert_eq!(handler.cancelled(20_000).await.len(), 20_000);
    let last = calls.pop().expect("the last one");
    // Answers to what was cancelled go nowhere.
    for call in calls {
        call.reply.send(Ok("nobody waits".into()));
    }
    last.reply.send(Ok("answer".into()));
    assert_eq!(
        succeeded(run.await.expect("ends")).value,
        Some("answer".into())
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn calls_take_no_more_of_the_host_than_the_caps() {
    use crate::support::process_kibibytes;
    if !alone("hostile::callbacks::calls_take_no_more_of_the_host_than_the_caps") {
        return;
    }
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    let functions = tools()
        .with("large", |_: Arguments| async {
            Ok(vec![1u8; 16 << 20].into())
        })
        .with("many", move |_: Arguments| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Ok(Value::Null) }
        });
    let mut options = options_with(functions);
    options.limits.max_callback_invocations = None;
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    succeeded(sandbox.execute("await echo(1)", hostile_options()).await);
    // The memory limit, 64 MiB of arguments, 256 MiB of answers, and 64 MiB.
    let cap = (128 + 64 + 256 + 64) << 10;
    for code in [
        "x = bytes(1 << 20)\nwhile True: _eryx.cancel(_eryx.call(3, 'n', [60_000, x], {}))",
        "x = bytes(1 << 20)\nwhile True: _eryx.call(3, 'n', [60_000, x], {})",
        "while True: _eryx.cancel(_eryx.call(3, 'n', [60_000], {}))",
        "while True: _eryx.cancel(_eryx.call(5, 'n', [], {}))",
        "while True: _eryx.call(5, 'n', [], {})",
        "while True: _eryx.call(4, 'n', [], {})",
        "x = [None] * 1_000_000\nwhile True: _eryx.cancel(_eryx.call(0, 'n', [x], {}))",
    ] {
        let before = process_kibibytes("VmHWM");
        let code = format!("import _eryx\n{code}");
        let outcome = sandbox
            .execute(&code, within(Duration::from_millis(250)))
            .await;
        assert!(outcome.is_err(), "{code}");
        let peak = process_kibibytes("VmHWM").saturating_sub(before);
        assert!(peak < cap, "{code}: {peak} KiB");
    }
    assert!(answered.load(Ordering::Relaxed) > 1000);
}

#[tokio::test]
async fn values_of_a_callback_cannot_reach_the_host() {
    let code = "
shown = []
for call in ('echo(object())', 'echo(a=1j)', 'fail(\"E\", \"m\")', 'echo(echo)'):
    try: await eval(call)
    except Exception as error:
        import traceback
        shown.append(''.join(traceback.format_exception(error)))
result = [*shown, repr(echo), str(echo.__class__), repr(dir(echo)), repr(list_callbacks()), echo.__class__.__module__]";
    let result = endured(code).await.expect("runs");
    let shown = format!("{:?}", result.result);
    for secret in ["/target/", "/crates/", ".rs:", "/eryx/", "_eryx_callbacks"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
