//! The stages that need no tools, on modules made by hand.

mod check;
mod glue;
mod hook;
mod lock;
mod modules;
mod names;
mod reproducible;
mod rewrite;
mod strip;
mod wheel;
