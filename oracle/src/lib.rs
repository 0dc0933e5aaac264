//! The same guest programs under our preview 1 and under that of `wasmtime-wasi`: what they print is compared.

#![deny(warnings)]

mod differences;
mod guest;
mod ours;
mod theirs;

pub use differences::{DIFFERENCES, Difference, State};
pub use guest::compiled;
pub use ours::Ours;
pub use theirs::Theirs;
