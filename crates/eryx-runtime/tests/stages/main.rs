//! The stages, most of them on modules made by hand; and the C library that they make.

mod announce;
mod c_library;
mod check;
mod glue;
mod hint;
mod hook;
mod lock;
mod modules;
mod names;
mod patch;
mod poll;
mod reproducible;
mod rewrite;
mod strip;
mod wheel;
