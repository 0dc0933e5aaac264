//! What a run may use, and what happens beyond.

mod exhaustion;
mod files;
mod fuel;
mod memory;
mod recursion;
mod time;
