//! The stages that need no tools, on modules made by hand.

mod announce;
mod check;
mod glue;
mod lock;
mod modules;
mod names;
mod patch;
mod reproducible;
mod rewrite;
mod strip;
mod wheel;
