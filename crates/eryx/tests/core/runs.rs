//! One run: what goes in, what comes out, what is next to it.

mod cancel;
mod concurrency;
mod isolation;
mod libraries;
mod output;
mod tracing;
mod values;
mod warnings;
