//! What the host answers, in our words. Messages of the host, which may hold paths, end here.

use std::io;

use rustix::io::Errno;

use crate::Error;

/// The reason without the host's words for it.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(super) fn translated(error: io::Error) -> Error {
    let Some(errno) = Errno::from_io_error(&error) else {
        // cap-std's own: the path led out of the directory.
        return match error.kind() {
            io::ErrorKind::PermissionDenied => Error::NotPermitted,
            io::ErrorKind::InvalidInput => Error::InvalidInput,
            _ => Error::Failed,
        };
    };
    match errno {
        Errno::NOENT | Errno::STALE => Error::NotFound,
        Errno::EXIST => Error::AlreadyExists,
        Errno::NOTDIR => Error::NotADirectory,
        Errno::ISDIR => Error::IsADirectory,
        Errno::NOTEMPTY => Error::NotEmpty,
        Errno::NOSPC | Errno::DQUOT => Error::NoSpace,
        Errno::ROFS => Error::ReadOnly,
        Errno::LOOP => Error::TooManyLinks,
        Errno::NAMETOOLONG => Error::NameTooLong,
        Errno::INVAL => Error::InvalidInput,
        Errno::XDEV => Error::CrossDevice,
        Errno::PERM => Error::NotPermitted,
        Errno::FBIG | Errno::OVERFLOW => Error::FileTooLarge,
        Errno::ACCESS | Errno::TXTBSY | Errno::BUSY => Error::Denied,
        Errno::MFILE | Errno::NFILE => Error::TooManyOpen,
        _ => Error::Failed,
    }
}
