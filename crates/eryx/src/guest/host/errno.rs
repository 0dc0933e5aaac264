//! WASI preview 1 error numbers.

use crate::guest::memory::Fault;

/// The ones that our imports return. Numbers are those of `wasi_snapshot_preview1.witx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    Success = 0,
    Acces = 2,
    Again = 6,
    Badf = 8,
    Busy = 10,
    Exist = 20,
    Fault = 21,
    Fbig = 22,
    Ilseq = 25,
    Inval = 28,
    Io = 29,
    Isdir = 31,
    Loop = 32,
    Mfile = 33,
    Nametoolong = 37,
    Noent = 44,
    Nospc = 51,
    Notdir = 54,
    Notempty = 55,
    Notsock = 57,
    Notsup = 58,
    Overflow = 61,
    Perm = 63,
    Rofs = 69,
    Spipe = 70,
    Xdev = 75,
}

impl From<Fault> for Errno {
    fn from(Fault: Fault) -> Self {
        Self::Fault
    }
}

impl From<eryx_vfs::Error> for Errno {
    fn from(error: eryx_vfs::Error) -> Self {
        use eryx_vfs::Error;
        match error {
            Error::NotFound => Self::Noent,
            Error::AlreadyExists => Self::Exist,
            Error::NotADirectory => Self::Notdir,
            Error::IsADirectory => Self::Isdir,
            Error::NotEmpty => Self::Notempty,
            Error::NoSpace => Self::Nospc,
            Error::ReadOnly => Self::Rofs,
            Error::TooManyLinks => Self::Loop,
            Error::NameTooLong => Self::Nametoolong,
            Error::Busy => Self::Busy,
            Error::CrossDevice => Self::Xdev,
            Error::NotPermitted => Self::Perm,
            Error::FileTooLarge => Self::Fbig,
            Error::Denied => Self::Acces,
            Error::TooManyOpen => Self::Mfile,
            Error::TooManyEntries => Self::Overflow,
            Error::Failed => Self::Io,
            _ => Self::Inval,
        }
    }
}

/// What an import returns: the number of its error, 0 for none.
pub(crate) fn number(result: Result<(), Errno>) -> i32 {
    result.err().unwrap_or(Errno::Success) as i32
}
