//! The core as its users meet it: one module per feature, one real interpreter behind all of them.

mod cancel;
mod concurrency;
mod exit;
mod fuel;
mod guest_environment;
mod hostile_driver;
mod hostile_system;
mod isolation;
mod limits;
mod output;
mod python_errors;
mod runtime_files;
mod storage;
mod storage_snapshot;
mod support;
mod values;
mod volumes;
