//! The simplest file system that could be right: plain lists, recursion, no sharing, every sum made anew.

use std::collections::{BTreeMap, BTreeSet};

use eryx_vfs::{CHUNK_OVERHEAD, ENTRY_OVERHEAD, Error, MAX_FILE, MAX_LINKS, NODE_OVERHEAD, Result};

pub(crate) const CHUNK: usize = 16_384;

#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Length, and what is stored of each piece of [`CHUNK`] bytes.
    File(u64, BTreeMap<u64, Vec<u8>>),
    Directory {
        parent: usize,
        /// In the order in which they were made.
        entries: Vec<Entry>,
        last_cookie: u64,
    },
    Symlink(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) cookie: u64,
    pub(crate) name: String,
    pub(crate) node: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) handles: u64,
    /// Accessed, modified, changed.
    pub(crate) times: [u64; 3],
}

/// Nodes by index; 0 is the root. Nothing is ever freed.
#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) nodes: Vec<Node>,
    pub(crate) max: u64,
    /// Times that the last call must have set to now: node, and which of the three.
    pub(crate) touched: BTreeSet<(usize, usize)>,
}

/// Where a path ends.
enum End<'p> {
    Found(usize),
    Missing {
        dir: usize,
        name: &'p str,
        slash: bool,
    },
}

/// The last name of a path and the directory it is in.
struct Place<'p> {
    dir: usize,
    name: &'p str,
    slash: bool,
}

impl Place<'_> {
    fn is_special(&self) -> bool {
        matches!(self.name, "." | "..")
    }
}

const ALL: [usize; 3] = [0, 1, 2];
const CONTENTS: [usize; 2] = [1, 2];
const CHANGED: [usize; 1] = [2];

impl Naive {
    pub(crate) fn new(max: u64, times: [u64; 3]) -> Self {
        let body = directory(0);
        let root = Node {
            body,
            handles: 0,
            times,
        };
        Self {
            nodes: vec![root],
            max,
            touched: BTreeSet::new(),
        }
    }

    fn touch(&mut self, node: usize, which: &[usize]) {
        self.touched
            .extend(which.iter().map(|&which| (node, which)));
    }

    /// How many names each node has; the root one.
    pub(crate) fn names(&self) -> Vec<u64> {
        let mut names = vec![0; self.nodes.len()];
        names[0] = 1;
        for node in &self.nodes {
            if let Body::Directory { entries, .. } = &node.body {
                for entry in entries {
                    names[entry.node] += 1;
                }
            }
        }
        names
    }

    fn has_name(&self, node: usize) -> bool {
        self.names()[node] > 0
    }

    pub(crate) fn is_alive(&self, node: usize) -> bool {
        self.nodes[node].handles > 0 || self.has_name(node)
    }

    pub(crate) fn is_dir(&self, node: usize) -> bool {
        matches!(self.nodes[node].body, Body::Directory { .. })
    }

    pub(crate) fn entries(&self, dir: usize) -> Result<&Vec<Entry>> {
        match &self.nodes[dir].body {
            Body::Directory { entries, .. } => Ok(entries),
            _ => Err(Error::NotADirectory),
        }
    }

    fn directory_mut(&mut self, dir: usize) -> (&mut usize, &mut Vec<Entry>, &mut u64) {
        match &mut self.nodes[dir].body {
            Body::Directory {
                parent,
                entries,
                last_cookie,
            } => (parent, entries, last_cookie),
            _ => panic!("checked by the caller"),
        }
    }

    fn find(&self, dir: usize, name: &str) -> Result<usize> {
        let mut entries = self.entries(dir)?.iter();
        let found = entries.find(|entry| entry.name == name);
        found.map(|entry| entry.node).ok_or(Error::NotFound)
    }

    // Quota.

    pub(crate) fn charge(&self) -> u64 {
        let names = self.names();
        let nodes = self.nodes.iter().zip(names).enumerate();
        let alive = nodes.filter(|(_, (node, names))| *names > 0 || node.handles > 0);
        alive
            .map(|(index, (node, _))| match &node.body {
                Body::File(_, chunks) => {
                    NODE_OVERHEAD + chunks.values().map(|chunk| cost(chunk.len())).sum::<u64>()
                }
                Body::Symlink(target) => NODE_OVERHEAD + target.len() as u64,
                Body::Directory { entries, .. } => {
                    let entries = entries.iter().map(|entry| name_cost(&entry.name));
                    entries.sum::<u64>() + if index == 0 { 0 } else { NODE_OVERHEAD }
                }
            })
            .sum()
    }

    fn room(&self) -> u64 {
        self.max.saturating_sub(self.charge())
    }

    fn check_room(&self, bytes: u64) -> Result<()> {
        if bytes > self.room() {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    // Paths.

    pub(crate) fn resolve(&self, start: usize, path: &str, follow: bool) -> Result<usize> {
        match self.walk(start, path, follow, &mut 0)? {
            End::Found(node) => Ok(node),
            End::Missing { .. } => Err(Error::NotFound),
        }
    }

    fn walk<'p>(
        &'p self,
        start: usize,
        path: &'p str,
        follow: bool,
        links: &mut u32,
    ) -> Result<End<'p>> {
        let mut at = if path.starts_with('/') { 0 } else { start };
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let slash = path.ends_with('/');
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let Body::Directory { parent, .. } = &self.nodes[at].body else {
                return Err(Error::NotADirectory);
            };
            let next = match *name {
                "." => at,
                ".." if self.is_alive(*parent) => *parent,
                ".." => return Err(Error::NotFound),
                name => match self.find(at, name) {
                    Ok(next) => next,
                    Err(_) if last => {
                        return Ok(End::Missing {
                            dir: at,
                            name,
                            slash,
                        });
                    }
                    Err(error) => return Err(error),
                },
            };
            at = match &self.nodes[next].body {
                Body::Symlink(target) if !last || follow || slash => {
                    *links += 1;
                    if *links > MAX_LINKS {
                        return Err(Error::TooManyLinks);
                    }
                    match self.walk(at, target, true, links)? {
                        End::Found(node) => node,
                        End::Missing {
                            dir,
                            name,
                            slash: inner,
                        } if last => {
                            return Ok(End::Missing {
                                dir,
                                name,
                                slash: slash || inner,
                            });
                        }
                        End::Missing { .. } => return Err(Error::NotFound),
                    }
                }
                _ => next,
            };
        }
        if slash && !self.is_dir(at) {
            return Err(Error::NotADirectory);
        }
        Ok(End::Found(at))
    }

    fn place<'p>(&self, start: usize, path: &'p str) -> Result<Place<'p>> {
        let trimmed = path.trim_end_matches('/');
        let slash = trimmed.len() < path.len();
        let (above, name) = match trimmed.rfind('/') {
            Some(at) => trimmed.split_at(at + 1),
            None if trimmed.is_empty() => ("/", "."),
            None => ("./", trimmed),
        };
        let dir = self.resolve(start, above, true)?;
        Ok(Place { dir, name, slash })
    }

    /// A place with nothing at it yet.
    fn free_place<'p>(&self, start: usize, path: &'p str) -> Result<Place<'p>> {
        let place = self.place(start, path)?;
        if place.is_special() || self.find(place.dir, place.name).is_ok() {
            return Err(Error::AlreadyExists);
        }
        Ok(place)
    }

    fn movable(&self, place: &Place<'_>) -> Result<usize> {
        let node = self.find(place.dir, place.name)?;
        if place.slash && !self.is_dir(node) {
            return Err(Error::NotADirectory);
        }
        Ok(node)
    }

    // Names.

    pub(crate) fn create(
        &mut self,
        start: usize,
        path: &str,
        kind: char,
        target: &str,
    ) -> Result<usize> {
        let place = self.free_place(start, path)?;
        match kind {
            'f' if place.slash => return Err(Error::IsADirectory),
            'l' if place.slash => return Err(Error::NotFound),
            'l' => self.check_room(NODE_OVERHEAD + target.len() as u64)?,
            _ => {}
        }
        let body = match kind {
            'f' => Body::File(0, BTreeMap::new()),
            'd' => directory(place.dir),
            _ => Body::Symlink(target.to_owned()),
        };
        self.make(place.dir, place.name, body)
    }

    fn make(&mut self, dir: usize, name: &str, body: Body) -> Result<usize> {
        if !self.has_name(dir) {
            return Err(Error::NotFound);
        }
        let target = match &body {
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        self.check_room(NODE_OVERHEAD + target + name_cost(name))?;
        let node = self.nodes.len();
        self.nodes.push(Node {
            body,
            handles: 0,
            times: [0; 3],
        });
        self.touch(node, &ALL);
        self.add(dir, name, node);
        Ok(node)
    }

    fn add(&mut self, dir: usize, name: &str, node: usize) {
        let (_, entries, last_cookie) = self.directory_mut(dir);
        *last_cookie += 1;
        entries.push(Entry {
            cookie: *last_cookie,
            name: name.to_owned(),
            node,
        });
        self.touch(dir, &CONTENTS);
    }

    /// The node, and whether it was made.
    pub(crate) fn open_or_create(&mut self, start: usize, path: &str) -> Result<(usize, bool)> {
        let (dir, name) = match self.walk(start, path, true, &mut 0)? {
            End::Found(node) => return Ok((node, false)),
            End::Missing { slash: true, .. } => return Err(Error::IsADirectory),
            End::Missing { dir, name, .. } => (dir, name.to_owned()),
        };
        let body = Body::File(0, BTreeMap::new());
        Ok((self.make(dir, &name, body)?, true))
    }

    pub(crate) fn link(&mut self, node: usize, start: usize, path: &str) -> Result<()> {
        let place = self.free_place(start, path)?;
        if place.slash {
            return Err(Error::NotFound);
        }
        if self.is_dir(node) {
            return Err(Error::NotPermitted);
        }
        if !self.has_name(node) || !self.has_name(place.dir) {
            return Err(Error::NotFound);
        }
        self.check_room(name_cost(place.name))?;
        self.add(place.dir, place.name, node);
        self.touch(node, &CHANGED);
        Ok(())
    }

    pub(crate) fn remove(&mut self, start: usize, path: &str, directory: bool) -> Result<()> {
        let place = self.place(start, path)?;
        match (directory, place.name) {
            (true, ".") if path.starts_with('/') && place.dir == 0 => {
                return Err(Error::NotPermitted);
            }
            (true, ".") => return Err(Error::InvalidInput),
            (true, "..") => return Err(Error::NotEmpty),
            (false, "." | "..") => return Err(Error::IsADirectory),
            _ => {}
        }
        let node = self.movable(&place)?;
        match (directory, self.is_dir(node)) {
            (true, false) => return Err(Error::NotADirectory),
            (false, true) => return Err(Error::IsADirectory),
            (true, true) if !self.entries(node)?.is_empty() => return Err(Error::NotEmpty),
            _ => {}
        }
        self.take(place.dir, place.name);
        self.touch(place.dir, &CONTENTS);
        self.touch(node, &CHANGED);
        Ok(())
    }

    fn take(&mut self, dir: usize, name: &str) {
        let (_, entries, _) = self.directory_mut(dir);
        entries.retain(|entry| entry.name != name);
    }

    pub(crate) fn rename(
        &mut self,
        (from_start, from): (usize, &str),
        (to_start, to): (usize, &str),
    ) -> Result<()> {
        let from = self.place(from_start, from)?;
        let to = self.place(to_start, to)?;
        if from.is_special() || to.is_special() {
            return Err(Error::Busy);
        }
        let source = self.movable(&from)?;
        if to.slash && !self.is_dir(source) {
            return Err(Error::NotADirectory);
        }
        let target = match self.movable(&to) {
            Ok(target) => Some(target),
            Err(Error::NotFound) => None,
            Err(error) => return Err(error),
        };
        if !self.has_name(to.dir) {
            return Err(Error::NotFound);
        }
        if target == Some(source) {
            return Ok(());
        }
        if self.is_dir(source) && self.is_inside(source, to.dir) {
            return Err(Error::InvalidInput);
        }
        match target {
            Some(target) => self.move_over(source, target, &from, &to)?,
            None => self.move_to_free_name(source, &from, &to)?,
        }
        self.touch(from.dir, &CONTENTS);
        self.touch(to.dir, &CONTENTS);
        self.touch(source, &CHANGED);
        if self.is_dir(source) {
            *self.directory_mut(source).0 = to.dir;
        }
        Ok(())
    }

    /// The name keeps its place and gets another node.
    fn move_over(
        &mut self,
        source: usize,
        target: usize,
        from: &Place<'_>,
        to: &Place<'_>,
    ) -> Result<()> {
        match (self.is_dir(source), self.is_dir(target)) {
            (true, false) => return Err(Error::NotADirectory),
            (false, true) => return Err(Error::IsADirectory),
            (true, true) if !self.entries(target)?.is_empty() => return Err(Error::NotEmpty),
            _ => {}
        }
        let (_, entries, _) = self.directory_mut(to.dir);
        for entry in entries.iter_mut().filter(|entry| entry.name == to.name) {
            entry.node = source;
        }
        self.take(from.dir, from.name);
        self.touch(target, &CHANGED);
        Ok(())
    }

    /// Within a directory it keeps its place.
    fn move_to_free_name(&mut self, source: usize, from: &Place<'_>, to: &Place<'_>) -> Result<()> {
        self.check_room(name_cost(to.name).saturating_sub(name_cost(from.name)))?;
        if from.dir == to.dir {
            let (_, entries, _) = self.directory_mut(to.dir);
            for entry in entries.iter_mut().filter(|entry| entry.name == from.name) {
                to.name.clone_into(&mut entry.name);
            }
        } else {
            self.take(from.dir, from.name);
            self.add(to.dir, to.name, source);
        }
        Ok(())
    }

    fn is_inside(&self, above: usize, at: usize) -> bool {
        match &self.nodes[at].body {
            _ if at == above => true,
            Body::Directory { parent, .. } if at != 0 => self.is_inside(above, *parent),
            _ => false,
        }
    }

    // Contents.

    fn file(&self, node: usize) -> Result<(u64, &BTreeMap<u64, Vec<u8>>)> {
        match &self.nodes[node].body {
            Body::File(len, chunks) => Ok((*len, chunks)),
            Body::Directory { .. } => Err(Error::IsADirectory),
            Body::Symlink(_) => Err(Error::InvalidInput),
        }
    }

    fn file_mut(&mut self, node: usize) -> (&mut u64, &mut BTreeMap<u64, Vec<u8>>) {
        match &mut self.nodes[node].body {
            Body::File(len, chunks) => (len, chunks),
            _ => panic!("checked by the caller"),
        }
    }

    /// Byte for byte, as far as the quota lets it.
    pub(crate) fn write(&mut self, node: usize, offset: u64, data: &[u8]) -> Result<usize> {
        self.file(node)?;
        if data.is_empty() {
            return Ok(0);
        }
        if offset >= MAX_FILE {
            return Err(Error::FileTooLarge);
        }
        let mut room = self.room();
        let (len, chunks) = self.file_mut(node);
        let mut done = 0;
        for (at, byte) in (offset..MAX_FILE).zip(data) {
            let (index, start) = position(at);
            let held = chunks.get(&index).map_or(0, Vec::len);
            let more = cost(held.max(start + 1)) - cost(held);
            if more > room {
                break;
            }
            room -= more;
            let chunk = chunks.entry(index).or_default();
            chunk.resize(held.max(start + 1), 0);
            chunk[start] = *byte;
            done += 1;
        }
        if done == 0 {
            return Err(Error::NoSpace);
        }
        *len = (*len).max(offset + done as u64);
        self.touch(node, &CONTENTS);
        Ok(done)
    }

    pub(crate) fn append(&mut self, node: usize, data: &[u8]) -> Result<(u64, usize)> {
        let (len, _) = self.file(node)?;
        let count = self.write(node, len, data)?;
        Ok((len + count as u64, count))
    }

    pub(crate) fn set_len(&mut self, node: usize, len: u64) -> Result<()> {
        self.file(node)?;
        if len > MAX_FILE {
            return Err(Error::FileTooLarge);
        }
        let (old, chunks) = self.file_mut(node);
        if len < *old {
            let (index, keep) = position(len);
            chunks.retain(|&at, _| at < index || (at == index && keep > 0));
            if let Some(chunk) = chunks.get_mut(&index) {
                chunk.truncate(keep);
            }
        }
        *old = len;
        self.touch(node, &CONTENTS);
        Ok(())
    }

    pub(crate) fn set_times(&mut self, node: usize, accessed: Option<u64>, modified: Option<u64>) {
        let times = &mut self.nodes[node].times;
        times[0] = accessed.unwrap_or(times[0]);
        times[1] = modified.unwrap_or(times[1]);
        self.touch(node, &CHANGED);
    }

    /// The bytes of one piece, up to the end of the file.
    pub(crate) fn piece(&self, node: usize, index: u64) -> Vec<u8> {
        let Ok((len, chunks)) = self.file(node) else {
            return Vec::new();
        };
        let mut piece = chunks.get(&index).cloned().unwrap_or_default();
        let left = len.saturating_sub(index * CHUNK as u64);
        piece.resize(
            usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK)),
            0,
        );
        piece
    }

    pub(crate) fn read(&self, node: usize, offset: u64, count: usize) -> Result<Vec<u8>> {
        let (len, chunks) = self.file(node)?;
        let bytes = (offset..len).take(count).map(|at| {
            let (index, start) = position(at);
            let stored = chunks.get(&index).and_then(|chunk| chunk.get(start));
            stored.copied().unwrap_or(0)
        });
        Ok(bytes.collect())
    }
}

fn directory(parent: usize) -> Body {
    Body::Directory {
        parent,
        entries: Vec::new(),
        last_cookie: 0,
    }
}

fn position(at: u64) -> (u64, usize) {
    let chunk = CHUNK as u64;
    (at / chunk, usize::try_from(at % chunk).expect("small"))
}

/// What so many stored bytes of a piece cost.
fn cost(len: usize) -> u64 {
    let step = if len <= 1024 { 64 } else { 1024 };
    match len {
        0 => 0,
        _ => CHUNK_OVERHEAD + len.next_multiple_of(step) as u64,
    }
}

fn name_cost(name: &str) -> u64 {
    ENTRY_OVERHEAD + name.len() as u64
}
