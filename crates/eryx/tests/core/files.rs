//! Files that code finds, makes and leaves.

mod open;
mod sqlite;
mod storage;
mod volumes;
