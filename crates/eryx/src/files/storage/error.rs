//! What a call on a storage can answer instead of a result.

use crate::names::quoted;

/// Why a call on a [`Storage`](crate::Storage) failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The call was refused, for a reason that has a POSIX error number.
    #[error("{reason}: {}", quoted(path))]
    Refused {
        /// The reason.
        reason: eryx_vfs::Error,
        /// The path, as it was given.
        path: String,
    },
    /// The bytes are no snapshot that can be restored. Nothing was made of them.
    #[error("{0}")]
    Snapshot(String),
}

impl StorageError {
    /// The name of the POSIX error number, such as `ENOENT`; none for a snapshot.
    #[must_use]
    pub fn posix_name(&self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } => Some(reason.posix_name()),
            Self::Snapshot(_) => None,
        }
    }
}

/// Adds the path to a reason.
pub(super) trait Context<T> {
    fn context(self, path: &str) -> Result<T, StorageError>;
}

impl<T> Context<T> for eryx_vfs::Result<T> {
    fn context(self, path: &str) -> Result<T, StorageError> {
        self.map_err(|reason| StorageError::Refused {
            reason,
            path: path.to_owned(),
        })
    }
}
