//! A guest: the instance, its memory, what it imports, and how it is stopped.

pub(crate) mod abi;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod interrupt;
pub(crate) mod memory;
