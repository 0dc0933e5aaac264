//! Functions of the host that code calls.

mod asyncio;
mod calls;
mod endings;
mod signatures;
mod sync;
