//! Options, from the shapes that `js/options.js` makes to the core's.

use eryx::{CancelHandle, ResourceLimits, Stream};
use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::numbers::{milliseconds, timeout, whole};
use crate::storage::Storage;

/// Limits. A missing field is no limit: the defaults are filled in by `js/options.js`.
#[napi(object, object_to_js = false)]
pub struct SandboxOptions {
    /// Milliseconds.
    pub execution_timeout_ms: Option<f64>,
    /// Milliseconds.
    pub callback_timeout_ms: Option<f64>,
    /// Calls.
    pub max_callback_invocations: Option<f64>,
    /// Bytes.
    pub max_memory_bytes: Option<f64>,
    /// Bytes.
    pub max_output_bytes: Option<f64>,
    /// Bytes.
    pub max_vfs_bytes: Option<f64>,
    /// Instructions.
    pub max_fuel: Option<BigInt>,
    /// Names and values, in turn.
    pub env: Vec<String>,
    /// The variable whose value is returned.
    pub result_variable: Option<String>,
    /// Encoded: what `js/callbacks.js` makes of them.
    pub callbacks: Option<Uint8Array>,
    /// Python sources that run before the code.
    pub libraries: Vec<String>,
    /// Where the working directory is.
    pub vfs_mount_path: Option<String>,
    /// Host directories and files.
    pub volumes: Vec<Volume>,
    /// Milliseconds that a session rests before its memory is packed.
    pub sleep_after_ms: Option<f64>,
}

/// A host directory or file.
#[napi(object, object_to_js = false)]
pub struct Volume {
    /// On the host.
    pub host_path: String,
    /// In the guest.
    pub guest_path: String,
    /// Whether changes are refused.
    pub read_only: bool,
}

impl From<Volume> for eryx::Volume {
    fn from(given: Volume) -> Self {
        let mut volume = Self::new(given.host_path, given.guest_path);
        volume.read_only = given.read_only;
        volume
    }
}

impl SandboxOptions {
    /// `vfs` comes beside the options: an object of ours cannot be in them.
    pub(crate) fn into_core(self, vfs: Option<&Storage>) -> Result<eryx::SandboxOptions> {
        let mut options = eryx::SandboxOptions::default();
        options.limits = ResourceLimits {
            execution_timeout: self.execution_timeout_ms.map(milliseconds),
            callback_timeout: self.callback_timeout_ms.map(milliseconds),
            max_callback_invocations: self.max_callback_invocations.map(whole),
            max_memory_bytes: self.max_memory_bytes.map(whole),
            max_output_bytes: self.max_output_bytes.map(whole),
            max_vfs_bytes: self.max_vfs_bytes.map(whole),
            max_fuel: self.max_fuel.map(|fuel| fuel.get_u64().1),
        };
        options.env = self
            .env
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[name, value]| (name.clone(), value.clone()))
            .collect();
        options.result_variable = self.result_variable;
        if let Some(encoded) = &self.callbacks {
            options.callbacks = crate::callbacks::definitions(encoded)?;
        }
        options.libraries = self.libraries;
        options.files = vfs.map(|vfs| vfs.core.clone());
        options.mount_path = self.vfs_mount_path;
        options.volumes = self.volumes.into_iter().map(eryx::Volume::from).collect();
        options.sleep_after = self.sleep_after_ms.map(milliseconds);
        Ok(options)
    }
}

/// What belongs to one execution.
#[napi(object, object_to_js = false)]
pub struct ExecutionOptions {
    /// Milliseconds; negative is none; missing is the sandbox's limit.
    pub timeout_ms: Option<f64>,
    /// Variables: an encoded dict.
    pub inputs: Option<Uint8Array>,
    /// What `sys.stdin` reads.
    pub stdin: Option<Uint8Array>,
    /// Shown in tracebacks.
    pub filename: Option<String>,
    /// Bit 0: stdout has a handler. Bit 1: stderr has one. Bit 2: trace events have one.
    pub streams: u32,
    /// Collect trace events.
    pub trace: bool,
}

impl ExecutionOptions {
    pub(crate) fn to_core(&self, cancel: CancelHandle) -> Result<eryx::ExecutionOptions> {
        let mut options = eryx::ExecutionOptions::default();
        options.timeout = self.timeout_ms.map(timeout);
        options.inputs = self.inputs()?;
        options.stdin = self
            .stdin
            .as_ref()
            .map(|bytes| bytes.to_vec())
            .unwrap_or_default();
        options.filename.clone_from(&self.filename);
        options.trace = self.trace;
        options.cancel = cancel;
        Ok(options)
    }

    fn inputs(&self) -> Result<Vec<(String, eryx::Value)>> {
        let Some(bytes) = &self.inputs else {
            return Ok(Vec::new());
        };
        match eryx::Value::from_bytes(bytes) {
            Ok(eryx::Value::Map(entries)) => Ok(entries),
            Ok(_) => Err(Error::from_reason("ERYX_INTERNAL inputs are not a dict")),
            Err(error) => Err(Error::from_reason(format!(
                "ERYX_INVALID_ARGUMENT inputs: {error}"
            ))),
        }
    }
}

/// What has a handler.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    stdout: bool,
    stderr: bool,
    pub(crate) trace: bool,
}

impl Streams {
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self {
            stdout: bits & 1 != 0,
            stderr: bits & 2 != 0,
            trace: bits & 4 != 0,
        }
    }

    pub(crate) fn any(self) -> bool {
        self.stdout || self.stderr || self.trace
    }

    pub(crate) fn wants(self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}
