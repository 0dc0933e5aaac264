//! Memory that runs out: always an exception that can be caught, and code can free what it holds.

use eryx::{
    Arguments, CallbackFunctions, Error, ExecutionError, ExecutionOptions, Limit, ResourceLimits,
    Session, Value,
};

use crate::support::callbacks::options_with;
use crate::support::sessions::{execute, failure, limited, value, with_each_strategy};
use crate::support::{runtime, sandbox_with};

/// Use up all memory, each in its way, and hold it in `l`.
const EXHAUST: [&str; 14] = [
    "l = []\nwhile True: l.append(bytes(1000))",
    "l = []\nwhile True: l.append([0])",
    "l = []\nwhile True: l.append({'a': l})",
    "l = None\nwhile True: l = [l]",
    "l = None\nwhile True: l = {'next': l}",
    "l = ''\nwhile True: l += 'x' * 1000",
    "l = 'x'\nwhile True: l += l",
    "l = bytearray()\nwhile True: l += bytes(10_000)",
    "import array\nl = array.array('q')\nwhile True: l.extend(range(1000))",
    "l = set()\nfor i in range(10**9): l.add(i)",
    "class A: pass\nl = []\nwhile True: l.append(A())",
    "l = []\ndef f(n):\n    l.append(bytes(1000))\n    f(n + 1)\nimport sys\nsys.setrecursionlimit(10**9)\nf(0)",
    "l = []\nasync def f():\n    while True: l.append(bytes(1000))\nawait f()",
    "import asyncio\nl = []\nasync def f():\n    while True:\n        l.append(bytes(1000))\n        if len(l) % 1000 == 0: await asyncio.sleep(0)\nasyncio.run(f())",
];

fn small(limits: &mut ResourceLimits) {
    limits.max_memory_bytes = Some(runtime().memory_floor() + (12 << 20));
    limits.execution_timeout = None;
}

#[track_caller]
fn assert_memory_error(failure: &ExecutionError, code: &str) {
    let Error::Python(error) = &failure.error else {
        panic!("{code}: {:?}", failure.error);
    };
    assert_eq!(error.python_type, "MemoryError", "{code}: {error:?}");
    assert!(!error.interpreter_lost && !failure.state_lost, "{code}");
}

#[tokio::test]
async fn a_session_survives_it_again_and_again() {
    for code in EXHAUST {
        let session = limited(runtime(), small);
        execute(&session, "kept = [1]").await;
        for round in 1..4 {
            assert_memory_error(&failure(&session, code).await, code);
            for small in ["pass", "kept.append(2)", "len(kept)", "print(len(kept))"] {
                execute(&session, small).await;
            }
            assert_eq!(value(&session, "len(kept)").await, Value::Int(1 + round));
        }
        execute(&session, "del l").await;
        // Of 12 MiB: what lives on may lie anywhere in them.
        execute(&session, "fresh = bytearray(1 << 20)").await;
    }
}

#[tokio::test]
async fn what_is_held_can_be_looked_at_and_freed() {
    for (free, room) in [
        ("del l", true),
        ("l.clear()", true),
        ("print(len(l))\nl.pop()\nl = None", true),
        ("del l[:]", true),
        ("l = l[-1]", true),
        ("for i in range(len(l)): l[i] = None", true),
        ("try: m = bytes(1 << 20)\nexcept MemoryError: del l", true),
        ("import gc\ndel l\ngc.collect()", true),
        ("pass", false),
    ] {
        let session = limited(runtime(), small);
        let code = EXHAUST[0];
        assert_memory_error(&failure(&session, code).await, code);
        execute(&session, free).await;
        let next = "m = bytearray(4 << 20)";
        if room {
            execute(&session, next).await;
        } else {
            assert_memory_error(&failure(&session, next).await, next);
            execute(&session, "del l").await;
            execute(&session, next).await;
        }
    }
}

#[tokio::test]
async fn code_that_is_greedy_in_each_execute_can_still_be_stopped() {
    let session = limited(runtime(), small);
    let code = "while True: l.append(bytes(100))";
    execute(&session, "l = []").await;
    for _ in 0..50 {
        assert_memory_error(&failure(&session, code).await, code);
    }
    execute(&session, "pass").await;
    execute(&session, "l.clear()").await;
    // Of 12 MiB: the functions may lie anywhere in them.
    execute(&session, "m = [bytearray(1 << 20) for _ in range(4)]").await;
}

#[tokio::test]
async fn work_goes_on_after_it_was_caught() {
    for code in EXHAUST {
        let (body, last) = code.rsplit_once('\n').expect("two lines");
        let code = format!(
            "{body}\ntry:\n    {last}\nexcept MemoryError:\n    l = None\nimport gc\ngc.collect()\nm = bytearray(4 << 20)\nprint('went on')\nresult = [len(m)]"
        );
        let sandbox = sandbox_with(small);
        let outcome = sandbox.execute(&*code, ExecutionOptions::default()).await;
        match outcome {
            Ok(result) => assert_eq!(result.output.stdout, b"went on\n", "{code}"),
            Err(failure) => panic!("{code}: {:?}", failure.error),
        }
    }
}

#[tokio::test]
async fn it_is_an_exception_wherever_it_happens() {
    for code in [
        // In finalizers, at exit, and in what the driver asks of the result and of the exception.
        "class A:\n    def __del__(self):\n        global l\n        l = []\n        while True: l.append(bytes(1000))\na = A()\ndel a",
        "import atexit\n@atexit.register\ndef f():\n    global l\n    l = []\n    while True: l.append(bytes(1000))",
        "class A:\n    def __repr__(self):\n        global l\n        l = []\n        while True: l.append(bytes(1000))\nA()",
        "class E(Exception):\n    def __str__(self):\n        global l\n        l = []\n        while True: l.append(bytes(1000))\nraise E",
        "import gc\ndef f(*_):\n    global l\n    l = []\n    while True: l.append(bytes(1000))\ngc.callbacks.append(f)\ngc.collect()\ngc.callbacks.clear()",
        // While it is handled.
        "l = []\ntry:\n    while True: l.append(bytes(1000))\nfinally:\n    while True: l.append(bytes(10))",
        "l = []\nwhile True:\n    try:\n        while True: l.append(bytes(1000))\n    except MemoryError: break\nwhile True: l.append(0)",
        "l = []\ntry:\n    while True: l.append(bytes(1000))\nexcept MemoryError as error: raise ValueError('x' * 10_000) from error",
        // Streams that hold text of their own.
        "l = []\nprint('x' * 5000, end='')\nwhile True: l.append(bytes(1000))",
    ] {
        let session = limited(runtime(), small);
        execute(&session, "kept = [1]").await;
        for _ in 0..3 {
            let outcome = session.execute(code, ExecutionOptions::default()).await;
            if let Err(failure) = outcome {
                let Error::Python(error) = &failure.error else {
                    panic!("{code}: {:?}", failure.error);
                };
                assert!(!error.interpreter_lost, "{code}: {error:?}");
            }
            assert_eq!(value(&session, "len(kept)").await, Value::Int(1), "{code}");
        }
        execute(&session, "l = None").await;
        // In parts: what code made after the exhaustion may lie in the middle of what is free.
        execute(&session, "m = [bytearray(1 << 20) for _ in range(4)]").await;
    }
}

#[tokio::test]
async fn forks_and_snapshots_of_a_session_without_memory_work() {
    with_each_strategy(async |runtime| {
        let session = limited(runtime, small);
        assert_memory_error(&failure(&session, EXHAUST[0]).await, EXHAUST[0]);
        let fork = session.fork(1).await.expect("forked").remove(0);
        let restored = limited(runtime, small);
        let snapshot = session.snapshot().await.expect("at rest");
        restored.restore(snapshot).await.expect("restored");
        for session in [session, fork, restored] {
            let code = "while True: l.append(bytes(1000))";
            assert_memory_error(&failure(&session, code).await, code);
            execute(&session, "print(len(l))").await;
            execute(&session, "del l").await;
            execute(&session, "m = bytearray(4 << 20)").await;
        }
    })
    .await;
}

#[tokio::test]
async fn answers_that_do_not_fit_are_memory_errors_of_their_calls() {
    let functions = CallbackFunctions::new().with("large", |_: Arguments| async {
        Ok(vec![7u8; 20 << 20].into())
    });
    let mut options = options_with(functions);
    small(&mut options.limits);
    let session = Session::new(runtime(), options).expect("good options");
    for code in [
        "await large()",
        "l = []\ntry:\n    while True: l.append(bytes(1000))\nexcept MemoryError: pass\nawait large()",
        "import asyncio\nawait asyncio.gather(large(), large())",
    ] {
        for _ in 0..3 {
            assert_memory_error(&failure(&session, code).await, code);
        }
        execute(&session, "l = None").await;
    }
    // Of 12 MiB: the functions may lie anywhere in them.
    execute(&session, "m = [bytearray(1 << 20) for _ in range(4)]").await;
}

/// A source that only our own code has room for is compiled, and what it leaves is no part of the reserve.
#[tokio::test]
async fn the_reserve_is_not_kept_by_what_code_defines() {
    let session = limited(runtime(), small);
    assert_memory_error(&failure(&session, EXHAUST[0]).await, EXHAUST[0]);
    for n in 0..100 {
        let code = format!("def f{n}():\n    return {n}, 'some text of the function {n}'");
        let outcome = session.execute(code, ExecutionOptions::default()).await;
        if let Err(failure) = outcome {
            assert_memory_error(&failure, "def");
        }
    }
    execute(&session, "del l").await;
    // Of 12 MiB: the functions may lie anywhere in them.
    execute(&session, "m = [bytearray(1 << 20) for _ in range(4)]").await;
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_refused_and_change_nothing() {
    let session = limited(runtime(), |limits| {
        limits.max_memory_bytes = Some(runtime().memory_floor() + (24 << 20));
    });
    for inputs in [
        Value::List(vec![Value::Float(0.5); 1_500_000]),
        Value::List(vec![Value::String("x".repeat(1000)); 15_000]),
        vec![7u8; 15 << 20].into(),
        vec![7u8; 40 << 20].into(),
    ] {
        for round in 0..2 {
            let mut options = ExecutionOptions::default();
            options.inputs = vec![("given".to_owned(), inputs.clone())];
            let outcome = session.execute("kept = [given]", options).await;
            let failure = outcome.expect_err("too large");
            assert_eq!(failure.error, Error::ResourceLimit(Limit::Memory));
            assert!(!failure.state_lost);
            let code = "kept = globals().get('kept', 0) + 1\nkept";
            let next = value(&session, code).await;
            assert!(matches!(next, Value::Int(kept) if kept > round));
        }
    }
    assert_eq!(value(&session, "kept").await, Value::Int(8));
}
