//! Locks of open files, which a guest's `SQLite` takes: `eryx.lock`.
//!
//! They are what `fcntl` gives `SQLite` on other systems, for the three places in a file that `SQLite` locks. A lock belongs to a
//! guest, as there to a process: all its descriptors share it, and it ends with the last of them on that file. Nobody but
//! guests of this process takes or sees such locks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use eryx_vfs::{FileIdentity, Location};
use wasmtime::{Caller, Linker};

use super::super::{Errno, Host};
use super::{Descriptor, Files, OpenNode};
use crate::guest::abi::MODULE;

/// Where `SQLite` locks: its pending byte, its reserved byte, and 510 bytes that stand for sharing. From `os.h` of `SQLite`, where
/// `PENDING_BYTE` is said to be fixed for ever.
const PLACES: [std::ops::Range<u64>; 3] = [
    0x4000_0000..0x4000_0001,
    0x4000_0001..0x4000_0002,
    0x4000_0002..0x4000_0200,
];

/// What `SQLite` adds to a database's name for its rollback journal.
const JOURNAL: &str = "-journal";

/// How one place is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    None,
    Shared,
    Exclusive,
}

impl Level {
    /// Whether it can be taken through `node`.
    fn may_be_taken(self, node: &OpenNode) -> bool {
        match self {
            Self::None => true,
            Self::Shared => node.readable,
            Self::Exclusive => node.writable,
        }
    }
}

/// How a guest has locked a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held([Level; PLACES.len()]);

impl Held {
    fn conflicts_with(self, other: Self) -> bool {
        let both =
            |(a, b): (Level, Level)| a.min(b) >= Level::Shared && a.max(b) == Level::Exclusive;
        self.0.into_iter().zip(other.0).any(both)
    }

    /// Whether all of it can be taken through `node`.
    pub(super) fn may_be_taken(self, node: &OpenNode) -> bool {
        self.0.into_iter().all(|level| level.may_be_taken(node))
    }

    /// As a snapshot keeps it: two bits for each place.
    pub(super) fn to_bits(self) -> u32 {
        let bits = self.0.into_iter().rev();
        bits.fold(0, |bits, level| bits << 2 | level as u32)
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        let level = |place: usize| match bits >> (2 * place) & 3 {
            0 => Level::None,
            1 => Level::Shared,
            _ => Level::Exclusive,
        };
        Self(std::array::from_fn(level))
    }
}

/// Who holds what, of all guests. A guest has at most one entry for each of its open descriptors: [`super::MAX_OPEN`].
static TABLE: LazyLock<Mutex<HashMap<FileIdentity, Vec<Holder>>>> = LazyLock::new(Mutex::default);

struct Holder {
    owner: u64,
    held: Held,
}

fn table() -> MutexGuard<'static, HashMap<FileIdentity, Vec<Holder>>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The locks of one guest. They end with this.
#[derive(Debug)]
pub(super) struct Locks {
    owner: u64,
    held: HashMap<FileIdentity, Own>,
    /// These are a note of what another one with this owner held.
    is_note: bool,
}

/// What a guest holds of one file, and a number that is another one after each change.
#[derive(Clone, Copy, Debug)]
struct Own {
    held: Held,
    change: u64,
}

impl Locks {
    pub(super) fn new() -> Self {
        Self {
            owner: next(),
            held: HashMap::new(),
            is_note: false,
        }
    }

    /// A note of what is held now.
    pub(super) fn noted(&self) -> Self {
        Self {
            owner: self.owner,
            held: self.held.clone(),
            is_note: true,
        }
    }

    /// How `file` is locked.
    pub(super) fn of(&self, file: FileIdentity) -> Held {
        self.held.get(&file).map_or(Held::default(), |own| own.held)
    }

    /// Changes how `file` is locked, if no other guest's lock is in the way.
    pub(super) fn set(&mut self, file: FileIdentity, held: Held) -> Result<(), Errno> {
        let mut table = table();
        if blocked(&table, file, self.owner, held) {
            return Err(Errno::Again);
        }
        enter(&mut table, file, self.owner, held);
        drop(table);
        if held == Held::default() {
            self.held.remove(&file);
        } else {
            let change = next();
            self.held.insert(file, Own { held, change });
        }
        Ok(())
    }

    /// Goes back from `later`, which has the same owner, to what was noted. Returns the files that were locked then and whose
    /// locks changed since: what the guest believes of those does not hold.
    pub(super) fn go_back(&mut self, later: &mut Self) -> HashSet<FileIdentity> {
        self.is_note = false;
        let kept = |file: &FileIdentity, own: &Own| {
            let now = later.held.get(file);
            now.is_some_and(|now| now.change == own.change)
        };
        let (kept, stale): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(file, own)| kept(file, own));
        later.held.retain(|file, _| !kept.contains_key(file));
        later.release();
        self.held = kept;
        stale.into_keys().collect()
    }

    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut table = table();
        for (file, _) in self.held.drain() {
            enter(&mut table, file, self.owner, Held::default());
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        if !self.is_note {
            self.release();
        }
    }
}

/// Whether another guest's lock is in the way.
fn blocked(
    table: &HashMap<FileIdentity, Vec<Holder>>,
    file: FileIdentity,
    owner: u64,
    held: Held,
) -> bool {
    let mut others = table.get(&file).into_iter().flatten();
    others.any(|other| other.owner != owner && other.held.conflicts_with(held))
}

fn enter(
    table: &mut HashMap<FileIdentity, Vec<Holder>>,
    file: FileIdentity,
    owner: u64,
    held: Held,
) {
    let holders = table.entry(file).or_default();
    holders.retain(|holder| holder.owner != owner);
    if held != Held::default() {
        holders.push(Holder { owner, held });
    }
    if holders.is_empty() {
        table.remove(&file);
    }
}

impl Files {
    /// How the file of a descriptor is locked by this guest.
    pub(super) fn held(&self, descriptor: &Descriptor) -> Held {
        self.identity(descriptor)
            .map_or(Held::default(), |file| self.locks.of(file))
    }

    pub(super) fn identity(&self, descriptor: &Descriptor) -> Option<FileIdentity> {
        match descriptor {
            Descriptor::Node(node) => self.namespace.fs(node.at).identity(node.at.node),
            Descriptor::Stdin | Descriptor::Output(_) => None,
        }
    }

    /// A descriptor on `file` was closed: with the last one, its locks end.
    pub(super) fn unlock_closed(&mut self, file: Option<FileIdentity>) {
        let Some(file) = file.filter(|file| self.locks.of(*file) != Held::default()) else {
            return;
        };
        let mut open = self.open.iter().flatten();
        if !open.any(|other| self.identity(other) == Some(file)) {
            // Nothing is in the way of holding less.
            let _ = self.locks.set(file, Held::default());
        }
    }

    /// Goes back from what the guest had open `later` to this, which was saved before. Files whose locks it then held and does
    /// not hold any more in the same way are revoked.
    pub(crate) fn go_back(&mut self, later: &mut Self) {
        let stale = self.locks.go_back(&mut later.locks);
        self.revoke(&stale);
    }

    /// Takes the locks that `other` has, whose descriptors these are too. Files for which that cannot be are revoked.
    pub(super) fn lock_as(&mut self, other: &Self) {
        if other.locks.held.is_empty() {
            return;
        }
        let (mut tried, mut lost) = (HashSet::new(), HashSet::new());
        for (own, others) in self.open.iter().zip(&other.open) {
            let (Some(own), Some(others)) = (own, others) else {
                continue;
            };
            let Some(file) = self.identity(own).filter(|file| !tried.contains(file)) else {
                continue;
            };
            let held = other.held(others);
            if held == Held::default() {
                continue;
            }
            tried.insert(file);
            if self.locks.set(file, held).is_err() {
                lost.insert(file);
            }
        }
        self.revoke(&lost);
    }

    /// `SQLite` believes that it has locked `files`, and has not: nothing of what it remembers may be written, and their
    /// rollback journals may be those of another one's transaction. Their descriptors keep their numbers and do nothing more, and
    /// until they are closed, the files cannot be opened: connections of one guest share their locks without asking the host.
    /// Linear in the open descriptors, whose paths are long and up to the guest.
    pub(super) fn revoke(&mut self, files: &HashSet<FileIdentity>) {
        if files.is_empty() {
            return;
        }
        let mut databases = HashSet::new();
        for fd in 0..self.open.len() {
            let file = self.open[fd].as_ref().and_then(|open| self.identity(open));
            if !file.is_some_and(|file| files.contains(&file)) {
                continue;
            }
            if let Some(Descriptor::Node(node)) = &mut self.open[fd] {
                node.revoked = true;
                databases.insert(Arc::clone(&node.path));
            }
        }
        self.revoke_journals(&databases);
    }

    /// Revokes the journals of databases with these paths.
    pub(super) fn revoke_journals(&mut self, databases: &HashSet<Arc<str>>) {
        for open in self.open.iter_mut().flatten() {
            if let Descriptor::Node(node) = open
                && let Some(database) = node.path.strip_suffix(JOURNAL)
            {
                node.revoked |= databases.contains(database);
            }
        }
    }

    /// Whether a descriptor of the same file is revoked.
    pub(super) fn is_revoked(&self, at: Location) -> bool {
        let revoked = |open: &&Descriptor| matches!(open, Descriptor::Node(node) if node.revoked);
        let mut revoked = self.open.iter().flatten().filter(revoked).peekable();
        if revoked.peek().is_none() {
            return false;
        }
        let file = self.namespace.fs(at).identity(at.node);
        file.is_some() && revoked.any(|open| self.identity(open) == file)
    }

    /// A revoked connection does not remove the journal of the one that has the locks.
    pub(super) fn check_unlink(&self, start: Location, path: &str) -> Result<(), Errno> {
        let database = path.strip_suffix(JOURNAL);
        let found = database.and_then(|path| self.namespace.resolve(start, path, true).ok());
        match found {
            Some(at) if self.is_revoked(at) => Err(Errno::Io),
            _ => Ok(()),
        }
    }

    /// Locks or unlocks the places that a range of `fd` covers.
    fn lock(&mut self, fd: u32, wanted: Wanted, (start, size): (u64, u64)) -> Result<(), Errno> {
        let covers = covered(start, size)?;
        if wanted == Wanted::Level(Level::None)
            && matches!(self.get(fd)?, Descriptor::Node(node) if node.revoked)
        {
            // It holds nothing.
            return Ok(());
        }
        let node = self.node(fd)?;
        let may = match wanted {
            Wanted::Level(level) => level.may_be_taken(node),
            Wanted::Test => true,
        };
        if !may {
            return Err(Errno::Badf);
        }
        let descriptor = self.get(fd)?;
        let Some(file) = self.identity(descriptor) else {
            // Nobody can change it.
            return Ok(());
        };
        let level = match wanted {
            Wanted::Level(level) => level,
            Wanted::Test => Level::Exclusive,
        };
        let mut held = self.locks.of(file);
        for (place, covered) in held.0.iter_mut().zip(covers) {
            if covered {
                *place = level;
            }
        }
        if wanted == Wanted::Test {
            let blocked = blocked(&table(), file, self.locks.owner, held);
            return if blocked { Err(Errno::Again) } else { Ok(()) };
        }
        self.locks.set(file, held)
    }
}

/// What `eryx.lock` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Level(Level),
    /// Whether an exclusive lock would be refused.
    Test,
}

/// Which places a range covers. A size of 0 is all that follows.
fn covered(start: u64, size: u64) -> Result<[bool; PLACES.len()], Errno> {
    let end = if size == 0 {
        u64::MAX
    } else {
        start.checked_add(size).ok_or(Errno::Inval)?
    };
    let covers = PLACES.map(|place| start <= place.start && place.end <= end);
    let touches = PLACES.map(|place| start < place.end && place.start < end);
    if covers == touches && covers.contains(&true) {
        Ok(covers)
    } else {
        Err(Errno::Inval)
    }
}

/// `lock(fd, how, start, size)`: 0, or an error number; EAGAIN if another guest's lock is in the way.
pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "lock",
        |mut caller: Caller<'_, Host>, fd: u32, how: u32, start: u64, size: u64| {
            let host = caller.data_mut();
            let wanted = match how {
                0 => Wanted::Level(Level::Shared),
                1 => Wanted::Level(Level::Exclusive),
                2 => Wanted::Level(Level::None),
                3 => Wanted::Test,
                _ => return Errno::Inval as i32,
            };
            let locked = host.files.lock(fd, wanted, (start, size));
            // SQLite tries again for seconds, and meets no signal meanwhile: a run that is to end is told another reason.
            let locked = locked.map_err(|errno| match errno {
                Errno::Again if wanted != Wanted::Test && host.interrupt.stopped() => Errno::Perm,
                errno => errno,
            });
            super::super::errno::number(locked)
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use eryx_vfs::{FileSystem, MemoryFs, Namespace, NodeId};

    use super::*;

    const FILE: FileIdentity = FileIdentity::Host {
        device: u64::MAX,
        inode: 7,
    };
    const SHARED: Held = Held([Level::None, Level::None, Level::Shared]);
    const RESERVED: Held = Held([Level::None, Level::Exclusive, Level::Shared]);
    const EXCLUSIVE: Held = Held([Level::Exclusive; 3]);

    fn file(inode: u64) -> FileIdentity {
        FileIdentity::Host {
            device: u64::MAX,
            inode,
        }
    }

    #[test]
    fn places_are_covered_whole_or_not_at_all() {
        let pending = 0x4000_0000;
        for (range, places) in [
            ((pending, 1), [true, false, false]),
            ((pending, 2), [true, true, false]),
            ((pending + 1, 1), [false, true, false]),
            ((pending + 2, 510), [false, false, true]),
            ((0, 0), [true; 3]),
            ((0, u64::MAX), [true; 3]),
        ] {
            assert_eq!(covered(range.0, range.1), Ok(places), "{range:?}");
        }
        for (start, size) in [
            (0, 1),
            (pending + 2, 1),
            (pending + 3, 0),
            (pending + 512, 0),
            (u64::MAX, 2),
        ] {
            assert_eq!(covered(start, size), Err(Errno::Inval), "{start} {size}");
        }
    }

    #[test]
    fn levels_of_two_guests() {
        let (mut one, mut two) = (Locks::new(), Locks::new());
        assert_eq!(one.set(FILE, SHARED), Ok(()));
        assert_eq!(two.set(FILE, SHARED), Ok(()));
        assert_eq!(one.set(FILE, RESERVED), Ok(()));
        assert_eq!(two.set(FILE, RESERVED), Err(Errno::Again));
        assert_eq!(one.set(FILE, EXCLUSIVE), Err(Errno::Again));
        assert_eq!(one.of(FILE), RESERVED);
        assert_eq!(two.set(FILE, Held::default()), Ok(()));
        assert_eq!(one.set(FILE, EXCLUSIVE), Ok(()));
        assert_eq!(two.set(FILE, SHARED), Err(Errno::Again));
        drop(one);
        assert_eq!(two.set(FILE, EXCLUSIVE), Ok(()));
        drop(two);
        assert!(!table().contains_key(&FILE));
    }

    #[test]
    fn going_back_keeps_what_did_not_change() {
        let mut locks = Locks::new();
        for inode in [10, 11] {
            locks.set(file(inode), SHARED).expect("free");
        }
        let mut before = locks.noted();
        // Released and taken again; and one more.
        locks.set(file(11), Held::default()).expect("less");
        locks.set(file(11), SHARED).expect("free");
        locks.set(file(12), EXCLUSIVE).expect("free");
        assert_eq!(before.go_back(&mut locks), HashSet::from([file(11)]));
        drop(locks);
        assert_eq!(before.of(file(10)), SHARED);
        let mut other = Locks::new();
        assert_eq!(other.set(file(10), EXCLUSIVE), Err(Errno::Again));
        assert_eq!(other.set(file(11), EXCLUSIVE), Ok(()));
        assert_eq!(other.set(file(12), EXCLUSIVE), Ok(()));
        drop(before);
        assert_eq!(other.set(file(10), EXCLUSIVE), Ok(()));
    }

    #[test]
    fn a_note_that_nobody_goes_back_to_releases_nothing() {
        let mut locks = Locks::new();
        locks.set(file(20), EXCLUSIVE).expect("free");
        drop(locks.noted());
        assert_eq!(Locks::new().set(file(20), SHARED), Err(Errno::Again));
    }

    #[test]
    fn bits_of_a_snapshot() {
        for held in [Held::default(), SHARED, RESERVED, EXCLUSIVE] {
            assert_eq!(Held::from_bits(held.to_bits()), held);
        }
        assert_eq!(Held::from_bits(u32::MAX), EXCLUSIVE);
    }

    /// Nothing but `tree`.
    fn files(tree: &Arc<MemoryFs>) -> Files {
        Files::new(Namespace::new(Arc::clone(tree) as _), Arc::default())
    }

    /// One more descriptor, with any path.
    fn open(files: &mut Files, node: NodeId, path: &str) {
        let at = Location { mount: 0, node };
        files.namespace.fs(at).opened(node);
        files.open.push(Some(Descriptor::Node(OpenNode {
            at,
            offset: 0,
            flags: 0,
            readable: true,
            writable: true,
            path: path.into(),
            revoked: false,
        })));
    }

    fn revoked(files: &Files) -> Vec<bool> {
        let nodes = files.open.iter().flatten();
        let revoked = nodes.filter_map(|open| match open {
            Descriptor::Node(node) => Some(node.revoked),
            _ => None,
        });
        // The first is that of the root.
        revoked.skip(1).collect()
    }

    const LONG: &str = "/./././././././././././././././";

    #[test]
    fn a_thousand_descriptors_of_one_file_are_revoked_together() {
        let tree = Arc::new(MemoryFs::new(1 << 20));
        let [database, other] =
            ["a", "b"].map(|name| tree.create_file(tree.root(), name).expect("room"));
        let mut files = files(&tree);
        let path = |number| format!("{}a{number}", LONG.repeat(100));
        for number in 0..1000 {
            open(&mut files, database, &path(number));
        }
        open(&mut files, other, &format!("{}{JOURNAL}", path(999)));
        open(&mut files, other, &format!("{}{JOURNAL}", path(1000)));
        let locked = tree.identity(database).expect("in memory");
        files.locks.set(locked, EXCLUSIVE).expect("free");
        // The tree is not forked with it: the two are in each other's way.
        let forked = files.forked(&[]);
        let mut expected = vec![true; 1001];
        expected.push(false);
        assert_eq!(revoked(&forked), expected);
        assert_eq!(forked.locks.of(locked), Held::default());
        assert_eq!(revoked(&files), [false; 1002]);
        assert_eq!(files.locks.of(locked), EXCLUSIVE);
    }

    #[test]
    fn a_thousand_files_are_revoked_together() {
        let tree = Arc::new(MemoryFs::new(1 << 24));
        let mut files = files(&tree);
        for number in 0..1000 {
            let name = format!("a{number}");
            let node = tree.create_file(tree.root(), &name).expect("room");
            open(&mut files, node, &format!("{}{name}", LONG.repeat(100)));
            let file = tree.identity(node).expect("in memory");
            files.locks.set(file, RESERVED).expect("free");
        }
        let mut before = files.saved();
        for descriptor in files.open.iter().flatten().skip(4) {
            let file = files.identity(descriptor).expect("in memory");
            files.locks.set(file, SHARED).expect("free");
        }
        before.go_back(&mut files);
        assert_eq!(revoked(&before), [true; 1000]);
        assert!(before.locks.held.is_empty());
    }

    #[test]
    fn a_fork_has_the_locks_on_files_of_its_own() {
        let tree = Arc::new(MemoryFs::new(1 << 20));
        let node = tree.create_file(tree.root(), "a").expect("room");
        let mut files = files(&tree);
        open(&mut files, node, "/a");
        open(&mut files, node, "/a");
        let file = tree.identity(node).expect("in memory");
        files.locks.set(file, RESERVED).expect("free");
        let own = Arc::new(tree.fork());
        let forked = files.forked(&[(super::super::ROOT_MOUNT, Arc::clone(&own))]);
        assert_eq!(revoked(&forked), [false; 2]);
        let file = own.identity(node).expect("in memory");
        assert_eq!(forked.locks.of(file), RESERVED);
    }
}
