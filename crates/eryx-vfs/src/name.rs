//! What a name, a path and a link target may look like.

use crate::{Error, Result};

/// Longest name of one entry, in bytes.
pub const MAX_NAME: usize = 255;
/// Longest path and longest symbolic link target, in bytes.
pub const MAX_PATH: usize = 4096;
/// Symbolic links followed for one path, as on Linux.
pub const MAX_LINKS: u32 = 40;

/// Refuses what cannot be the name of an entry: empty, `.`, `..`, a `/` or NUL, over [`MAX_NAME`].
pub(crate) fn check_name(name: &str) -> Result<()> {
    match name {
        "" => return Err(Error::NotFound),
        "." | ".." => return Err(Error::InvalidInput),
        _ => {}
    }
    if name.len() > MAX_NAME {
        return Err(Error::NameTooLong);
    }
    if name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(Error::InvalidInput);
    }
    Ok(())
}

/// Refuses what cannot be a path or a link target: empty, a NUL, over [`MAX_PATH`].
pub(crate) fn check_path(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(Error::NotFound);
    }
    if path.len() > MAX_PATH {
        return Err(Error::NameTooLong);
    }
    if path.bytes().any(|byte| byte == 0) {
        return Err(Error::InvalidInput);
    }
    Ok(())
}
