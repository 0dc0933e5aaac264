//! One run: what it is given, and how it ended.

pub(crate) mod checkpoint;
pub(crate) mod context;
pub(crate) mod outcome;
pub(crate) mod request;
pub(crate) mod waiter;
