//! Functions that the host gave a run and that fail, or fall short of what a handler promises.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use eryx::{
    Call, CallbackFunctions, CallbackHandler, CancelHandle, Error, ExecutionOptions, GivenUp,
    OutputSink, SandboxOptions, Stream, Value,
};

use crate::support::callbacks::{Recorder, first, handled_with, start, succeed_in, succeeded};
use crate::support::sessions::{execute, session_of, value};
use crate::support::{alone, process_kibibytes, python_error, runtime, sandbox, sandbox_of, text};

/// Panics where it is told to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Panics {
    Call,
    Cancel,
    Ready,
    Output,
    LastOutput,
}

impl Panics {
    fn at(self, place: Self) {
        assert!(self != place, "the host's own defect");
    }
}

impl CallbackHandler for Panics {
    fn call(&self, call: Call) {
        self.at(Self::Call);
        // Never answered.
        std::mem::forget(call.reply);
    }

    fn cancel(&self, _: u64, _: GivenUp) {
        self.at(Self::Cancel);
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.at(Self::Ready);
        Box::pin(std::future::ready(()))
    }
}

impl OutputSink for Panics {
    fn write(&self, _: Stream, text: &str) {
        self.at(Self::Output);
        // Half a character is handed over at the end of the run.
        assert!(
            *self != Self::LastOutput || text.is_ascii(),
            "the host's own defect"
        );
    }

    fn wants(&self, _: Stream) -> bool {
        true
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

const CODE: &str = "
import asyncio, os
x = 2
print('text', flush=True)
call = asyncio.ensure_future(f())
await asyncio.sleep(0)
os.write(1, b'\\xe2')
";

fn options(panics: Panics) -> ExecutionOptions {
    let mut options = ExecutionOptions::default();
    options.callback_handler = Some(Arc::new(panics));
    options.sink = Some(Arc::new(panics));
    options
}

fn with_f(options: &mut SandboxOptions) {
    options.callbacks = vec!["f".into()];
}

const ALL: [Panics; 5] = [
    Panics::Call,
    Panics::Cancel,
    Panics::Ready,
    Panics::Output,
    Panics::LastOutput,
];

#[tokio::test]
async fn a_panic_ends_its_run_with_an_error_and_nothing_else() {
    let sandbox = sandbox_of(with_f);
    for panics in ALL {
        let outcome = sandbox.execute(CODE, options(panics)).await;
        let error = outcome.expect_err("it panicked").error;
        assert_eq!(
            error,
            Error::Internal("a function of the host panicked".into())
        );
        assert_eq!(succeed_in(&sandbox, "1 + 1").await.value, Some(2.into()));
    }
}

#[tokio::test]
async fn a_session_keeps_the_state_before_a_panic_in_its_run() {
    let session = session_of(runtime(), with_f);
    for panics in ALL {
        execute(&session, "x = 1").await;
        let failure = session.execute(CODE, options(panics)).await;
        let failure = failure.expect_err("it panicked");
        assert!(matches!(failure.error, Error::Internal(_)));
        // What is called after the guest's end leaves no state to go back to, and the error says so.
        let may_lose = matches!(panics, Panics::Cancel | Panics::LastOutput);
        assert!(may_lose || !failure.state_lost, "{panics:?}");
        let expected = if failure.state_lost {
            Value::Null
        } else {
            1.into()
        };
        assert_eq!(value(&session, "globals().get('x')").await, expected);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_called_at_the_end_may_panic() {
    if !alone("host::panics::what_is_called_at_the_end_may_panic") {
        return;
    }
    let sandbox = sandbox();
    let run = |count: usize| {
        for _ in 0..count {
            sandbox
                .spawn("1", ExecutionOptions::default(), |_| panic!("at the end"))
                .expect("starts");
        }
    };
    run(100);
    // One after the other on as many threads as there are: a guest that is lost would take 4 GiB of addresses each time.
    for _ in 0..100 {
        assert_eq!(succeed_in(&sandbox, "1 + 1").await.value, Some(2.into()));
    }
    let before = process_kibibytes("VmSize");
    for _ in 0..100 {
        run(1);
        assert_eq!(succeed_in(&sandbox, "1 + 1").await.value, Some(2.into()));
    }
    let grown = process_kibibytes("VmSize").saturating_sub(before) >> 20;
    assert!(grown < 100, "{grown} GiB of addresses");
}

/// Drops each call.
struct Forgetful;

impl CallbackHandler for Forgetful {
    fn call(&self, _: Call) {}
}

#[tokio::test]
async fn a_dropped_call_fails_at_once() {
    let sandbox = sandbox_of(|options| {
        with_f(options);
        options.limits.callback_timeout = None;
        options.callback_handler = Some(Arc::new(Forgetful));
    });
    for code in [
        "await f()",
        "import asyncio\ndef g(): asyncio.run(f())\ng()",
    ] {
        let error = python_error(sandbox.execute(code, ExecutionOptions::default()).await);
        assert_eq!(error.python_type, "CallbackError", "{}", error.traceback);
        assert!(
            error
                .message
                .ends_with("the host dropped the call without an answer"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn a_function_that_panics_fails_its_call() {
    let functions = CallbackFunctions::new().with("f", |_| async { panic!("its own defect") });
    let sandbox = crate::support::callbacks::sandbox_of(functions);
    let code = "
try: await f()
except CallbackError as error: print(error)";
    let result = succeed_in(&sandbox, code).await;
    assert!(text(&result.output.stdout).contains("without an answer"));
}

#[tokio::test]
async fn a_handler_with_fewer_functions_says_so() {
    let functions =
        CallbackFunctions::new().with("first", |arguments| async { Ok(first(arguments)) });
    let (_, handler) = functions.into_parts();
    let sandbox = sandbox_of(|options| {
        options.callbacks = vec!["first".into(), "second".into()];
        options.callback_handler = Some(handler);
    });
    let code = "
print(await first(1))
try: await second(1)
except CallbackError as error: print(error)";
    let result = succeed_in(&sandbox, code).await;
    assert_eq!(
        text(&result.output.stdout),
        "1\nthe handler has 1 functions, and the sandbox calls number 1\n"
    );
}

#[tokio::test]
async fn a_refused_start_leaves_the_handle_alone() {
    let cancel = CancelHandle::new();
    let options = || {
        let mut options = ExecutionOptions::default();
        options.cancel = cancel.clone();
        options
    };
    let bad = || {
        let mut bad = options();
        bad.filename = Some("\0".into());
        bad
    };
    let (sandbox, session) = (sandbox(), session_of(runtime(), |_| ()));
    sandbox.execute("1", bad()).await.expect_err("refused");
    session.execute("1", bad()).await.expect_err("refused");
    assert!(!cancel.is_cancelled());
    succeeded(sandbox.execute("1", options()).await);
    succeeded(session.execute("1", options()).await);
    sandbox.close();
    session.close();
    sandbox.execute("1", options()).await.expect_err("closed");
    session.execute("1", options()).await.expect_err("closed");
    assert!(!cancel.is_cancelled());
}

/// What it was given is held by nobody else after a run.
fn is_let_go<T: ?Sized>(held: &Arc<T>) -> bool {
    Arc::strong_count(held) == 1 && Arc::weak_count(held) == 0
}

#[tokio::test]
async fn a_run_that_has_ended_holds_no_handler() {
    let handler = Recorder::new();
    let (sandbox, session) = (sandbox_of(with_f), session_of(runtime(), with_f));
    for code in [
        "import asyncio\nasyncio.ensure_future(f())\nawait asyncio.sleep(0)",
        "1 / 0",
        "import os\nos.abort()",
    ] {
        let options = || {
            let mut options = ExecutionOptions::default();
            options.callback_handler = Some(Arc::clone(&handler) as _);
            options
        };
        let _ = sandbox.execute(code, options()).await;
        assert!(is_let_go(&handler), "{code}");
        let _ = session.execute(code, options()).await;
        assert!(is_let_go(&handler), "{code}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_guest_keeps_no_answer() {
    const SIZE: usize = 60 << 20;
    if !alone("host::panics::an_idle_guest_keeps_no_answer") {
        return;
    }
    let handler = Recorder::new();
    let sandbox = handled_with(&["f"], &handler, |_| {});
    succeed_in(&sandbox, "1").await;
    let before = process_kibibytes("VmRSS");
    // Told of, and never read: there is no room for it in the guest.
    let code = "
held = []
try:
    while True: held.append(bytearray(1 << 20))
except MemoryError: pass
try: await f()
except MemoryError: print('no room')";
    let run = start(&sandbox, code);
    let (_, reply) = handler.one().await;
    reply.send(Ok(Value::Bytes(vec![0; SIZE])));
    let result = succeeded(run.await.expect("no panic"));
    assert_eq!(text(&result.output.stdout), "no room\n");
    // The guest is cleaned after the outcome is known.
    let mut kept = u64::MAX;
    for _ in 0..200 {
        kept = process_kibibytes("VmRSS").saturating_sub(before) << 10;
        if kept < SIZE as u64 / 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{kept} bytes are kept");
}

#[tokio::test]
async fn a_session_that_is_closed_settles_what_is_queued() {
    let session = session_of(runtime(), |_| ());
    let ends = Arc::new(Mutex::new(Vec::new()));
    for code in ["import time\ntime.sleep(600)", "1", "2"] {
        let ends = Arc::clone(&ends);
        session
            .spawn(code, ExecutionOptions::default(), move |outcome| {
                let error = outcome.expect_err("closed").error;
                ends.lock().expect("not poisoned").push(error);
            })
            .expect("open");
    }
    session.close();
    for _ in 0..1000 {
        if ends.lock().expect("not poisoned").len() == 3 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{:?}", ends.lock().expect("not poisoned"));
}
