//! Everything that can go wrong, by consequence.

use std::borrow::Cow;
use std::time::Duration;

use crate::{ExecutionOutput, Limit, Value};

/// Why an execution, or the set-up of one, did not succeed.
///
/// No message names a wasm frame, a Rust type, or a host path other than those of the caller's own options.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Python code raised, or called `sys.exit` with a code that is not 0. Nothing but this run is affected.
    #[error("{}", .0.message)]
    Python(PythonError),
    /// The run took longer than its limit. `hard`: it had to be cut off and no `finally` block ran.
    #[error("execution timed out after {} ms", .limit.as_millis())]
    Timeout {
        /// The limit that passed.
        limit: Duration,
        /// Whether the interpreter was cut off in the middle of something.
        hard: bool,
    },
    /// The caller cancelled the run.
    #[error("execution was cancelled")]
    Cancelled {
        /// Whether the interpreter was cut off in the middle of something.
        hard: bool,
    },
    /// The run went over a limit that ends it. The interpreter was cut off.
    #[error("execution went over the limit {0}")]
    ResourceLimit(Limit),
    /// Nothing was started: the options cannot be met on this machine or with this runtime.
    #[error("{0}")]
    Initialization(String),
    /// The memory limit is below what the interpreter itself takes; nothing was started.
    #[error(
        "max_memory_bytes: {limit} bytes are less than the {floor} that the interpreter itself takes"
    )]
    MemoryLimit {
        /// [`ResourceLimits::max_memory_bytes`](crate::ResourceLimits::max_memory_bytes).
        limit: u64,
        /// The least that it may be with this runtime.
        floor: u64,
    },
    /// An argument or option that cannot be used; nothing was started.
    #[error("{argument}: {problem}")]
    InvalidArgument {
        /// Its name in this crate, perhaps with the entry: `mount_path`, `volumes[0].guest_path`.
        argument: Cow<'static, str>,
        /// What came, and what is expected.
        problem: String,
    },
    /// Bytes that are no snapshot, or one of another version or runtime. The session is as before.
    #[error("{0}")]
    Snapshot(String),
    /// A callback suspended the run. A session is in the state before it.
    #[error("execution was suspended{}", if .0.reason.is_empty() { String::new() } else { format!(": {}", .0.reason) })]
    Suspended(Box<Suspension>),
    /// The sandbox was closed.
    #[error("the sandbox is closed")]
    Closed,
    /// A defect of this library.
    #[error(
        "internal error: {0}. Please report this as a bug, with the code that ran and the `versions` of the package"
    )]
    Internal(String),
}

impl Error {
    /// For an error that says first which argument or option it is about: its name in this crate, and the rest of the message.
    /// Bindings that have other names say it in theirs.
    #[must_use]
    pub fn argument(&self) -> Option<(&str, String)> {
        let argument: &str = match self {
            Self::InvalidArgument { argument, .. } => argument,
            Self::MemoryLimit { .. } => "max_memory_bytes",
            _ => return None,
        };
        let text = self.to_string();
        let problem = text.strip_prefix(argument)?.strip_prefix(": ")?;
        Some((argument, problem.to_owned()))
    }

    /// Of an argument that cannot be used.
    pub(crate) fn invalid(
        argument: impl Into<Cow<'static, str>>,
        problem: impl Into<String>,
    ) -> Self {
        Self::InvalidArgument {
            argument: argument.into(),
            problem: problem.into(),
        }
    }

    /// Of a snapshot that cannot be restored.
    pub(crate) fn refused_snapshot(why: &str) -> Self {
        Self::Snapshot(format!("the snapshot cannot be restored: {why}"))
    }

    /// A function that the host gave a run has panicked.
    pub(crate) fn panicked() -> Self {
        Self::Internal("a function of the host panicked".into())
    }
}

/// A run that ended at an `await` and can go on from there.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Suspension {
    /// What the callback gave as the reason.
    pub reason: String,
    /// The calls that wait for an answer, oldest first.
    pub pending: Vec<PendingCall>,
    /// Continued by [`Session::resume`](crate::Session::resume), in this process or another with the same runtime.
    pub checkpoint: Vec<u8>,
}

/// A call that waits for its answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PendingCall {
    /// By this number [`Session::resume`](crate::Session::resume) is told its answer.
    pub id: u64,
    /// The callback's name.
    pub name: String,
    /// By position.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Vec<(String, Value)>,
}

/// A Python exception that nothing caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonError {
    /// The class, qualified by its module unless that is `builtins` or `__main__`: `ValueError`, `json.JSONDecodeError`.
    pub python_type: String,
    /// `ValueError: oops`, as the last line of a traceback.
    pub message: String,
    /// The whole traceback as Python prints it, with the user's frames only.
    pub traceback: Box<str>,
    /// The frames of the exception itself, outermost first.
    pub frames: Vec<PythonFrame>,
    /// The code of `sys.exit(n)` or `os._exit(n)`.
    pub exit_code: Option<i32>,
    /// The interpreter itself was ended: by `os._exit`, or by a fault that it could not survive.
    pub interpreter_lost: bool,
}

/// One line of a traceback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonFrame {
    /// As in `co_filename`.
    pub filename: String,
    /// From 1.
    pub line: u32,
    /// `<module>` at the top level.
    pub function: String,
}

/// An [`Error`], and what the run had printed and used before it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct ExecutionError {
    /// What went wrong.
    #[source]
    pub error: Error,
    /// Printed until then. Empty if nothing was started.
    pub output: Box<ExecutionOutput>,
    /// The Python state of a session was lost: its next execution starts fresh.
    pub state_lost: bool,
}

impl From<Error> for ExecutionError {
    fn from(error: Error) -> Self {
        Self {
            error,
            output: Box::default(),
            state_lost: false,
        }
    }
}
