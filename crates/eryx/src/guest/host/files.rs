//! WASI files over the guest's own namespace: the table of open descriptors. No call here reaches the host's files.

mod descriptors;
mod directory;
mod locks;
mod paths;
mod saved;
mod streams;

use std::sync::Arc;

use eryx_vfs::{Device, Kind, Location, MemoryFs, Metadata, Namespace};
use wasmtime::Linker;

use self::locks::Locks;
use super::{Errno, Host};
use crate::caps::MAX_OPEN;

/// Defines one import whose body works on the guest's memory and its files.
macro_rules! import {
    ($linker:expr, $name:literal, |$memory:ident, $files:ident, $($argument:ident: $kind:ty),*| $body:expr) => {
        $linker.func_wrap(
            crate::guest::host::WASI,
            $name,
            |mut caller: wasmtime::Caller<'_, Host>, $($argument: $kind),*| {
                let (mut memory, host) = crate::guest::host::parts(&mut caller);
                let body = |$memory: &mut crate::guest::memory::GuestMemory<'_>,
                            $files: &mut crate::guest::host::files::Files|
                 -> Result<(), Errno> { $body };
                crate::guest::host::errno::number(body(&mut memory, &mut host.files))
            },
        )?;
    };
}
use import;

/// The descriptor of `/`, from which libc resolves every path.
const ROOT_FD: u32 = 3;

/// Open descriptors and what they lead to.
#[derive(Debug)]
pub(crate) struct Files {
    namespace: Namespace,
    open: Vec<Option<Descriptor>>,
    locks: Locks,
    stdin: Arc<[u8]>,
    stdin_at: usize,
    /// Changes whenever one more file is opened for writing.
    opened: u64,
}

/// One open descriptor.
#[derive(Clone, Debug)]
enum Descriptor {
    Stdin,
    Output(crate::Stream),
    Node(OpenNode),
}

/// An open file or directory.
#[derive(Clone, Debug)]
struct OpenNode {
    at: Location,
    offset: u64,
    flags: u16,
    readable: bool,
    writable: bool,
    /// The path it was opened by, for snapshots. Empty if it was too long: a snapshot then leaves it closed.
    path: Arc<str>,
    /// A lock that the guest believes to have on it is gone: nothing is read or written through this any more.
    revoked: bool,
}

const FLAG_APPEND: u16 = 1;
/// The tree at `/` in the namespace.
pub(crate) const ROOT_MOUNT: u32 = 0;
/// The storage, behind the standard library.
pub(crate) const STORAGE_MOUNT: u32 = 2;

impl Files {
    pub(crate) fn new(namespace: Namespace, stdin: Arc<[u8]>) -> Self {
        let root = OpenNode {
            at: namespace.root(),
            offset: 0,
            flags: 0,
            readable: true,
            writable: false,
            path: "/".into(),
            revoked: false,
        };
        namespace.fs(root.at).opened(root.at.node);
        let open = vec![
            Some(Descriptor::Stdin),
            Some(Descriptor::Output(crate::Stream::Stdout)),
            Some(Descriptor::Output(crate::Stream::Stderr)),
            Some(Descriptor::Node(root)),
        ];
        Self {
            namespace,
            open,
            locks: Locks::new(),
            stdin,
            stdin_at: 0,
            opened: 0,
        }
    }

    /// What the guest sees as `/`.
    #[cfg(test)]
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Those of nobody.
    pub(crate) fn none() -> Self {
        Self::new(Namespace::new(Arc::new(MemoryFs::new(0))), Arc::default())
    }

    /// The same descriptors once more, with a note of the locks. Both lists must be dropped.
    pub(crate) fn saved(&self) -> Self {
        let saved = Self {
            namespace: self.namespace.clone(),
            open: self.open.clone(),
            locks: self.locks.noted(),
            stdin: Arc::default(),
            stdin_at: 0,
            opened: self.opened,
        };
        for descriptor in saved.open.iter().flatten() {
            saved.opened(descriptor);
        }
        saved
    }

    /// The same descriptors on trees that were forked just now, which stand in the place of mounts. They have taken their own
    /// handles over.
    pub(crate) fn forked(&self, trees: &[(u32, Arc<MemoryFs>)]) -> Self {
        let mut namespace = self.namespace.clone();
        for (mount, tree) in trees {
            namespace.replace(*mount, Arc::clone(tree) as _);
        }
        let mut taken = namespace.fork_users();
        taken.extend(trees.iter().map(|(mount, _)| *mount));
        let mut forked = Self {
            namespace,
            open: self.open.clone(),
            locks: Locks::new(),
            stdin: Arc::default(),
            stdin_at: 0,
            opened: self.opened,
        };
        for descriptor in forked.open.iter().flatten() {
            let taken_over = |node: &OpenNode| taken.contains(&node.at.mount);
            if !matches!(descriptor, Descriptor::Node(node) if taken_over(node)) {
                forked.opened(descriptor);
            }
        }
        forked.lock_as(self);
        forked
    }

    fn opened(&self, descriptor: &Descriptor) {
        if let Descriptor::Node(node) = descriptor {
            self.namespace.fs(node.at).opened(node.at.node);
        }
    }

    /// Something for all files that are open for writing: another number when one more was opened. `None` if there are none.
    pub(crate) fn writers(&self) -> Option<u64> {
        let writes =
            |descriptor: &Descriptor| matches!(descriptor, Descriptor::Node(node) if node.writable);
        let beyond = self.open.iter().skip(ROOT_FD as usize + 1);
        beyond.flatten().any(writes).then_some(self.opened)
    }

    /// Drops what the run was given as stdin. Returns whether it has read from it.
    pub(crate) fn take_stdin(&mut self) -> bool {
        self.stdin = Arc::default();
        std::mem::take(&mut self.stdin_at) > 0
    }

    /// What the next run reads from stdin.
    pub(crate) fn set_stdin(&mut self, stdin: Arc<[u8]>) {
        self.stdin = stdin;
        self.stdin_at = 0;
    }

    fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.open
            .get(fd as usize)
            .and_then(Option::as_ref)
            .ok_or(Errno::Badf)
    }

    /// Whether there is such a descriptor.
    pub(crate) fn is_open(&self, fd: u32) -> bool {
        self.get(fd).is_ok()
    }

    fn node(&self, fd: u32) -> Result<&OpenNode, Errno> {
        match self.get(fd)? {
            Descriptor::Node(node) if node.revoked => Err(Errno::Io),
            Descriptor::Node(node) => Ok(node),
            Descriptor::Stdin | Descriptor::Output(_) => Err(Errno::Spipe),
        }
    }

    fn node_mut(&mut self, fd: u32) -> Result<&mut OpenNode, Errno> {
        match self.open.get_mut(fd as usize).and_then(Option::as_mut) {
            Some(Descriptor::Node(node)) if node.revoked => Err(Errno::Io),
            Some(Descriptor::Node(node)) => Ok(node),
            Some(_) => Err(Errno::Spipe),
            None => Err(Errno::Badf),
        }
    }

    /// Where paths given with descriptor `fd` start.
    fn start(&self, fd: u32) -> Result<Location, Errno> {
        match self.get(fd)? {
            Descriptor::Node(node) => Ok(node.at),
            Descriptor::Stdin | Descriptor::Output(_) => Err(Errno::Notdir),
        }
    }

    /// What is at `at`, and if that is a name of an open descriptor, what that leads to.
    fn behind(&self, at: Location) -> Result<Location, Errno> {
        let Some(Device::Descriptor(fd)) = self.namespace.fs(at).device(at.node) else {
            return Ok(at);
        };
        match self.get(fd) {
            Ok(Descriptor::Node(node)) => Ok(node.at),
            Ok(Descriptor::Stdin | Descriptor::Output(_)) => Ok(at),
            Err(_) => Err(Errno::Noent),
        }
    }

    fn metadata(&self, at: Location) -> Result<Metadata, Errno> {
        Ok(self.namespace.fs(at).metadata(at.node)?)
    }

    /// The lowest free number, with a place in the table.
    fn free(&mut self) -> Result<u32, Errno> {
        let free = self.open.iter().position(Option::is_none);
        let free = free.unwrap_or(self.open.len());
        if free >= MAX_OPEN {
            return Err(Errno::Mfile);
        }
        if free == self.open.len() {
            self.open.push(None);
        }
        u32::try_from(free).map_err(|_| Errno::Mfile)
    }

    /// Cuts a file that was just opened, if that is asked for. If it cannot be used, its handle is given back.
    fn ready(&self, at: Location, truncate: bool) -> Result<(), Errno> {
        let fs = self.namespace.fs(at);
        let cut = || match self.metadata(at)?.kind {
            Kind::Device => Ok(()),
            _ => Ok(fs.set_len(at.node, 0)?),
        };
        let ready = if self.is_revoked(at) {
            Err(Errno::Io)
        } else if truncate {
            cut()
        } else {
            Ok(())
        };
        if ready.is_err() {
            fs.closed(at.node);
        }
        ready
    }

    /// Opens `descriptor`, whose handle is counted already, as the number that [`Files::free`] gave.
    fn occupy(&mut self, free: u32, descriptor: Descriptor) {
        if let Descriptor::Node(node) = &descriptor {
            self.opened += u64::from(node.writable);
        }
        self.open[free as usize] = Some(descriptor);
    }

    /// The standard streams and `/` stay open whatever the guest closes: what runs next in its interpreter needs them, and their
    /// numbers must not become those of other files.
    fn close(&mut self, fd: u32) -> Result<(), Errno> {
        if fd <= ROOT_FD {
            return Ok(());
        }
        let descriptor = self
            .open
            .get_mut(fd as usize)
            .and_then(Option::take)
            .ok_or(Errno::Badf)?;
        self.closed(&descriptor);
        Ok(())
    }

    /// What follows when a descriptor is taken out of the table.
    fn closed(&mut self, descriptor: &Descriptor) {
        let file = self.identity(descriptor);
        self.unlock_closed(file);
        self.released(descriptor);
    }

    fn released(&self, descriptor: &Descriptor) {
        if let Descriptor::Node(node) = descriptor {
            self.namespace.fs(node.at).closed(node.at.node);
        }
    }

    /// `to` becomes what `from` is; `from` is closed.
    fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        if from.min(to) <= ROOT_FD {
            return Err(Errno::Notsup);
        }
        self.get(from)?;
        self.get(to)?;
        if from != to {
            let moved = self.open[from as usize].take();
            if let Some(replaced) = std::mem::replace(&mut self.open[to as usize], moved) {
                self.closed(&replaced);
            }
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for descriptor in self.open.iter().flatten() {
            self.released(descriptor);
        }
    }
}

/// WASI's `filetype`.
fn filetype(kind: Kind) -> u8 {
    match kind {
        Kind::Directory => 3,
        Kind::File => 4,
        Kind::Symlink => 7,
        Kind::Device => FILETYPE_STREAM,
    }
}

/// `CHARACTER_DEVICE`, which the standard streams and all of `/dev` are.
const FILETYPE_STREAM: u8 = 2;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    streams::add_to_linker(linker)?;
    descriptors::add_to_linker(linker)?;
    directory::add_to_linker(linker)?;
    paths::add_to_linker(linker)?;
    locks::add_to_linker(linker)
}
