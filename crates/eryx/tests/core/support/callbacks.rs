//! What the tests of callbacks share: sandboxes with functions, and a handler that answers when the test says so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eryx::{
    Arguments, Call, CallbackFailure, CallbackFunctions, CallbackHandler, ExecutionOptions,
    ExecutionResult, Outcome, Reply, Sandbox, SandboxOptions, Value,
};
use tokio::sync::Notify;

use crate::support::{python_error, runtime, text};

/// Options with these callbacks.
pub(crate) fn options_with(functions: CallbackFunctions) -> SandboxOptions {
    let mut options = SandboxOptions::default();
    let (callbacks, handler) = functions.into_parts();
    options.callbacks = callbacks;
    options.callback_handler = Some(handler);
    options
}

/// A sandbox with these callbacks.
pub(crate) fn sandbox_of(functions: CallbackFunctions) -> Sandbox {
    Sandbox::new(runtime(), options_with(functions)).expect("the options are good")
}

/// A sandbox whose callbacks `names` go to `handler`.
pub(crate) fn handled(names: &[&str], handler: &Arc<Recorder>) -> Sandbox {
    handled_with(names, handler, |_| {})
}

/// The same with some options changed.
pub(crate) fn handled_with(
    names: &[&str],
    handler: &Arc<Recorder>,
    change: impl FnOnce(&mut SandboxOptions),
) -> Sandbox {
    let mut options = SandboxOptions::default();
    options.callbacks = names.iter().map(|name| (*name).into()).collect();
    options.callback_handler = Some(Arc::clone(handler) as _);
    change(&mut options);
    Sandbox::new(runtime(), options).expect("the options are good")
}

/// `echo(x)`, `seen(*args, **kwargs)`, `fail(name, message)`, `pause(milliseconds)`.
pub(crate) fn tools() -> CallbackFunctions {
    CallbackFunctions::new()
        .with("echo", |arguments: Arguments| async {
            Ok(first(arguments))
        })
        .with("seen", |arguments: Arguments| async {
            Ok(Value::List(vec![
                arguments.positional.into(),
                arguments.named.into(),
            ]))
        })
        .with("fail", |arguments: Arguments| async {
            let mut texts = arguments.positional.into_iter().map(|value| match value {
                Value::String(text) => text,
                other => format!("{other:?}"),
            });
            let mut next = || texts.next().unwrap_or_default();
            Err(raised(&next(), &next()))
        })
        .with("pause", |arguments: Arguments| async {
            if let Value::Int(milliseconds) = first(arguments) {
                let milliseconds = u64::try_from(milliseconds).expect("not negative");
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
            Ok(Value::Null)
        })
}

/// The first positional argument, or nothing.
pub(crate) fn first(arguments: Arguments) -> Value {
    let mut positional = arguments.positional.into_iter();
    positional.next().unwrap_or(Value::Null)
}

pub(crate) fn raised(name: &str, message: &str) -> CallbackFailure {
    CallbackFailure::Raised {
        name: name.into(),
        message: message.into(),
    }
}

/// Runs code that must succeed in this sandbox.
pub(crate) async fn succeed_in(sandbox: &Sandbox, code: &str) -> ExecutionResult {
    succeeded(sandbox.execute(code, ExecutionOptions::default()).await)
}

/// The result of a run that must have succeeded.
pub(crate) fn succeeded(outcome: Outcome) -> ExecutionResult {
    match outcome {
        Ok(result) => result,
        Err(failure) => {
            let stderr = text(&failure.output.stderr);
            match failure.error {
                eryx::Error::Python(error) => panic!("{}\n{stderr}", error.traceback),
                error => panic!("{error:?}\n{stderr}"),
            }
        }
    }
}

/// Runs code that must succeed in a sandbox with [`tools`] and returns what it printed.
pub(crate) async fn printed_with_tools(code: &str) -> String {
    text(&succeed_in(&sandbox_of(tools()), code).await.output.stdout)
}

/// Runs code that must fail in a sandbox with [`tools`] and returns the last line of the traceback.
pub(crate) async fn message_with_tools(code: &str) -> String {
    let sandbox = sandbox_of(tools());
    python_error(sandbox.execute(code, ExecutionOptions::default()).await).message
}

/// Starts code; its outcome is waited for later.
pub(crate) fn start(sandbox: &Sandbox, code: &str) -> tokio::task::JoinHandle<Outcome> {
    start_with(sandbox, code, ExecutionOptions::default())
}

/// The same with options.
pub(crate) fn start_with(
    sandbox: &Sandbox,
    code: &str,
    options: ExecutionOptions,
) -> tokio::task::JoinHandle<Outcome> {
    let (sandbox, code) = (sandbox.clone(), code.to_owned());
    tokio::spawn(async move { sandbox.execute(code, options).await })
}

/// A handler that keeps every call until the test answers it.
#[derive(Default)]
pub(crate) struct Recorder {
    calls: Mutex<Vec<Call>>,
    cancelled: Mutex<Vec<u64>>,
    changed: Notify,
}

impl CallbackHandler for Recorder {
    fn call(&self, call: Call) {
        self.calls.lock().expect("not poisoned").push(call);
        self.changed.notify_waiters();
    }

    fn cancel(&self, id: u64, _: eryx::GivenUp) {
        self.cancelled.lock().expect("not poisoned").push(id);
        self.changed.notify_waiters();
    }
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The next `count` calls, in order, once all have arrived.
    pub(crate) async fn calls(&self, count: usize) -> Vec<Call> {
        self.until(&self.calls, count).await;
        let mut calls = self.calls.lock().expect("not poisoned");
        calls.drain(..count).collect()
    }

    /// The next call's number and where its answer goes.
    pub(crate) async fn one(&self) -> (u64, Reply) {
        let call = self.calls(1).await.pop().expect("one");
        (call.id, call.reply)
    }

    /// The numbers of the calls that were cancelled, once there are `count`.
    pub(crate) async fn cancelled(&self, count: usize) -> Vec<u64> {
        self.until(&self.cancelled, count).await;
        self.cancelled.lock().expect("not poisoned").clone()
    }

    /// Those that were cancelled so far.
    pub(crate) fn cancelled_now(&self) -> Vec<u64> {
        self.cancelled.lock().expect("not poisoned").clone()
    }

    async fn until<T>(&self, list: &Mutex<Vec<T>>, count: usize) {
        let arrived = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if list.lock().expect("not poisoned").len() >= count {
                    return;
                }
                changed.await;
            }
        };
        let soon = tokio::time::timeout(Duration::from_mins(1), arrived).await;
        assert!(soon.is_ok(), "fewer than {count} have arrived");
    }
}
