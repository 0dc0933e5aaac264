//! Untrusted Python, in process: CPython 3.14 as one WebAssembly module, with limits, captured output and files of its
//! own.
//!
//! A [`Sandbox`] runs every piece of code in a fresh interpreter. Fresh costs tens of microseconds, because the
//! interpreter is a memory image that is mapped, not started. Nothing the code does reaches the host: files are
//! virtual, output is captured, time, memory and output are limited, and at the end every page that was written is put
//! back.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use eryx::{ExecutionOptions, Runtime, Sandbox, SandboxOptions};
//!
//! let runtime = Runtime::load(std::path::Path::new("target/eryx-runtime"))?;
//! let sandbox = Sandbox::new(&runtime, SandboxOptions::default())?;
//! let result = sandbox.execute("print('hello')\n1 + 1", ExecutionOptions::default()).await?;
//! assert_eq!(result.output.stdout, b"hello\n");
//! assert_eq!(result.value, Some(2.into()));
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod abi;
pub mod builder;
mod cache;
mod callback;
mod caps;
mod checkpoint;
mod clock;
mod config;
mod engine;
mod error;
mod guest_memory;
mod host;
mod instance;
mod interrupt;
mod library;
mod limits;
mod live;
mod making;
pub mod manifest;
mod mounts;
mod outcome;
mod output;
mod pool;
mod process;
mod request;
mod runtime;
mod sandbox;
mod session;
mod setup;
mod snapshot;
mod storage;
mod trace;
mod value;
mod waiter;
mod wire;
mod workers;

pub use callback::{
    Arguments, Call, CallbackDefinition, CallbackFailure, CallbackFunctions, CallbackHandler,
    GivenUp, Parameter, Reply, Signature,
};
pub use caps::{
    DEFAULT_RESTORED_BYTES, MAX_CODE_BYTES, MAX_FORKS, MAX_QUEUED_BYTES, QUEUED_EVENT_BYTES,
};
pub use checkpoint::Answers;
pub use config::{ExecutionOptions, SandboxOptions};
pub use engine::CPU_BASELINE;
pub use error::{Error, ExecutionError, PendingCall, PythonError, PythonFrame, Suspension};
pub use eryx_memory::RestoreStrategy;
pub use eryx_vfs::Error as FileError;
pub use interrupt::CancelHandle;
pub use limits::{Limit, ResourceLimits};
pub use mounts::Volume;
pub use num_bigint::BigInt;
pub use outcome::ExecutionResult;
pub use output::{ExecutionOutput, OutputSink, Stream, Usage, Warning, WarningKind};
pub use runtime::Runtime;
pub use sandbox::{Outcome, Sandbox};
pub use session::Session;
pub use storage::{Storage, StorageEntry, StorageError, StorageKind, StorageMetadata};
pub use trace::{TraceEvent, TraceKind};
pub use value::{Value, WireError};
pub use workers::spawn;
