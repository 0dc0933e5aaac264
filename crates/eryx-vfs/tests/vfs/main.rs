//! The behaviour of the file systems and of the namespace, one file per feature.

mod archive;
mod devices;
mod directories;
mod files;
mod fork;
mod host;
mod links;
mod model;
mod mounts;
mod open;
mod paths;
mod quota;
mod rename;
mod save;
mod support;
