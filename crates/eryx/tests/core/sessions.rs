//! One interpreter for many executions.

mod executions;
mod failures;
mod fork;
mod leftovers;
pub(crate) mod model;
mod resume;
