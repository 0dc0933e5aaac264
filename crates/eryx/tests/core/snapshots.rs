//! Sessions and storages as bytes.

mod corpus;
mod forged;
mod fuzz;
mod refusals;
mod sessions;
mod storages;
