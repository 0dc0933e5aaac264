//! The files that code sees: storages that outlive a run, and what is mounted where.

pub(crate) mod mounts;
pub(crate) mod storage;
