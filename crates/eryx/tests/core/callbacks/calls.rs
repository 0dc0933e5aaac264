//! Functions of the host: what goes in, what comes out, how they fail, how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eryx::{
    Arguments, BigInt, CallbackFailure, CallbackFunctions, ExecutionOptions, Sandbox, Value,
};

use crate::support::callbacks::{
    Recorder, first, handled, message_with_tools, options_with, printed_with_tools, raised,
    sandbox_of, start, succeed_in, succeeded, tools,
};
use crate::support::{list, python_error, runtime, text};

#[tokio::test]
async fn every_kind_of_value_goes_in_and_comes_back() {
    for source in [
        "None",
        "True",
        "False",
        "0",
        "-1",
        "2**53 + 1",
        "2**63 - 1",
        "-2**63",
        "2**63",
        "2**70",
        "-2**70",
        "-2**1000",
        "1 << 100_000",
        "0.1",
        "-0.0",
        "1e308",
        "5e-324",
        "float('inf')",
        "-float('inf')",
        "''",
        "'a\\0b'",
        "'grüße \\U0001F600'",
        "'x' * 1_000_000",
        "b''",
        "bytes(range(256))",
        "b'x' * 1_000_000",
        "[]",
        "[None, [True, [0, [0.5, ['', [b'']]]]]]",
        "list(range(10_000))",
        "{}",
        "{'': 1, 'z': 2, 'a': {'__proto__': []}}",
        "dict.fromkeys(map(str, range(10_000)))",
    ] {
        let code = format!(
            "x = {source}\ny = await echo(x)\nassert type(x) is type(y) and repr(x) == repr(y), y"
        )
        .replace("repr(x) == repr(y)", "x == y and str(x)[:1] == str(y)[:1]");
        let code = format!("import sys\nsys.set_int_max_str_digits(0)\n{code}");
        succeed_in(&sandbox_of(tools()), &code).await;
    }
    let code = "import math\nx = await echo(float('nan'))\nprint(type(x), math.isnan(x))";
    assert_eq!(printed_with_tools(code).await, "<class 'float'> True\n");
}

#[tokio::test]
async fn what_the_host_sees_is_exact() {
    let sandbox = sandbox_of(tools());
    let code =
        "result = await seen(1, 2**70, b'\\xff', 'é', None, True, 0.5, [1], {'a': 1}, k=-2**70)";
    let big = BigInt::from(2).pow(70);
    let expected = list([
        list([
            1.into(),
            big.clone().into(),
            vec![255u8].into(),
            "é".into(),
            Value::Null,
            true.into(),
            0.5.into(),
            list([1.into()]),
            Value::Map(vec![("a".into(), 1.into())]),
        ]),
        Value::Map(vec![("k".into(), (-big).into())]),
    ]);
    assert_eq!(succeed_in(&sandbox, code).await.result, Some(expected));
}

#[tokio::test]
async fn subclasses_cross_as_what_they_are_made_of() {
    let code = "
import collections, enum
class E(enum.IntEnum): A = 5
P = collections.namedtuple('P', 'x y')
x = await echo([E.A, P(1, 2), (3,), {4}, frozenset([5]), bytearray(b'6'), collections.OrderedDict(a=7), True])
print(x, {type(item).__name__ for item in x})";
    assert_eq!(
        printed_with_tools(code).await.split('{').next(),
        Some("[5, [1, 2], [3], [4], [5], b'6', ")
    );
}

#[tokio::test]
async fn nesting_goes_to_256_levels() {
    let code = "
def nested(levels, wrap, x=None):
    for _ in range(levels): x = wrap(x)
    return x
for wrap in (lambda x: [x], lambda x: {'k': x}):
    x = nested(255, wrap)
    assert await echo(x) == x
    try: await echo(nested(257, wrap))
    except TypeError as error: print(error)
x = []
x.append(x)
try: await echo(x)
except TypeError as error: print(error)";
    let line = "echo() arguments: cyclic value, or one nested deeper than 256 levels, is not transferable\n";
    assert_eq!(printed_with_tools(code).await, line.repeat(3));
}

#[tokio::test]
async fn arguments_that_cannot_cross_are_named() {
    for (arguments, message) in [
        ("object()", "[0]: object is not transferable"),
        ("1, [2, range(3)]", "[1][1]: range is not transferable"),
        ("a={'b': 1j}", ".a.b: complex is not transferable"),
        (
            "{1: 2}",
            "[0]: dict with a key that is not a str is not transferable",
        ),
        (
            "'\\ud800'",
            "[0]: str with a lone surrogate is not transferable",
        ),
        ("echo", "[0]: Callback is not transferable"),
    ] {
        assert_eq!(
            message_with_tools(&format!("await echo({arguments})")).await,
            format!("TypeError: echo() arguments{message}")
        );
    }
    let many = message_with_tools("await echo([None] * 2_000_000)").await;
    let large = message_with_tools("await echo(b'x' * (65 << 20))").await;
    let refused =
        "TypeError: echo() arguments: more than 64 MiB or 1,048,576 values are not transferable";
    assert_eq!((many.as_str(), large.as_str()), (refused, "MemoryError"));
}

#[tokio::test]
async fn positional_and_keyword_arguments_arrive_as_given() {
    let code = "
print(await seen())
print(await seen(1, 2, *[3], a=4, **{'b': 5, 'not a name': 6, 'self': 7, 'name': 8}))
try: await seen(a=1, **{'a': 2})
except TypeError as error: print(error)";
    assert_eq!(
        printed_with_tools(code).await,
        "[[], {}]\n[[1, 2, 3], {'a': 4, 'b': 5, 'not a name': 6, 'self': 7, 'name': 8}]\n\
         seen() got multiple values for keyword argument 'a'\n"
    );
}

#[tokio::test]
async fn arguments_are_taken_when_the_call_starts() {
    let code = "
import asyncio
x = [1]
call = echo(x)
x.append(2)
task = asyncio.create_task(call)
await asyncio.sleep(0)
x.append(3)
print(await task, x)";
    assert_eq!(printed_with_tools(code).await, "[1, 2] [1, 2, 3]\n");
}

#[tokio::test]
async fn failures_are_exceptions_that_tell_what_the_host_said() {
    let code = "
try: await fail('RangeError', 'too far')
except CallbackError as error:
    print(repr(error), error.name, error.message, error.callback, isinstance(error, RuntimeError))
for arguments in (('E', ''), ('', 'm'), ('', ''), ('E\\n', 'grüße')):
    try: await fail(*arguments)
    except CallbackError as error: print([str(error), error.name, error.message])";
    assert_eq!(
        printed_with_tools(code).await,
        "CallbackError('RangeError: too far') RangeError too far fail True\n\
         ['E', 'E', '']\n['m', '', 'm']\n['', '', '']\n['E\\n: grüße', 'E\\n', 'grüße']\n"
    );
    assert_eq!(
        message_with_tools("await fail('Error', 'no')").await,
        "CallbackError: Error: no"
    );
}

#[tokio::test]
async fn the_traceback_of_a_failure_shows_the_users_lines_only() {
    let sandbox = sandbox_of(tools());
    let code = "async def f():\n    await fail('E', 'm')\n\nawait f()";
    let error = python_error(sandbox.execute(code, ExecutionOptions::default()).await);
    let lines: Vec<_> = error.frames.iter().map(|frame| frame.line).collect();
    assert_eq!(
        (error.python_type.as_str(), lines),
        ("CallbackError", vec![4, 2])
    );
    assert!(!error.traceback.contains("_eryx"), "{}", error.traceback);
}

#[tokio::test]
async fn refused_arguments_are_a_callback_error_and_a_type_error() {
    let functions = CallbackFunctions::new().with("f", |_: Arguments| async {
        Err(CallbackFailure::Arguments(
            "argument 'x' must be a string".into(),
        ))
    });
    let code = "
try: await f(1)
except CallbackArgumentError as error:
    print(error, isinstance(error, TypeError), isinstance(error, CallbackError), error.callback, error.message)";
    let result = succeed_in(&sandbox_of(functions), code).await;
    assert_eq!(
        text(&result.output.stdout),
        "f(): argument 'x' must be a string True True f argument 'x' must be a string\n"
    );
}

#[tokio::test]
async fn results_that_cannot_cross_are_an_error_of_the_call() {
    let deep = (0..300).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let functions = CallbackFunctions::new()
        .with("deep", move |_: Arguments| {
            let deep = deep.clone();
            async { Ok(deep) }
        })
        .with("large", |_: Arguments| async {
            Ok(vec![0u8; 65 << 20].into())
        })
        .with("loud", |_: Arguments| async {
            Err(raised("E", &"x".repeat(65 << 20)))
        });
    let code = "
for f in (deep, large, loud):
    try: await f()
    except CallbackError as error: print(error)";
    let result = succeed_in(&sandbox_of(functions), code).await;
    assert_eq!(
        text(&result.output.stdout),
        "TypeError: the result is nested deeper than 259 levels\n\
         TypeError: the result is larger than 67108864 bytes\n\n"
    );
}

#[tokio::test]
async fn encoded_results_are_checked() {
    let handler = Recorder::new();
    let sandbox = handled(&["f"], &handler);
    let code = "
for _ in range(3):
    try: print(await f())
    except CallbackError as error: print(error)";
    let run = start(&sandbox, code);
    let deep = [b"l\x01\0\0\0".repeat(300), b"n".to_vec()].concat();
    for (answer, good) in [
        (b"l\x01\0\0\0t".to_vec(), true),
        (b"?".to_vec(), false),
        (deep, false),
    ] {
        let (_, reply) = handler.one().await;
        assert_eq!(reply.send_encoded(answer).is_ok(), good);
    }
    let result = succeeded(run.await.expect("ends"));
    assert_eq!(
        text(&result.output.stdout),
        "[True]\nTypeError: the result is unknown tag 0x3f\nTypeError: the result is nested deeper than 259 levels\n"
    );
}

#[tokio::test]
async fn calls_are_counted_and_limited() {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = Some(3);
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "
for i in range(5):
    try: print(await echo(i))
    except CallbackLimitError as error: print(error, isinstance(error, RuntimeError), isinstance(error, CallbackError))
print('went on')";
    let message = "echo() was not called: the limit of callbacks (maxCallbackInvocations) is used up True False\n";
    for _ in 0..2 {
        let result = succeed_in(&sandbox, code).await;
        assert_eq!(
            text(&result.output.stdout),
            format!("0\n1\n2\n{message}{message}went on\n")
        );
        assert_eq!(result.output.usage.callback_invocations, 3);
    }
    let error = python_error(
        sandbox
            .execute(
                "import asyncio\nawait asyncio.gather(*(echo(i) for i in range(4)))",
                ExecutionOptions::default(),
            )
            .await,
    );
    assert_eq!(error.python_type, "CallbackLimitError");
}

#[tokio::test]
async fn no_calls_at_all_can_be_allowed() {
    let mut options = options_with(tools());
    options.limits.max_callback_invocations = Some(0);
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "try: await echo(1)\nexcept CallbackLimitError: print('refused')";
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(
        (
            text(&result.output.stdout).as_str(),
            result.output.usage.callback_invocations
        ),
        ("refused\n", 0)
    );
}

#[tokio::test]
async fn only_calls_that_started_are_counted() {
    let code = "
import asyncio
echo(1).close()
echo
try: await echo(object())
except TypeError: pass
await echo(1)
await asyncio.gather(echo(2), echo(3))
try: await fail('E', 'm')
except CallbackError: pass";
    assert_eq!(
        succeed_in(&sandbox_of(tools()), code)
            .await
            .output
            .usage
            .callback_invocations,
        4
    );
    assert_eq!(
        succeed_in(&sandbox_of(tools()), "1")
            .await
            .output
            .usage
            .callback_invocations,
        0
    );
}

#[tokio::test]
async fn what_was_registered_leaves_nothing_behind() {
    let with = sandbox_of(tools());
    let without = crate::support::sandbox();
    let used = "
import builtins, gc
await echo(1)
builtins.kept = echo
echo.__class__.leak = 5
assert len(list_callbacks()) == 4";
    let bare = "
import sys, gc
assert list_callbacks() == [], list_callbacks()
for name in ('echo', 'seen', 'fail', 'pause', 'kept'):
    assert name not in globals() and not hasattr(__builtins__, name), name
import _eryx_callbacks as c
assert not c._all and not c._waiting and not c._queued and c.before_call is c.observe is None
assert not hasattr(c.Callback, 'leak')
try: echo
except NameError as error: print(error)";
    for _ in 0..8 {
        succeed_in(&with, used).await;
        let result = succeed_in(&without, bare).await;
        assert_eq!(text(&result.output.stdout), "name 'echo' is not defined\n");
    }
}

#[tokio::test]
async fn runs_at_the_same_time_have_callbacks_of_their_own() {
    let runs: Vec<_> = (0..20i64)
        .map(|index| {
            let name = format!("f{}", index % 5);
            let functions = CallbackFunctions::new().with(name.as_str(), move |arguments| async move {
                tokio::task::yield_now().await;
                Ok(list([index.into(), first(arguments)]))
            });
            let sandbox = sandbox_of(functions);
            tokio::spawn(async move {
                let code = format!(
                    "import asyncio\nassert [c['name'] for c in list_callbacks()] == ['{name}']\nresult = await asyncio.gather(*({name}(i) for i in range(20)))"
                );
                let result = succeed_in(&sandbox, &code).await;
                let expected = (0..20i64).map(|item| list([index.into(), item.into()]));
                assert_eq!(result.result, Some(Value::List(expected.collect())));
            })
        })
        .collect();
    for run in runs {
        run.await.expect("checked");
    }
}

#[tokio::test]
async fn an_execution_can_bring_a_handler_of_its_own() {
    let (kept, own) = (Recorder::new(), Recorder::new());
    let sandbox = handled(&["f"], &kept);
    let mut options = ExecutionOptions::default();
    options.callback_handler = Some(Arc::clone(&own) as _);
    let run = crate::support::callbacks::start_with(&sandbox, "await f()", options);
    own.one().await.1.send(Ok("own".into()));
    assert_eq!(
        succeeded(run.await.expect("ends")).value,
        Some("own".into())
    );
    let run = start(&sandbox, "await f()");
    kept.one().await.1.send(Ok("kept".into()));
    assert_eq!(
        succeeded(run.await.expect("ends")).value,
        Some("kept".into())
    );
}

#[tokio::test]
async fn callbacks_without_a_handler_fail_when_they_are_called() {
    let mut options = eryx::SandboxOptions::default();
    options.callbacks = vec!["f".into()];
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let error = python_error(
        sandbox
            .execute("await f()", ExecutionOptions::default())
            .await,
    );
    assert_eq!(error.message, "CallbackError: f() is not known to the host");
}

#[tokio::test]
async fn a_function_is_dropped_when_its_run_ends() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    let functions = CallbackFunctions::new().with("f", move |_: Arguments| {
        let guard = Dropped(Arc::clone(&counter));
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    let code =
        "import asyncio\nfor _ in range(3): asyncio.create_task(f())\nawait asyncio.sleep(0)";
    assert_eq!(
        succeed_in(&sandbox_of(functions), code)
            .await
            .output
            .usage
            .callback_invocations,
        3
    );
    for _ in 0..500 {
        if dropped.load(Ordering::SeqCst) == 3 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} of 3 were dropped", dropped.load(Ordering::SeqCst));
}
