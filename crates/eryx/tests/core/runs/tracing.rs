//! Events of traced runs.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use eryx::{
    Error, ExecutionOptions, Outcome, OutputSink, Sandbox, SandboxOptions, Stream, TraceEvent,
    TraceKind, Value,
};

use crate::support::callbacks::{options_with, sandbox_of, succeeded, tools};
use crate::support::{list, python_error, runtime, sandbox, text, within};

fn traced() -> ExecutionOptions {
    let mut options = within(std::time::Duration::from_secs(20));
    options.trace = true;
    options
}

fn events(outcome: &Outcome) -> &[TraceEvent] {
    match outcome {
        Ok(result) => &result.output.trace,
        Err(failure) => &failure.output.trace,
    }
}

/// `line 1 <module>` and so on, with what is exact of the details.
fn shown(event: &TraceEvent) -> String {
    let function = event.function.as_deref().unwrap_or("-");
    let mut text = format!("{} {} {function}", event.kind.name(), event.line);
    for (key, value) in event.detail.iter().flatten() {
        match value {
            Value::String(detail) => text.extend([" ", key, "=", detail]),
            Value::Float(duration) => assert!(key == "durationMs" && *duration >= 0.0),
            other => panic!("{key} is {other:?}"),
        }
    }
    text
}

fn lines(outcome: &Outcome) -> Vec<String> {
    events(outcome).iter().map(shown).collect()
}

async fn trace_of(code: &str) -> Vec<String> {
    let outcome = sandbox_of(tools()).execute(code, traced()).await;
    let lines = lines(&outcome);
    succeeded(outcome);
    lines
}

#[tokio::test]
async fn lines_calls_and_returns() {
    let code = "x = 1\ndef f(a):\n    b = a\n    return b\n\nf(x)\nx";
    assert_eq!(
        trace_of(code).await,
        [
            "call 1 <module>",
            "line 1 <module>",
            "line 2 <module>",
            "line 6 <module>",
            "call 2 f",
            "line 3 f",
            "line 4 f",
            "return 4 f",
            "line 7 <module>",
            "return 7 <module>",
        ]
    );
    assert_eq!(
        TraceKind::CallbackEnd.name(),
        "callback-end",
        "the names are those of the JavaScript contract"
    );
}

#[tokio::test]
async fn exceptions_in_every_frame_they_go_through() {
    let code = "def f():\n    raise ValueError('no')\ndef g():\n    f()\ntry:\n    g()\nexcept ValueError:\n    pass";
    assert_eq!(
        trace_of(code).await,
        [
            "call 1 <module>",
            "line 1 <module>",
            "line 3 <module>",
            "line 5 <module>",
            "line 6 <module>",
            "call 3 g",
            "line 4 g",
            "call 1 f",
            "line 2 f",
            "exception 2 f type=ValueError message=no",
            "exception 4 g type=ValueError message=no",
            "exception 6 <module> type=ValueError message=no",
            "line 7 <module>",
            "line 8 <module>",
            "return 8 <module>",
        ]
    );
}

#[tokio::test]
async fn callbacks_start_and_end() {
    let code = "async def f(x):\n    return await echo(x)\nawait f(1)\ntry:\n    await fail('E', 'm')\nexcept CallbackError:\n    pass";
    assert_eq!(
        trace_of(code).await,
        [
            "call 1 <module>",
            "line 1 <module>",
            "line 3 <module>",
            "call 1 f",
            "line 2 f",
            "callback-start 2 f name=echo",
            "callback-end 2 f name=echo",
            "return 2 f",
            "line 4 <module>",
            "line 5 <module>",
            "callback-start 5 <module> name=fail",
            "callback-end 5 <module> name=fail error=CallbackError: E: m",
            "exception 5 <module> type=CallbackError message=E: m",
            // What CPython has behind an await that raises is on the same line.
            "line 5 <module>",
            "line 6 <module>",
            "line 7 <module>",
            "return 7 <module>",
        ]
    );
}

#[tokio::test]
async fn callbacks_that_are_refused_or_given_up_have_an_end_too() {
    let code = "
import asyncio
try: await echo(object())
except TypeError: pass
try: await asyncio.wait_for(pause(60_000), 0.01)
except TimeoutError: pass
await asyncio.gather(echo(1), echo(2))";
    let lines = trace_of(code).await;
    let of_callbacks: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("callback-"))
        .collect();
    assert_eq!(of_callbacks.len(), 8, "{of_callbacks:?}");
    assert_eq!(of_callbacks[0], "callback-start 3 <module> name=echo");
    assert_eq!(
        of_callbacks[1],
        "callback-end 3 <module> name=echo error=TypeError: echo() arguments[0]: object is not transferable"
    );
    assert!(of_callbacks[3].ends_with("name=pause error=asyncio.exceptions.CancelledError"));
    let both = |kind: &str| {
        let of_kind = of_callbacks[4..]
            .iter()
            .filter(|line| line.starts_with(kind));
        of_kind.count()
    };
    assert_eq!((both("callback-start"), both("callback-end")), (2, 2));
}

#[tokio::test]
async fn only_the_users_own_code_is_traced() {
    let code = "
import json, asyncio, functools
json.loads(json.dumps({'a': [1, 2]}))
sorted([2, 1], key=lambda x: -x)
await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))
try: json.loads('{')
except ValueError: pass
exec('y = 1')
@functools.cache
def f(): return 1
f(), f()";
    let lines = trace_of(code).await;
    for line in &lines {
        let function = line.split(' ').nth(2).expect("a function");
        assert!(["<module>", "<lambda>", "f"].contains(&function), "{line}");
    }
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("call 4 <lambda>"), 2);
    assert_eq!(count("call 9 f") + count("call 10 f"), 1);
    assert_eq!(
        count("exception 6 <module> type=json.decoder.JSONDecodeError"),
        1
    );
    assert_eq!(count("exception"), 1, "{lines:?}");
}

#[tokio::test]
async fn generators_classes_comprehensions_and_context_managers() {
    let code = "\
def numbers():
    yield 1
    yield 2
class A:
    x = [n for n in numbers()]
    def m(self): return self.x
import contextlib
@contextlib.contextmanager
def held():
    yield
with held():
    A().m()";
    let lines = trace_of(code).await;
    let expected = [
        "call 1 <module>",
        "line 1 <module>",
        "line 4 <module>",
        "call 4 A",
        "line 4 A",
        "line 5 A",
        "call 1 numbers",
        "line 2 numbers",
        "line 3 numbers",
        "return 3 numbers",
        "line 6 A",
        "return 6 A",
        "line 7 <module>",
    ];
    assert_eq!(lines[..expected.len()], expected);
    for line in [
        "call 8 held",
        "line 10 held",
        "return 10 held",
        "call 6 m",
        "line 6 m",
        "return 6 m",
    ] {
        assert_eq!(
            lines.iter().filter(|other| *other == line).count(),
            1,
            "{line}: {lines:?}"
        );
    }
    assert!(
        !lines.iter().any(|line| line.starts_with("exception")),
        "{lines:?}"
    );
    assert_eq!(lines.last().map(String::as_str), Some("return 11 <module>"));
}

#[tokio::test]
async fn a_run_that_fails_has_a_trace() {
    let sandbox = sandbox();
    let outcome = sandbox.execute("x = 1\n1/0", traced()).await;
    assert_eq!(
        lines(&outcome),
        [
            "call 1 <module>",
            "line 1 <module>",
            "line 2 <module>",
            "exception 2 <module> type=ZeroDivisionError message=division by zero",
        ]
    );
    assert_eq!(python_error(outcome).python_type, "ZeroDivisionError");
    assert_eq!(lines(&sandbox.execute("x = (", traced()).await), [""; 0]);
    let outcome = sandbox.execute("import sys\nsys.exit(3)", traced()).await;
    assert!(lines(&outcome).contains(&"exception 2 <module> type=SystemExit message=3".to_owned()));
    // One that is cut off shows what it did until shortly before.
    let mut options = traced();
    options.timeout = Some(Some(std::time::Duration::from_millis(300)));
    let outcome = sandbox.execute("x = 1\nwhile True:\n    try:\n        while True:\n            x = 2\n    except BaseException: pass", options).await;
    assert!(events(&outcome).len() > 100, "{:?}", lines(&outcome));
    assert!(matches!(
        outcome.map_err(|failure| failure.error),
        Err(Error::Timeout { .. })
    ));
}

#[tokio::test]
async fn off_means_no_events() {
    let outcome = sandbox()
        .execute(
            "def f(): pass\nf()\nimport sys\nsys.monitoring.get_tool(4)",
            ExecutionOptions::default(),
        )
        .await;
    assert!(events(&outcome).is_empty());
    let result = succeeded(outcome);
    assert!(!result.output.trace_truncated && result.value.is_none());
}

#[tokio::test]
async fn a_traced_run_leaves_nothing_behind() {
    let sandbox = sandbox();
    for _ in 0..4 {
        assert!(!events(&sandbox.execute("x = 1", traced()).await).is_empty());
        let plain = sandbox
            .execute(
                "x = 1\nimport sys\nsys.monitoring.get_tool(4) is None",
                ExecutionOptions::default(),
            )
            .await;
        assert!(events(&plain).is_empty());
        assert_eq!(succeeded(plain).value, Some(true.into()));
    }
}

#[tokio::test]
async fn events_are_capped_and_flagged() {
    let sandbox = sandbox();
    let outcome = sandbox
        .execute("for i in range(20_000):\n    i", traced())
        .await;
    let result = succeeded(outcome);
    assert!(!result.output.trace_truncated);
    let outcome = sandbox
        .execute("for i in range(60_000):\n    i\n'done'", traced())
        .await;
    let result = succeeded(outcome);
    assert_eq!(result.value, Some("done".into()));
    assert_eq!(
        (result.output.trace.len(), result.output.trace_truncated),
        (100_000, true)
    );
    // The first ones are kept.
    assert_eq!(shown(&result.output.trace[0]), "call 1 <module>");
}

#[tokio::test]
async fn large_events_are_capped_sooner() {
    let code = "for i in range(30_000):\n    try: raise ValueError('x' * 5000)\n    except ValueError: pass";
    let result = succeeded(sandbox().execute(code, traced()).await);
    let size: usize = result.output.trace.iter().map(TraceEvent::size).sum();
    assert!(result.output.trace_truncated && size <= 16 << 20, "{size}");
    let longest = result.output.trace.iter().map(TraceEvent::size).max();
    assert!(longest < Some(2000), "{longest:?}");
}

#[tokio::test]
async fn exceptions_that_cannot_be_shown_do_not_disturb() {
    let code = "
class E(Exception):
    def __str__(self): raise SystemExit
class M(type):
    __module__ = property(lambda c: 1/0)
class F(Exception, metaclass=M):
    def __str__(self): return '\\ud800' * 2000
for kind in (E, F):
    try: raise kind
    except kind: pass
print('fine')";
    let outcome = sandbox().execute(code, traced()).await;
    let lines = lines(&outcome);
    assert_eq!(text(&succeeded(outcome).output.stdout), "fine\n");
    assert!(
        lines
            .contains(&"exception 9 <module> type=E message=<str() failed with SystemExit>".into()),
        "{lines:?}"
    );
}

#[tokio::test]
async fn libraries_are_not_traced() {
    let mut options = SandboxOptions::default();
    options.libraries = vec!["def helper(x):\n    y = x\n    return call(y)\n".into()];
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "def call(y):\n    return y\nhelper(1)";
    assert_eq!(
        lines(&sandbox.execute(code, traced()).await),
        [
            "call 1 <module>",
            "line 1 <module>",
            "line 3 <module>",
            "call 1 call",
            "line 2 call",
            "return 2 call",
            "return 3 <module>",
        ]
    );
}

#[tokio::test]
async fn lines_are_true_in_a_large_source() {
    let filler = format!("x = '{}'\n", "y".repeat(70_000));
    let code = format!("{filler}{filler}def f():\n    return 1\nf()");
    let lines = trace_of(&code).await;
    assert!(lines.contains(&"line 4 f".to_owned()), "{lines:?}");
    assert!(lines.contains(&"line 5 <module>".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn memory_that_runs_out_while_events_wait_is_a_memory_error() {
    let code = "
for i in range(400):
    try: raise ValueError('x' * 1000)
    except ValueError: pass
held = []
while True: held.append(b'x' * 1000)";
    let outcome = sandbox().execute(code, traced()).await;
    assert!(events(&outcome).len() > 1000);
    let error = python_error(outcome);
    assert_eq!(
        (error.python_type.as_str(), error.interpreter_lost),
        ("MemoryError", false)
    );
}

#[derive(Default)]
struct Sink(Mutex<Vec<TraceEvent>>);

impl OutputSink for Sink {
    fn write(&self, _: Stream, _: &str) {}
    fn wants(&self, _: Stream) -> bool {
        false
    }
    fn trace(&self, events: &[TraceEvent]) {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(events);
    }
    fn wants_trace(&self) -> bool {
        true
    }
    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_sink_gets_all_events_in_order() {
    let sandbox = sandbox();
    let sink = Arc::new(Sink::default());
    let mut options = within(std::time::Duration::from_secs(20));
    options.sink = Some(Arc::clone(&sink) as _);
    let outcome = sandbox
        .execute("for i in range(60_000):\n    i", options)
        .await;
    // Nobody asked for them to be collected.
    let result = succeeded(outcome);
    assert!(result.output.trace.is_empty() && !result.output.trace_truncated);
    let seen = sink.0.lock().expect("not poisoned");
    assert!(seen.len() > 120_000, "{}", seen.len());
    assert_eq!(shown(&seen[0]), "call 1 <module>");
    assert_eq!(seen.last().map(shown).as_deref(), Some("return 1 <module>"));
}

#[tokio::test]
async fn a_traced_run_gives_the_same_result() {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = Some(10);
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "
import asyncio
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print('out')
result = [fib(15), await asyncio.gather(*(echo(i) for i in range(3)))]
result[0]";
    let plain = succeeded(sandbox.execute(code, ExecutionOptions::default()).await);
    let with = succeeded(sandbox.execute(code, traced()).await);
    let expected = list([610.into(), list([0.into(), 1.into(), 2.into()])]);
    assert_eq!(
        (&plain.result, &with.result),
        (&Some(expected), &plain.result)
    );
    assert_eq!(
        (plain.value, plain.output.stdout),
        (with.value, with.output.stdout)
    );
    assert_eq!(
        plain.output.usage.callback_invocations,
        with.output.usage.callback_invocations
    );
}
