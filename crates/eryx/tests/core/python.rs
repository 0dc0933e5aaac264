//! The interpreter itself: what code finds in it, how it fails, how it ends.

mod collector;
mod crashes;
mod environment;
mod errors;
mod exit;
mod patches;
