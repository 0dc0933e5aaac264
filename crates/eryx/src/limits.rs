//! What one execution may use.

use std::fmt;
use std::time::Duration;

/// Limits of one execution. `None` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Wall clock, waits included. Default 30 s. Over it: [`Error::Timeout`](crate::Error::Timeout).
    pub execution_timeout: Option<Duration>,
    /// Wall clock of one callback. Default 10 s. Over it Python raises `TimeoutError`.
    pub callback_timeout: Option<Duration>,
    /// Callbacks that one execution may call. Default 1,000. Over it Python raises `CallbackLimitError`.
    pub max_callback_invocations: Option<u64>,
    /// Bytes of linear memory, interpreter included. Default 128 MiB; `None` is wasm's own 4 GiB. Over it Python raises
    /// `MemoryError`. Below what the interpreter itself takes: [`Error::MemoryLimit`](crate::Error::MemoryLimit).
    pub max_memory_bytes: Option<u64>,
    /// Bytes of stdout and stderr kept, together. Default 10 MiB. The rest is dropped and flagged.
    pub max_output_bytes: Option<u64>,
    /// Bytes of files: contents, names and directories. Default 64 MiB. Over it Python raises `OSError` `ENOSPC`.
    pub max_vfs_bytes: Option<u64>,
    /// Wasm instructions. Default none. Setting it selects code that counts, compiled at first use. Over it:
    /// [`Error::ResourceLimit`](crate::Error::ResourceLimit).
    pub max_fuel: Option<u64>,
}

impl ResourceLimits {
    /// No limit at all. For code that is trusted.
    pub const UNLIMITED: Self = Self {
        execution_timeout: None,
        callback_timeout: None,
        max_callback_invocations: None,
        max_memory_bytes: None,
        max_output_bytes: None,
        max_vfs_bytes: None,
        max_fuel: None,
    };
}

impl Default for ResourceLimits {
    fn default() -> Self {
        Self {
            execution_timeout: Some(Duration::from_secs(30)),
            callback_timeout: Some(Duration::from_secs(10)),
            max_callback_invocations: Some(1000),
            max_memory_bytes: Some(128 << 20),
            max_output_bytes: Some(10 << 20),
            max_vfs_bytes: Some(64 << 20),
            max_fuel: None,
        }
    }
}

/// A limit, as an error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`ResourceLimits::max_memory_bytes`].
    Memory,
    /// [`ResourceLimits::max_fuel`].
    Fuel,
}

impl Limit {
    /// The field of [`ResourceLimits`] that sets it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Memory => "max_memory_bytes",
            Self::Fuel => "max_fuel",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}
