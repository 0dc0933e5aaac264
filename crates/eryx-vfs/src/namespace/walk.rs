//! How a path finds its way: a loop over components, with a stack of unread pieces.

use std::borrow::Cow;

use super::{Location, Namespace};
use crate::name::{check_name, check_path};
use crate::{Error, Kind, MAX_LINKS, MAX_NAME, Result};

/// Where a path ends.
pub(super) enum End {
    Found(Location),
    /// All but the last component is there. `slash`: only a directory may be made of it.
    Missing {
        dir: Location,
        name: String,
        slash: bool,
    },
}

/// A name in a directory, not looked up.
pub(super) struct Place<'p> {
    pub(super) dir: Location,
    pub(super) name: &'p str,
    /// The path goes on with a slash, so the name must be a directory's.
    pub(super) slash: bool,
}

impl Place<'_> {
    /// The name is `.` or `..`, which no call can make or remove.
    pub(super) fn is_special(&self) -> bool {
        matches!(self.name, "." | "..")
    }
}

struct Walk<'n, 'p> {
    namespace: &'n Namespace,
    at: Location,
    /// What is still to be read, the innermost link's target on top. No piece is empty or ends in
    /// `/`, so the walk is at its last component when the stack is empty.
    pending: Vec<Piece<'p>>,
    links: u32,
    follow_last: bool,
    slash: bool,
}

struct Piece<'p> {
    text: Cow<'p, str>,
    read: usize,
    within: Within,
}

/// The mount that the target of a link must not lead out of, if there is one.
type Within = Option<u32>;

pub(super) fn walk(
    namespace: &Namespace,
    start: Location,
    path: &str,
    follow_last: bool,
) -> Result<End> {
    check_path(path)?;
    let mut walk = Walk {
        namespace,
        at: start,
        pending: Vec::new(),
        links: 0,
        follow_last,
        slash: false,
    };
    walk.push(Cow::Borrowed(path), None)?;
    while let Some((name, within)) = walk.next() {
        if let Some(end) = walk.step(&name, within)? {
            return Ok(end);
        }
    }
    if walk.slash {
        walk.check_directory()?;
    }
    Ok(End::Found(walk.at))
}

/// Splits off the last component and resolves what is before it.
pub(super) fn place<'p>(
    namespace: &Namespace,
    start: Location,
    path: &'p str,
) -> Result<Place<'p>> {
    check_path(path)?;
    let trimmed = path.trim_end_matches('/');
    let slash = trimmed.len() < path.len();
    let (above, name) = match trimmed.rfind('/') {
        Some(at) => (&trimmed[..=at], &trimmed[at + 1..]),
        None if trimmed.is_empty() => ("/", "."),
        None => ("./", trimmed),
    };
    if name.len() > MAX_NAME {
        return Err(Error::NameTooLong);
    }
    let dir = namespace.resolve(start, above, true)?;
    Ok(Place { dir, name, slash })
}

impl<'p> Walk<'_, 'p> {
    /// Puts text in front of what is pending. A leading slash goes to the namespace's root.
    fn push(&mut self, text: Cow<'p, str>, within: Within) -> Result<()> {
        if text.starts_with('/') {
            if within.is_some() {
                return Err(Error::NotPermitted);
            }
            self.at = self.namespace.root();
        }
        let end = text.trim_end_matches('/').len();
        if self.pending.is_empty() {
            self.slash |= end < text.len();
        }
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        };
        if !text.is_empty() {
            self.pending.push(Piece {
                text,
                read: 0,
                within,
            });
        }
        Ok(())
    }

    /// The next component.
    fn next(&mut self) -> Option<(Cow<'p, str>, Within)> {
        let piece = self.pending.last_mut()?;
        let within = piece.within;
        let rest = &piece.text[piece.read..];
        let start = piece.read + rest.len() - rest.trim_start_matches('/').len();
        let len = piece.text[start..].find('/');
        let end = len.map_or(piece.text.len(), |len| start + len);
        piece.read = end;
        let name = match &piece.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
            Cow::Owned(text) => Cow::Owned(text[start..end].to_owned()),
        };
        if end == piece.text.len() {
            self.pending.pop();
        }
        Some((name, within))
    }

    /// Takes one component. The path ends here if it is the last and not there.
    fn step(&mut self, name: &str, within: Within) -> Result<Option<End>> {
        match name {
            "." => self.check_directory().map(|()| None),
            ".." => self.up(within).map(|()| None),
            _ => self.enter(name),
        }
    }

    fn check_directory(&self) -> Result<()> {
        if self.namespace.metadata(self.at)?.kind == Kind::Directory {
            return Ok(());
        }
        Err(Error::NotADirectory)
    }

    /// To the parent: through the roots of mounts to what they cover, at the top nowhere.
    fn up(&mut self, within: Within) -> Result<()> {
        self.check_directory()?;
        let mut at = self.at;
        while let Some(below) = self.namespace.below(at) {
            if within == Some(at.mount) {
                return Err(Error::NotPermitted);
            }
            at = below;
        }
        at.node = self.namespace.fs(at).parent(at.node)?;
        self.at = self.namespace.uncover(at);
        Ok(())
    }

    fn enter(&mut self, name: &str) -> Result<Option<End>> {
        let fs = self.namespace.fs(self.at);
        let is_last = self.pending.is_empty();
        let (node, kind) = match fs.find(self.at.node, name) {
            Ok(found) => found,
            Err(Error::NotFound) if is_last => return self.missing(name).map(Some),
            Err(error) => return Err(error),
        };
        let mount = self.at.mount;
        if kind != Kind::Symlink {
            self.at = self.namespace.uncover(Location { mount, node });
            return Ok(None);
        }
        if is_last && !self.follow_last && !self.slash {
            self.at = Location { mount, node };
            return Ok(None);
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Error::TooManyLinks);
        }
        let target = fs.read_link(node)?;
        check_path(&target)?;
        let within = fs.contains_links().then_some(mount);
        self.push(Cow::Owned(target.into()), within)?;
        Ok(None)
    }

    /// The end of a path whose last name is not there. A start that is gone has no such end.
    fn missing(&self, name: &str) -> Result<End> {
        check_name(name)?;
        self.check_directory()?;
        Ok(End::Missing {
            dir: self.at,
            name: name.to_owned(),
            slash: self.slash,
        })
    }
}
