//! The address range of a slot, and how wasmtime gets it as a memory.

use std::cell::RefCell;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::{Config, LinearMemory, MemoryCreator, MemoryType};

use crate::PAGE;
use crate::image::{Image, keep_small, map_zeros, reserve};

/// Address space of one linear memory: all that a 32-bit index reaches.
pub const RESERVATION: usize = 4 << 30;
/// Behind it, for the static offsets of loads and stores.
pub const GUARD: usize = 32 << 20;

/// Behind that, the page that the guest's polls load from. wasmtime takes a memory for one that ends with its reservation and guard:
/// it must not lie in those of the guest's memory.
const POLL_PAGE_AT: usize = RESERVATION + GUARD;
/// wasm's page, the least that a memory can have.
const POLL_PAGE: usize = 64 << 10;
const ALL: usize = POLL_PAGE_AT + POLL_PAGE;

/// A reserved range, of which a first piece can be used.
#[derive(Debug)]
pub(super) struct Space {
    start: NonNull<u8>,
    /// Bytes that can be used.
    accessible: AtomicUsize,
}

// SAFETY: the range belongs to this value alone. Safe functions touch none of its bytes but those behind `accessible`,
// which nobody else does; who calls the others says that nobody does meanwhile.
unsafe impl Send for Space {}
// SAFETY: as for Send; `accessible` is atomic.
unsafe impl Sync for Space {}

impl Space {
    pub(super) fn new() -> io::Result<Self> {
        let space = Self {
            start: reserve(ALL)?,
            accessible: AtomicUsize::new(0),
        };
        space.set_poll_page(true)?;
        // SAFETY: the range was just reserved, for this value alone.
        unsafe { keep_small(space.start, RESERVATION)? };
        Ok(space)
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Where the guest's polls load from.
    fn poll_page(&self) -> NonNull<u8> {
        // SAFETY: inside of the range that was reserved.
        unsafe { self.start.add(POLL_PAGE_AT) }
    }

    pub(super) fn is_poll_page(&self, address: usize) -> bool {
        address
            .checked_sub(self.poll_page().as_ptr() as usize)
            .is_some_and(|offset| offset < POLL_PAGE)
    }

    /// Lets polls pass, or makes them trap. From any thread, while the guest runs.
    pub(super) fn set_poll_page(&self, passes: bool) -> io::Result<()> {
        let protection = if passes {
            libc::PROT_READ
        } else {
            libc::PROT_NONE
        };
        // SAFETY: a page of our reservation that only polls load from.
        let failed =
            unsafe { libc::mprotect(self.poll_page().as_ptr().cast(), POLL_PAGE, protection) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    pub(super) fn accessible(&self) -> usize {
        self.accessible.load(Ordering::Relaxed)
    }

    /// Makes `size` bytes accessible; the new ones are zero.
    pub(super) fn grow(&self, size: usize) -> io::Result<()> {
        let old = self.accessible();
        if size > RESERVATION || size < old || !size.is_multiple_of(PAGE) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // SAFETY: inside our reservation and behind everything accessible; the pages there were never written since
        // they were last mapped afresh, so they read as zeros.
        let failed = unsafe {
            libc::mprotect(
                self.start.as_ptr().add(old).cast(),
                size - old,
                libc::PROT_READ | libc::PROT_WRITE,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        self.accessible.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// Takes what lies behind `size` away. It will be zero when it is accessible again.
    ///
    /// # Safety
    /// Nothing refers to these bytes, and no instance has this memory unless they are none.
    pub(super) unsafe fn shrink(&self, size: usize) -> io::Result<()> {
        let old = self.accessible();
        if size >= old {
            return Ok(());
        }
        // First: a mapping that fails half-way must not be reached any more.
        self.accessible.store(size, Ordering::Relaxed);
        // SAFETY: inside our reservation; the caller gives the bytes away.
        unsafe {
            let at = self.start.add(size);
            map_zeros(at, old - size, libc::PROT_NONE)?;
            keep_small(at, old - size)
        }
    }

    /// Maps an image at the start, and makes it accessible. What lies behind it stays as it is, and accessible if it was.
    ///
    /// # Safety
    /// Nothing refers to the bytes of this space, and the image lives as long as they are used.
    pub(super) unsafe fn map(&self, image: &Image) -> io::Result<()> {
        if image.size() > RESERVATION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: it fits into our reservation; the rest is the caller's promise.
        unsafe { image.map(self.start)? };
        self.accessible.fetch_max(image.size(), Ordering::Relaxed);
        Ok(())
    }

    /// Gives private copies of pages back to the kernel; the next access reads what is mapped there.
    ///
    /// # Safety
    /// Nothing refers to these bytes.
    pub(super) unsafe fn forget(&self, from: usize, to: usize) -> io::Result<()> {
        let inside = from <= to && to <= self.accessible();
        if !inside || !from.is_multiple_of(PAGE) || !to.is_multiple_of(PAGE) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: whole pages of our mapping, and the caller gives them away. MADV_DONTNEED drops private copies.
        let failed = unsafe {
            libc::madvise(
                self.start.as_ptr().add(from).cast(),
                to - from,
                libc::MADV_DONTNEED,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// # Safety
    /// Nobody writes to these bytes while the slice lives.
    pub(super) unsafe fn bytes(&self, from: usize, to: usize) -> &[u8] {
        assert!(from <= to && to <= self.accessible(), "inside the memory");
        // SAFETY: what is accessible is mapped readable, and the caller keeps everybody from writing meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(from), to - from) }
    }

    /// # Safety
    /// Nobody else touches these bytes while the slice lives.
    #[expect(
        clippy::mut_from_ref,
        reason = "the bytes are not this value's; the caller says whose they are"
    )]
    pub(super) unsafe fn bytes_mut(&self, from: usize, to: usize) -> &mut [u8] {
        assert!(from <= to && to <= self.accessible(), "inside the memory");
        // SAFETY: what is accessible is mapped writable, and the caller keeps everybody else from it meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(from), to - from) }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` reserved. Whoever uses it holds on to this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), ALL) };
    }
}

thread_local! {
    /// The space for the memories that the instantiation running on this thread asks for, and how many it was given.
    static NEXT: RefCell<Option<(Arc<Space>, usize)>> = const { RefCell::new(None) };
}

/// Runs `instantiate` with `space` as the memory of the instance that it makes.
pub(super) fn with_space<T>(space: &Arc<Space>, instantiate: impl FnOnce() -> T) -> T {
    NEXT.set(Some((Arc::clone(space), 0)));
    let made = instantiate();
    NEXT.set(None);
    made
}

/// Makes `config` one for guests in slots: their memories are given by [`Slot::occupy`](super::Slot::occupy), never move, and
/// are as large in the address space as a slot is.
pub fn configure(config: &mut Config) {
    config
        .memory_reservation(RESERVATION as u64)
        .memory_guard_size(GUARD as u64)
        .guard_before_linear_memory(false)
        .memory_may_move(false)
        .memory_init_cow(false)
        .with_host_memory(Arc::new(SlotMemories));
}

/// Gives wasmtime the memories of [`Slot::occupy`](super::Slot::occupy): the guest's, and the page of its polls if it has any.
struct SlotMemories;

// SAFETY: the memory handed out reserves `RESERVATION` bytes and at least `GUARD` inaccessible ones behind them, which
// is checked against what wasmtime asks for, never moves, and is exclusive to the instance that is being made. The second one
// has less behind it: the only code that has one is that of the builder's polls, which load from its first word.
unsafe impl MemoryCreator for SlotMemories {
    fn new_memory(
        &self,
        ty: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let (space, given) = NEXT.take().ok_or("a memory outside of a slot")?;
        if reserved.is_none_or(|bytes| bytes > RESERVATION) || guard > GUARD {
            return Err("the module's memory does not fit a slot".into());
        }
        if given == 1 && minimum == POLL_PAGE && ty.maximum() == Some(1) {
            return Ok(Box::new(PollMemory(space)));
        }
        if given > 0 || minimum > space.accessible() {
            return Err("the module's memory does not fit a slot".into());
        }
        NEXT.set(Some((Arc::clone(&space), 1)));
        Ok(Box::new(SlotMemory(space)))
    }
}

/// The page of a guest's polls.
struct PollMemory(Arc<Space>);

// SAFETY: as for `SlotMemory`.
unsafe impl LinearMemory for PollMemory {
    fn byte_size(&self) -> usize {
        POLL_PAGE
    }

    fn byte_capacity(&self) -> usize {
        POLL_PAGE
    }

    fn grow_to(&mut self, _: usize) -> wasmtime::Result<()> {
        wasmtime::bail!("the page of polls never grows")
    }

    fn as_ptr(&self) -> *mut u8 {
        self.0.poll_page().as_ptr()
    }
}

struct SlotMemory(Arc<Space>);

// SAFETY: base and size are those of the space, which stays where it is and mapped as long as this handle holds it.
unsafe impl LinearMemory for SlotMemory {
    fn byte_size(&self) -> usize {
        self.0.accessible()
    }

    fn byte_capacity(&self) -> usize {
        RESERVATION
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        Ok(self.0.grow(size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr()
    }
}
