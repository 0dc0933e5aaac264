//! Names and numbers shared with the guest. The C side is `crates/eryx-runtime/guest/eryx.h`.

/// Import module of everything that is ours; files, clocks and the like are `wasi_snapshot_preview1`.
pub(crate) const MODULE: &str = "eryx";

/// `eryx_start` and `eryx_resume`: the run has ended.
const DONE: i64 = -1;
/// `eryx_start`: there is no memory for what was asked, and nothing was done.
pub(crate) const NO_MEMORY: i64 = -2;
/// `eryx_start` and `eryx_resume`: the run waits, and no timer is among what it waits for.
const NO_TIMER: i64 = i64::MAX;

/// How a run goes on after a call into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has ended.
    Done,
    /// It waits with an empty wasm stack; its next timer is due in so many nanoseconds.
    Pending(Option<u64>),
}

impl Status {
    /// Reads the number that the guest returned. A negative time, which only a hostile guest reports, is "due now".
    pub(crate) fn from_guest(raw: i64) -> Self {
        match raw {
            DONE => Self::Done,
            NO_TIMER => Self::Pending(None),
            nanoseconds => Self::Pending(Some(u64::try_from(nanoseconds).unwrap_or(0))),
        }
    }
}

/// What a value given to `eryx.deliver` is. The Python side is `KIND_*` in `_eryx_driver.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The result variable.
    Result,
    /// The last expression's value.
    Value,
    /// The dict that says how the run ended.
    Report,
}

impl Delivery {
    pub(crate) fn from_guest(raw: i32) -> Option<Self> {
        Some(match raw {
            0 => Self::Result,
            1 => Self::Value,
            2 => Self::Report,
            _ => return None,
        })
    }
}

/// What `eryx.finish` answers. The Python side is `_eryx_files.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Nothing runs in this interpreter any more: what is open is to be finished.
    Last,
    /// No file is open for writing.
    NoWriters,
    /// There are files open for writing. The number changes when one more was opened.
    Writers(u64),
}

impl Finish {
    pub(crate) fn to_guest(self) -> i64 {
        match self {
            Self::Last => -1,
            Self::NoWriters => 0,
            Self::Writers(opened) => i64::try_from(opened).unwrap_or(i64::MAX).max(1),
        }
    }
}

/// Why `eryx.call` started nothing. The Python side is `_eryx_callbacks.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Refusal {
    /// No callback has this number.
    Unknown = -1,
    /// The run has made all the calls it may make.
    Limit = -2,
    /// Too much is in flight: try again after an answer.
    Busy = -3,
    /// The arguments are not two values that can cross.
    TooMuch = -4,
}
