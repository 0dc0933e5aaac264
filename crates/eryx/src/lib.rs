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

mod callback;
mod caps;
mod error;
mod files;
mod guest;
mod limits;
#[cfg_attr(
    not(feature = "internals"),
    expect(unreachable_pub, reason = "the builder writes what is read here")
)]
mod manifest;
mod names;
mod options;
mod output;
mod run;
mod runtime;
mod sandbox;
mod session;
mod snapshot;
mod threads;
mod value;

pub use callback::{
    Arguments, Call, CallbackDefinition, CallbackFailure, CallbackFunctions, CallbackHandler,
    GivenUp, Parameter, Reply, Signature,
};
pub use caps::{
    DEFAULT_RESTORED_BYTES, MAX_CODE_BYTES, MAX_FORKS, MAX_QUEUED_BYTES, QUEUED_EVENT_BYTES,
};
pub use error::{Error, ExecutionError, PendingCall, PythonError, PythonFrame, Suspension};
pub use eryx_vfs::Error as FileError;
pub use files::mounts::Volume;
pub use files::storage::{Storage, StorageEntry, StorageError, StorageKind, StorageMetadata};
pub use limits::{Limit, ResourceLimits};
pub use num_bigint::BigInt;
pub use options::cancel::CancelHandle;
pub use options::{ExecutionOptions, SandboxOptions};
pub use output::trace::{TraceEvent, TraceKind};
pub use output::{ExecutionOutput, OutputSink, Stream, Usage, Warning, WarningKind};
pub use run::checkpoint::Answers;
pub use run::outcome::{ExecutionResult, Outcome};
pub use runtime::Runtime;
pub use sandbox::Sandbox;
pub use session::Session;
pub use threads::workers::spawn;
pub use value::{Value, WireError};

/// For the builder of the runtime and the tests. No part of the API: it changes without notice.
#[cfg(feature = "internals")]
pub mod internals {
    pub use eryx_memory::RestoreStrategy;

    /// What is in a runtime's directory.
    pub mod manifest {
        pub use crate::manifest::*;
    }

    /// Compiles the module and makes the image.
    pub mod builder {
        pub use crate::runtime::builder::*;
    }
}
