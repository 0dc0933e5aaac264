//! What a run may use, and what happens beyond.

mod exhaustion;
mod fuel;
mod time;
