//! The Node-API addon of `@bsull/eryx`. It converts; behaviour is in the core and in `js/`. What wraps a type of the core
//! has its name: `Sandbox` is the addon's, `eryx::Sandbox` the core's.
//!
//! Everything asynchronous goes through one function per JavaScript environment, `dispatch(kind, id, ..)`: output, calls
//! of callbacks and the end of a run, in order. So one wake-up of the event loop settles every run that has ended meanwhile.

#![deny(unsafe_code)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "arguments of exports are what Node-API converts"
)]

mod callbacks;
mod calls;
mod events;
mod execution;
mod numbers;
mod options;
mod outcome;
mod runtime;
mod sandbox;
mod session;
mod storage;
