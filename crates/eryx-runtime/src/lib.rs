//! Makes the guest: `CPython`, a C library and our C code as one static WebAssembly module.
//!
//! The stages, in the order they run: [`lock`] says what is used, [`inputs`] downloads and unpacks it ([`wheel`]),
//! [`announce`] makes stores to dicts known, [`names`] decides which C functions the module exports, `compile` builds our
//! C code with the C library and [`musl`], [`glue`] ties it to libpython, [`rewrite`] renames imports so that they meet, `merge`
//! makes one module of the three, [`hook`] puts functions of ours in the place of some of libpython's, [`deepen`] makes C recursion
//! end in time, [`check`] looks at its imports and at what it changes, [`strip`] takes its initial memory out, and [`poll`] puts
//! polls into what is left, by which the host stops it. [`link()`] runs these. Then [`hint`] tells which way its branches go
//! ([`train()`] counts that), the module is compiled, it compiles the standard library (`library`, with what [`patch`] changes in
//! it), and its memory is frozen with everything imported (`freeze`). [`build`] runs all of it.

#![deny(unsafe_code)]

pub mod announce;
pub mod check;
mod command;
pub mod compile;
pub mod constant;
pub mod deepen;
pub mod digest;
mod freeze;
pub mod glue;
pub mod hint;
pub mod hook;
pub mod inputs;
mod layout;
mod library;
mod link;
pub mod lock;
mod merge;
pub mod module;
pub mod musl;
pub mod names;
pub mod object;
pub mod patch;
pub mod poll;
pub mod program;
mod progress;
mod publish;
pub mod rewrite;
mod stamp;
pub mod strip;
mod train;
pub mod update;
pub mod wheel;

pub use compile::{STACK_SIZE, STACK_TOLD};
pub use layout::Layout;
pub use link::{Linked, link};
pub use progress::Progress;
pub use publish::build;
pub use train::train;
