//! `/dev`: the devices that scripts expect.

use std::fmt;
use std::sync::Arc;

use crate::name::check_name;
use crate::{Device, DirEntry, Error, FileSystem, Kind, Metadata, NodeId, Result};

const ROOT: NodeId = NodeId(1);
const DESCRIPTORS: NodeId = NodeId(2);
const NULL: NodeId = NodeId(3);
const ZERO: NodeId = NodeId(4);
const FULL: NodeId = NodeId(5);
const RANDOM: NodeId = NodeId(6);
const URANDOM: NodeId = NodeId(7);
/// Descriptor 0 under its own name; 1 and 2 come behind it.
const STDIN: NodeId = NodeId(8);
/// `fd/0`.
const FIRST_DESCRIPTOR: u64 = 0x1_0000;
/// Descriptors that have a name.
const MAX_DESCRIPTORS: u64 = 0x1_0000;

const ENTRIES: [(&str, NodeId); 9] = [
    ("fd", DESCRIPTORS),
    ("full", FULL),
    ("null", NULL),
    ("random", RANDOM),
    ("stderr", NodeId(STDIN.0 + 2)),
    ("stdin", STDIN),
    ("stdout", NodeId(STDIN.0 + 1)),
    ("urandom", URANDOM),
    ("zero", ZERO),
];

/// Bytes of one read. Like the buffers of one call, it bounds what a guest can make the host do at a time.
const MAX_DEVICE_READ: usize = 1 << 16;

/// `null`, `zero`, `full`, `random`, `urandom`, and names for descriptors: `stdin`, `stdout`, `stderr`, `fd/N`. Nothing can be
/// made, moved or removed in it.
///
/// It does not know the caller's descriptors: [`FileSystem::device`] says which is meant.
pub struct DeviceFs {
    random: fn(&mut [u8]) -> bool,
}

impl DeviceFs {
    /// `random` fills a buffer, or says that it cannot.
    #[must_use]
    pub fn new(random: fn(&mut [u8]) -> bool) -> Self {
        Self { random }
    }
}

impl fmt::Debug for DeviceFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceFs").finish_non_exhaustive()
    }
}

fn descriptor(node: NodeId) -> Option<u32> {
    let number = match node.0 {
        standard if (STDIN.0..STDIN.0 + 3).contains(&standard) => standard - STDIN.0,
        number => number.checked_sub(FIRST_DESCRIPTOR)?,
    };
    u32::try_from(number)
        .ok()
        .filter(|_| number < MAX_DESCRIPTORS)
}

fn kind(node: NodeId) -> Result<Kind> {
    match node {
        ROOT | DESCRIPTORS => Ok(Kind::Directory),
        NULL | ZERO | FULL | RANDOM | URANDOM => Ok(Kind::Device),
        node if descriptor(node).is_some() => Ok(Kind::Device),
        _ => Err(Error::NotFound),
    }
}

fn is_directory(node: NodeId) -> Result<()> {
    match kind(node)? {
        Kind::Directory => Ok(()),
        _ => Err(Error::NotADirectory),
    }
}

/// The number that a name is: `7`, not `07` and not `+7`.
fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number < MAX_DESCRIPTORS && number.to_string() == name).then_some(number)
}

/// Refuses what would change a name.
fn refuse<T>(fs: &DeviceFs, dir: NodeId, name: &str) -> Result<T> {
    match fs.lookup(dir, name) {
        Ok(_) => Err(Error::AlreadyExists),
        Err(Error::NotFound) => Err(Error::Denied),
        Err(error) => Err(error),
    }
}

impl FileSystem for DeviceFs {
    fn root(&self) -> NodeId {
        ROOT
    }

    fn device(&self, node: NodeId) -> Option<Device> {
        match node {
            ROOT => None,
            DESCRIPTORS => Some(Device::Descriptors),
            node => match descriptor(node) {
                Some(number) => Some(Device::Descriptor(number)),
                None => kind(node).ok().map(|_| Device::Bytes),
            },
        }
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        let links = match node {
            ROOT => 3,
            DESCRIPTORS => 2,
            _ => 1,
        };
        Ok(Metadata {
            node,
            kind: kind(node)?,
            size: 0,
            links,
            accessed: 0,
            modified: 0,
            changed: 0,
        })
    }

    fn lookup(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        is_directory(dir)?;
        check_name(name)?;
        if dir == DESCRIPTORS {
            let number = number(name).ok_or(Error::NotFound)?;
            return Ok(NodeId(FIRST_DESCRIPTOR + number));
        }
        let found = ENTRIES.binary_search_by(|(entry, _)| (*entry).cmp(name));
        found
            .map(|index| ENTRIES[index].1)
            .map_err(|_| Error::NotFound)
    }

    fn parent(&self, dir: NodeId) -> Result<NodeId> {
        is_directory(dir)?;
        Ok(ROOT)
    }

    fn read_link(&self, node: NodeId) -> Result<Box<str>> {
        kind(node)?;
        Err(Error::InvalidInput)
    }

    /// Of `fd`, nothing: see [`Device::Descriptors`].
    fn read_dir(&self, dir: NodeId, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        is_directory(dir)?;
        if dir == DESCRIPTORS {
            return Ok(Vec::new());
        }
        let start = usize::try_from(cookie).unwrap_or(usize::MAX);
        let numbered = (1..).zip(ENTRIES).skip(start).take(max);
        let entry = |(next, (name, node))| {
            Ok(DirEntry {
                name: Arc::from(name),
                node,
                kind: kind(node)?,
                next,
            })
        };
        numbered.map(entry).collect()
    }

    fn read(&self, node: NodeId, _offset: u64, buf: &mut [u8]) -> Result<usize> {
        let count = buf.len().min(MAX_DEVICE_READ);
        match node {
            NULL => Ok(0),
            ZERO | FULL => {
                buf[..count].fill(0);
                Ok(count)
            }
            RANDOM | URANDOM if (self.random)(&mut buf[..count]) => Ok(count),
            RANDOM | URANDOM => Err(Error::Failed),
            node if is_directory(node).is_ok() => Err(Error::IsADirectory),
            _ => Err(Error::NotFound),
        }
    }

    fn write(&self, node: NodeId, _offset: u64, data: &[u8]) -> Result<usize> {
        match node {
            NULL | ZERO | RANDOM | URANDOM => Ok(data.len()),
            FULL => Err(Error::NoSpace),
            node if is_directory(node).is_ok() => Err(Error::IsADirectory),
            _ => Err(Error::NotFound),
        }
    }

    fn append(&self, node: NodeId, data: &[u8]) -> Result<(u64, usize)> {
        Ok((0, self.write(node, 0, data)?))
    }

    fn set_len(&self, node: NodeId, _len: u64) -> Result<()> {
        kind(node)?;
        Err(Error::InvalidInput)
    }

    fn set_times(&self, node: NodeId, _accessed: Option<u64>, _mod: Option<u64>) -> Result<()> {
        kind(node)?;
        Err(Error::Denied)
    }

    fn create_file(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        refuse(self, dir, name)
    }

    fn create_open(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        refuse(self, dir, name)
    }

    fn create_dir(&self, dir: NodeId, name: &str) -> Result<NodeId> {
        refuse(self, dir, name)
    }

    fn create_symlink(&self, dir: NodeId, name: &str, _target: &str) -> Result<NodeId> {
        refuse(self, dir, name)
    }

    fn hard_link(&self, _node: NodeId, dir: NodeId, name: &str) -> Result<()> {
        refuse(self, dir, name)
    }

    fn unlink(&self, dir: NodeId, name: &str) -> Result<()> {
        self.lookup(dir, name)?;
        Err(Error::Denied)
    }

    fn remove_dir(&self, dir: NodeId, name: &str) -> Result<()> {
        self.lookup(dir, name)?;
        Err(Error::Denied)
    }

    fn rename(&self, from: NodeId, from_name: &str, _to: NodeId, _name: &str) -> Result<()> {
        self.lookup(from, from_name)?;
        Err(Error::Denied)
    }

    fn open(&self, node: NodeId, _write: bool) -> Result<()> {
        kind(node).map(|_| ())
    }

    fn opened(&self, _node: NodeId) {}

    fn closed(&self, _node: NodeId) {}
}
