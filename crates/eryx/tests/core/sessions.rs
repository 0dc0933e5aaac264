//! One interpreter for many executions.

mod endings;
mod executions;
mod failures;
mod fork;
mod leftovers;
mod many;
pub(crate) mod model;
mod resting;
mod resume;
