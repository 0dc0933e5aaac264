//! Code that attacks what is around it.

mod callbacks;
mod driver;
mod events;
mod system;
