//! The behaviour of the file systems and of the namespace, one file per feature.

mod archive;
mod archive_damage;
mod archive_index;
mod devices;
mod directories;
mod files;
mod fork;
mod host;
mod host_changes;
mod host_escapes;
mod host_listings;
mod host_moves;
mod links;
mod model;
mod model_naive;
mod mounts;
mod open;
mod paths;
mod quota;
mod rename;
mod save;
mod save_damage;
mod support;
