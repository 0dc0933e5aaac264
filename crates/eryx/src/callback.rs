//! Functions of the host that Python can call: what they are, who answers, and how an answer comes back.

mod definition;
mod functions;
mod mailbox;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

pub use definition::{CallbackDefinition, Parameter, Signature};
pub(crate) use definition::{CallbackTable, check};
pub use functions::CallbackFunctions;
pub(crate) use mailbox::{Letter, LetterKind, Mailbox};

use crate::value::wire;
use crate::value::wire::WireError;
use crate::{Error, Value};

/// Answers the calls of one or many runs. It is called from worker threads and must return soon.
pub trait CallbackHandler: Send + Sync {
    /// Takes a call. Its answer may come at any time, from any thread, through [`Call::reply`].
    fn call(&self, call: Call);
    /// Nobody waits for the answer to this call any more.
    fn cancel(&self, _id: u64, _why: GivenUp) {}
    /// Resolves when the handler has room for one more call. Until then the guest is held back.
    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// Why nobody waits for an answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// The Python task was cancelled.
    Cancelled,
    /// The call took longer than its limit.
    TimedOut,
    /// The run has ended.
    Ended,
}

/// One call from Python.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call {
    /// Unique in the process.
    pub id: u64,
    /// Which of the sandbox's callbacks.
    pub callback: usize,
    /// Positional and keyword arguments, encoded as a list of a list and a dict and checked: see
    /// `docs/wire-format.md`. With a [`Signature`], all arguments are in the dict.
    pub arguments: Vec<u8>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// The arguments of a call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Arguments {
    /// By position. Empty if the callback has a [`Signature`].
    pub positional: Vec<Value>,
    /// By name.
    pub named: Vec<(String, Value)>,
}

impl Call {
    /// The arguments as values.
    ///
    /// # Errors
    /// They are not what a call consists of; does not happen to a call that a handler was given.
    pub fn decoded(&self) -> Result<Arguments, Error> {
        decode(&self.arguments)
            .ok_or_else(|| Error::Internal("arguments of a call are not a list and a dict".into()))
    }
}

/// Reads the arguments of a call.
pub(crate) fn decode(arguments: &[u8]) -> Option<Arguments> {
    let Ok(Value::List(parts)) = wire::decode(arguments) else {
        return None;
    };
    match <[Value; 2]>::try_from(parts).ok()? {
        [Value::List(positional), Value::Map(named)] => Some(Arguments { positional, named }),
        _ => None,
    }
}

/// Where the answer to one call goes. Dropped without one, it answers with an error: nobody waits for an answer that
/// cannot come.
pub struct Reply {
    /// The call's number in its run.
    call: u64,
    mailbox: Arc<Mailbox>,
    sent: bool,
}

impl Reply {
    pub(crate) fn new(call: u64, mailbox: &Arc<Mailbox>) -> Self {
        Self {
            call,
            mailbox: Arc::clone(mailbox),
            sent: false,
        }
    }

    /// Answers the call.
    pub fn send(self, answer: Result<Value, CallbackFailure>) {
        let encoded = answer.and_then(|value| value.to_bytes().map_err(too_much));
        self.deliver(encoded);
    }

    /// Answers the call with a value in the wire format.
    ///
    /// # Errors
    /// The bytes are not one value. The call is answered with that failure.
    pub fn send_encoded(self, value: Vec<u8>) -> Result<(), WireError> {
        let checked = wire::check(&value);
        self.deliver(match checked {
            Ok(()) => Ok(value),
            Err(error) => Err(too_much(error)),
        });
        checked
    }

    fn deliver(mut self, answer: Result<Vec<u8>, CallbackFailure>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<Vec<u8>, CallbackFailure>) {
        self.sent = true;
        let (kind, body) = match answer {
            Ok(body) => (LetterKind::Value, body),
            Err(failure) => failure.encoded(),
        };
        self.mailbox.put(Letter {
            call: self.call,
            kind,
            body,
        });
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.sent {
            self.put(Err(CallbackFailure::Raised {
                name: String::new(),
                message: "the host dropped the call without an answer".into(),
            }));
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.call).finish()
    }
}

fn too_much(error: WireError) -> CallbackFailure {
    CallbackFailure::Raised {
        name: "TypeError".into(),
        message: format!("the result is {error}"),
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackFailure {
    /// The function failed. Python raises `CallbackError` with these two, which the code can read.
    Raised {
        /// The error's class.
        name: String,
        /// What it says.
        message: String,
    },
    /// The arguments were refused before the function ran. Python raises `CallbackArgumentError`.
    Arguments(String),
    /// The run ends here, with a checkpoint from which it can go on: [`Error::Suspended`]. The text is the reason.
    Suspend(String),
}

impl CallbackFailure {
    pub(crate) fn encoded(self) -> (LetterKind, Vec<u8>) {
        let (kind, value) = match self {
            Self::Raised { name, message } => (
                LetterKind::Raised,
                Value::List(vec![name.into(), message.into()]),
            ),
            Self::Arguments(message) => (LetterKind::Arguments, message.into()),
            Self::Suspend(reason) => (LetterKind::Suspend, reason.into()),
        };
        // Texts of more than 64 MiB are not worth a message of their own.
        (kind, value.to_bytes().unwrap_or_else(|_| b"n".to_vec()))
    }
}
