//! Why an archive is refused.

/// Why [`crate::ArchiveFs::from_tar`] refused an archive. Paths are cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A header or a length makes no sense, or the end is missing.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A path or link target is absolute, has `..` or NUL, is not UTF-8, or is too long.
    #[error("the archive has an entry with an unusable path: {0:?}")]
    UnusablePath(String),
    /// A device, a FIFO, a sparse file, or an unknown type.
    #[error("the archive has an entry of an unsupported type: {0:?}")]
    UnsupportedType(String),
    /// The path is already there as something that it cannot replace, or leads through a file.
    #[error("the archive has an entry that contradicts an earlier one: {0:?}")]
    Conflict(String),
    /// A hard link to a path that no earlier entry has.
    #[error("the archive has a hard link to a file it does not have: {0:?}")]
    MissingTarget(String),
    /// The index is damaged, or that of another archive.
    #[error("its index is damaged or that of another archive")]
    WrongIndex,
    /// More files and directories than [`crate::MAX_ARCHIVE_NODES`].
    #[error("the archive has too many entries")]
    TooManyEntries,
}

const SHOWN: usize = 200;

/// A path as an error shows it.
pub(super) fn shown(path: &[u8]) -> String {
    let start = path.get(..SHOWN).unwrap_or(path);
    String::from_utf8_lossy(start).into_owned()
}
