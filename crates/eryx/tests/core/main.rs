//! The core as its users meet it: one folder per subject, one module per feature, one real interpreter behind all of them.

mod callbacks;
mod files;
mod host;
mod hostile;
mod limits;
mod python;
mod runs;
mod sessions;
mod snapshots;
#[cfg(target_os = "linux")]
mod soak;
mod support;
