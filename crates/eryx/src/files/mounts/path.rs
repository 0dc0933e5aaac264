//! Which paths something may be mounted at.

use eryx_vfs::MAX_NAME;

use crate::Error;
use crate::caps::{MAX_MOUNT_PARTS, MAX_MOUNT_PATH};
use crate::names::quoted;

/// Where nothing else is mounted.
const RESERVED: [(&str, &str); 2] = [("the standard library", "/usr"), ("the devices", "/dev")];

/// Refuses what is no absolute, normalised path below `/`.
pub(super) fn check(argument: &str, path: &str) -> Result<(), Error> {
    let refused = |why: &str| {
        let problem = format!("expected {why}, got {}", quoted(path));
        Err(Error::invalid(argument.to_owned(), problem))
    };
    let Some(parts) = path.strip_prefix('/').filter(|parts| !parts.is_empty()) else {
        return refused("an absolute path other than \"/\"");
    };
    if path.len() > MAX_MOUNT_PATH || parts.split('/').count() > MAX_MOUNT_PARTS {
        return refused(&format!(
            "a path of at most {MAX_MOUNT_PATH} bytes and {MAX_MOUNT_PARTS} parts"
        ));
    }
    if parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refused("a path without \".\", \"..\", empty parts and a slash at the end");
    }
    if path.contains('\0') {
        return refused("a path without NUL characters");
    }
    if parts.split('/').any(|part| part.len() > MAX_NAME) {
        return refused(&format!("parts of at most {MAX_NAME} bytes"));
    }
    Ok(())
}

/// Places that are taken.
pub(super) struct Claims(Vec<(String, String)>);

impl Claims {
    pub(super) fn new() -> Self {
        Self(
            RESERVED
                .map(|(owner, path)| (owner.into(), path.into()))
                .into(),
        )
    }

    /// Takes a place that is neither another one, nor above or below one.
    pub(super) fn add(&mut self, argument: &str, owner: &str, path: &str) -> Result<(), Error> {
        let clash = self
            .0
            .iter()
            .find(|(_, other)| is_within(path, other) || is_within(other, path));
        if let Some((taken_by, other)) = clash {
            let problem = format!(
                "{} overlaps {}, which is the place of {taken_by}",
                quoted(path),
                quoted(other)
            );
            return Err(Error::invalid(argument.to_owned(), problem));
        }
        self.0.push((owner.to_owned(), path.to_owned()));
        Ok(())
    }
}

/// `path` is `other` or below it.
fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/a", "/a/b c", "/größe", "/usrs", "/..a"] {
            assert_eq!(check("x", good), Ok(()), "{good}");
        }
        let deep = "/a".repeat(MAX_MOUNT_PARTS + 1);
        let long = format!("/{}", "a/".repeat(MAX_MOUNT_PATH));
        let name = format!("/{}", "a".repeat(MAX_NAME + 1));
        for bad in [
            "", "/", "a", "a/b", "//", "/a/", "/a//b", "/./a", "/a/..", "/a\0", &deep, &long, &name,
        ] {
            let error = check("x", bad).expect_err(bad).to_string();
            assert!(
                error.starts_with("x: expected ") && error.contains(", got "),
                "{error}"
            );
        }
    }

    #[test]
    fn places_do_not_overlap() {
        for (taken, path) in [
            ("/a", "/a"),
            ("/a", "/a/b"),
            ("/a/b", "/a"),
            ("/b", "/usr/x"),
            ("/b", "/usr"),
            ("/b", "/dev/shm"),
        ] {
            let mut claims = Claims::new();
            claims.add("x", "x", taken).expect("free");
            assert!(claims.add("y", "y", path).is_err(), "{taken} {path}");
        }
        let mut claims = Claims::new();
        for path in ["/a/b", "/a/c", "/ab", "/usr2"] {
            claims.add("x", "x", path).expect("free");
        }
        let error = claims.add("y", "y", "/a").expect_err("taken").to_string();
        assert_eq!(
            error,
            "y: \"/a\" overlaps \"/a/b\", which is the place of x"
        );
    }
}
