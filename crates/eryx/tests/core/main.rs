//! The core as its users meet it: one module per feature, one real interpreter behind all of them.

mod callback_asyncio;
mod callback_endings;
mod callback_signatures;
mod callback_support;
mod callbacks;
mod cancel;
mod concurrency;
mod exit;
mod fuel;
mod guest_environment;
mod hostile_callbacks;
mod hostile_driver;
mod hostile_events;
mod hostile_system;
mod isolation;
mod libraries;
mod limits;
mod output;
mod python_errors;
mod runtime_files;
mod storage;
mod storage_snapshot;
mod support;
mod tracing;
mod values;
mod volumes;
