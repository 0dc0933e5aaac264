//! What a file-system call can answer instead of a result.

/// Why a call was refused. Every variant has one POSIX error number; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `ENOENT`: no such entry, or the node is gone.
    #[error("no such file or directory")]
    NotFound,
    /// `EEXIST`: the name is taken.
    #[error("file exists")]
    AlreadyExists,
    /// `ENOTDIR`: a directory is needed here.
    #[error("not a directory")]
    NotADirectory,
    /// `EISDIR`: a directory cannot be used here.
    #[error("is a directory")]
    IsADirectory,
    /// `ENOTEMPTY`: the directory still has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// `ENOSPC`: the quota has no room for it.
    #[error("no space left in the file system")]
    NoSpace,
    /// `EROFS`: the file system cannot be changed.
    #[error("read-only file system")]
    ReadOnly,
    /// `ELOOP`: more symbolic links than [`crate::MAX_LINKS`] on the way.
    #[error("too many levels of symbolic links")]
    TooManyLinks,
    /// `ENAMETOOLONG`: over [`crate::MAX_PATH`], [`crate::MAX_NAME`] or [`crate::MAX_DEPTH`].
    #[error("file name too long")]
    NameTooLong,
    /// `EINVAL`: a NUL or `/` in a name, a directory moved into itself, a link read that is none.
    #[error("invalid argument")]
    InvalidInput,
    /// `EBUSY`: `.`, `..` or `/` as what is renamed or replaced, or others are moving something on the same device.
    #[error("device or resource busy")]
    Busy,
    /// `EXDEV`: the two places are on different mounts.
    #[error("cross-device link")]
    CrossDevice,
    /// `EPERM`: a mount point, or a hard link to a directory.
    #[error("operation not permitted")]
    NotPermitted,
    /// `EFBIG`: beyond [`crate::MAX_FILE`].
    #[error("file too large")]
    FileTooLarge,
    /// `EACCES`: the host does not let this process do it.
    #[error("permission denied")]
    Denied,
    /// `EMFILE`: more open files than the file system or the host allows.
    #[error("too many open files")]
    TooManyOpen,
    /// `EOVERFLOW`: a host directory has more entries than are listed.
    #[error("too many entries in the directory")]
    TooManyEntries,
    /// `EIO`: the host failed in a way that none of the others says.
    #[error("input/output error")]
    Failed,
}

impl Error {
    /// The name of the POSIX error number.
    #[must_use]
    pub const fn posix_name(self) -> &'static str {
        match self {
            Self::NotFound => "ENOENT",
            Self::AlreadyExists => "EEXIST",
            Self::NotADirectory => "ENOTDIR",
            Self::IsADirectory => "EISDIR",
            Self::NotEmpty => "ENOTEMPTY",
            Self::NoSpace => "ENOSPC",
            Self::ReadOnly => "EROFS",
            Self::TooManyLinks => "ELOOP",
            Self::NameTooLong => "ENAMETOOLONG",
            Self::InvalidInput => "EINVAL",
            Self::Busy => "EBUSY",
            Self::CrossDevice => "EXDEV",
            Self::NotPermitted => "EPERM",
            Self::FileTooLarge => "EFBIG",
            Self::Denied => "EACCES",
            Self::TooManyOpen => "EMFILE",
            Self::TooManyEntries => "EOVERFLOW",
            Self::Failed => "EIO",
        }
    }
}

/// The result of a file-system call.
pub type Result<T> = std::result::Result<T, Error>;
