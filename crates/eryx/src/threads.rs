//! The threads that run guests, and the clock that looks after them.

pub(crate) mod clock;
pub(crate) mod process;
pub(crate) mod workers;
