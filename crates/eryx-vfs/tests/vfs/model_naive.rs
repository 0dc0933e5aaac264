//! The simplest file system that could be right: plain maps, recursion, no sharing, no limits.

use std::collections::BTreeMap;

use eryx_vfs::{CHUNK_OVERHEAD, ENTRY_OVERHEAD, Error, MAX_LINKS, NODE_OVERHEAD, Result};

#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(Vec<u8>),
    Directory {
        parent: usize,
        entries: BTreeMap<String, usize>,
    },
    Symlink(String),
}

/// Nodes by index; 0 is the root. Nothing is ever freed.
#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) nodes: Vec<Node>,
}

impl Naive {
    pub(crate) fn new() -> Self {
        let root = Node::Directory {
            parent: 0,
            entries: BTreeMap::new(),
        };
        Self { nodes: vec![root] }
    }

    pub(crate) fn entries(&self, dir: usize) -> Result<&BTreeMap<String, usize>> {
        match &self.nodes[dir] {
            Node::Directory { entries, .. } => Ok(entries),
            _ => Err(Error::NotADirectory),
        }
    }

    fn entries_mut(&mut self, dir: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.nodes[dir] {
            Node::Directory { entries, .. } => entries,
            _ => panic!("checked by the caller"),
        }
    }

    fn is_dir(&self, node: usize) -> bool {
        matches!(self.nodes[node], Node::Directory { .. })
    }

    pub(crate) fn resolve(&self, start: usize, path: &str, follow: bool) -> Result<usize> {
        self.walk(start, path, follow, &mut 0)
    }

    fn walk(&self, start: usize, path: &str, follow: bool, links: &mut u32) -> Result<usize> {
        let mut at = if path.starts_with('/') { 0 } else { start };
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let slash = path.ends_with('/');
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let Node::Directory { parent, entries } = &self.nodes[at] else {
                return Err(Error::NotADirectory);
            };
            let next = match *name {
                "." => at,
                ".." => *parent,
                name => *entries.get(name).ok_or(Error::NotFound)?,
            };
            at = match &self.nodes[next] {
                Node::Symlink(target) if !last || follow || slash => {
                    *links += 1;
                    if *links > MAX_LINKS {
                        return Err(Error::TooManyLinks);
                    }
                    self.walk(at, target, true, links)?
                }
                _ => next,
            };
        }
        if slash && !self.is_dir(at) {
            return Err(Error::NotADirectory);
        }
        Ok(at)
    }

    /// Parent and name of a path that ends in a plain name.
    fn place<'p>(&self, path: &'p str) -> Result<(usize, &'p str)> {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let above = if above.is_empty() { "/" } else { above };
        let dir = self.resolve(0, above, true)?;
        self.entries(dir)?;
        Ok((dir, name))
    }

    pub(crate) fn create(&mut self, path: &str, kind: char, target: &str) -> Result<usize> {
        let (dir, name) = self.place(path)?;
        if self.entries(dir)?.contains_key(name) {
            return Err(Error::AlreadyExists);
        }
        self.nodes.push(match kind {
            'f' => Node::File(Vec::new()),
            'd' => Node::Directory {
                parent: dir,
                entries: BTreeMap::new(),
            },
            _ => Node::Symlink(target.to_owned()),
        });
        let node = self.nodes.len() - 1;
        self.entries_mut(dir).insert(name.to_owned(), node);
        Ok(node)
    }

    pub(crate) fn link(&mut self, node: usize, path: &str) -> Result<()> {
        let (dir, name) = self.place(path)?;
        if self.entries(dir)?.contains_key(name) {
            return Err(Error::AlreadyExists);
        }
        if self.is_dir(node) {
            return Err(Error::NotPermitted);
        }
        self.entries_mut(dir).insert(name.to_owned(), node);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str, directory: bool) -> Result<()> {
        let (dir, name) = self.place(path)?;
        let node = *self.entries(dir)?.get(name).ok_or(Error::NotFound)?;
        match (directory, self.is_dir(node)) {
            (true, false) => return Err(Error::NotADirectory),
            (false, true) => return Err(Error::IsADirectory),
            (true, true) if !self.entries(node)?.is_empty() => return Err(Error::NotEmpty),
            _ => {}
        }
        self.entries_mut(dir).remove(name);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, from_name) = self.place(from)?;
        let (to, to_name) = self.place(to)?;
        let source = *self.entries(from)?.get(from_name).ok_or(Error::NotFound)?;
        let target = self.entries(to)?.get(to_name).copied();
        if target == Some(source) {
            return Ok(());
        }
        if self.is_dir(source) && self.is_inside(source, to) {
            return Err(Error::InvalidInput);
        }
        if let Some(target) = target {
            match (self.is_dir(source), self.is_dir(target)) {
                (true, false) => return Err(Error::NotADirectory),
                (false, true) => return Err(Error::IsADirectory),
                (true, true) if !self.entries(target)?.is_empty() => return Err(Error::NotEmpty),
                _ => {}
            }
        }
        self.entries_mut(from).remove(from_name);
        self.entries_mut(to).insert(to_name.to_owned(), source);
        if let Node::Directory { parent, .. } = &mut self.nodes[source] {
            *parent = to;
        }
        Ok(())
    }

    fn is_inside(&self, above: usize, at: usize) -> bool {
        match &self.nodes[at] {
            _ if at == above => true,
            Node::Directory { parent, .. } if at != 0 => self.is_inside(above, *parent),
            _ => false,
        }
    }

    pub(crate) fn write(&mut self, node: usize, offset: usize, data: &[u8]) -> Result<usize> {
        let file = self.file(node)?;
        let end = offset + data.len();
        if !data.is_empty() {
            file.resize(file.len().max(end), 0);
            file[offset..end].copy_from_slice(data);
        }
        Ok(data.len())
    }

    pub(crate) fn file(&mut self, node: usize) -> Result<&mut Vec<u8>> {
        match &mut self.nodes[node] {
            Node::File(bytes) => Ok(bytes),
            Node::Directory { .. } => Err(Error::IsADirectory),
            Node::Symlink(_) => Err(Error::InvalidInput),
        }
    }

    /// Nodes that have a name, and how many; the root apart.
    pub(crate) fn names(&self) -> BTreeMap<usize, u64> {
        let mut names = BTreeMap::new();
        self.count(0, &mut |node, _| *names.entry(node).or_insert(0) += 1);
        names
    }

    fn count(&self, dir: usize, found: &mut impl FnMut(usize, &str)) {
        for (name, node) in self.entries(dir).unwrap() {
            found(*node, name);
            if self.is_dir(*node) {
                self.count(*node, found);
            }
        }
    }

    /// What is charged at least and at most: how much of a file is holes is not modelled.
    pub(crate) fn charge(&self) -> (u64, u64) {
        let mut fixed = 0;
        self.count(0, &mut |_, name| {
            fixed += ENTRY_OVERHEAD + name.len() as u64;
        });
        let mut contents = 0;
        for node in self.names().keys() {
            fixed += NODE_OVERHEAD;
            match &self.nodes[*node] {
                Node::File(bytes) => {
                    let chunks = bytes.len().div_ceil(16_384) as u64;
                    contents += chunks * (CHUNK_OVERHEAD + 16_384);
                }
                Node::Symlink(target) => fixed += target.len() as u64,
                Node::Directory { .. } => {}
            }
        }
        (fixed, fixed + contents)
    }
}
