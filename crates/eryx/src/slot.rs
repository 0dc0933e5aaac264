//! Slots: address ranges in which a guest's linear memory lives, one run after the other.
//!
//! A slot keeps its mapping when a run ends. The pages that the run wrote are found and copied back from the image, so
//! the next run meets the image again without a single page fault. This is the isolation boundary between tenants.

mod dirty;
mod faults;
mod mappings;

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

pub use dirty::RestoreStrategy;
pub(crate) use faults::Counted;
use mappings::Mappings;

use crate::image::{Image, PAGE, joined, map_zeros, reserve};

/// Address space of one linear memory: all that a 32-bit index reaches.
pub(crate) const RESERVATION: usize = 4 << 30;
/// Behind it, for the static offsets of loads and stores.
pub(crate) const GUARD: usize = 32 << 20;
/// A written page beyond so many goes back to the kernel instead of being copied back: a run that touched a lot must
/// not leave its pages resident in an idle slot.
const HOT_PAGES: usize = 1024;

/// Every so many runs of a slot with more than [`WARM_PAGES`] private pages, those that are no longer written are given
/// back. That costs more than copying them a few times: every other thread of the process is made to notice.
const COOLING: usize = 128;
/// About twice what a run of `pass` writes.
const WARM_PAGES: usize = 128;

/// One reserved address range and what is mapped at its start.
#[derive(Debug)]
pub(crate) struct Slot {
    start: NonNull<u8>,
    /// Bytes that the guest may use: the image's size and what it grew by.
    accessible: AtomicUsize,
    /// What is mapped at the start, and what that takes.
    image: Mutex<(Arc<Image>, Mappings)>,
    restores: AtomicUsize,
    private: Mutex<Private>,
}

/// The private pages of a slot, as far as they are known without asking the kernel.
#[derive(Debug, Default)]
struct Private {
    /// Those found last. `None`: the mapping has changed since.
    found: Option<Ranges>,
    /// A run went by since then, and none made another page private.
    still: bool,
}

/// Byte ranges, page-aligned, ascending, apart from each other.
type Ranges = Arc<[(usize, usize)]>;

// SAFETY: the range belongs to this value alone. Its bytes are touched by the guest, through the one instance that
// wasmtime makes of it, and by `restore` and `remap`, which the caller runs only while no guest code does.
unsafe impl Send for Slot {}
// SAFETY: as for Send; `accessible` is atomic.
unsafe impl Sync for Slot {}

impl Slot {
    /// Reserves a range and maps `image` at its start, copy-on-write.
    pub(crate) fn new(image: Arc<Image>) -> io::Result<Self> {
        if image.size() > RESERVATION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mappings = Mappings::take(image.mappings())?;
        let start = reserve(RESERVATION + GUARD)?;
        let slot = Self {
            start,
            accessible: AtomicUsize::new(0),
            image: Mutex::new((image, mappings)),
            restores: AtomicUsize::new(0),
            private: Mutex::default(),
        };
        slot.map_image()?;
        Ok(slot)
    }

    pub(crate) fn image(&self) -> Arc<Image> {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&image.0)
    }

    /// Bytes that the guest may use now.
    pub(crate) fn accessible(&self) -> usize {
        self.accessible.load(Ordering::Relaxed)
    }

    fn private(&self) -> MutexGuard<'_, Private> {
        self.private.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run is over, and caused so many page faults, if that is known. Without any, no page became private: to become that
    /// takes a fault.
    pub(crate) fn ran(&self, faults: Option<u64>) {
        let mut private = self.private();
        if faults == Some(0) {
            private.still = true;
        } else {
            *private = Private::default();
        }
    }

    /// What is private, by `strategy` or from the last time.
    fn find_private(&self, strategy: RestoreStrategy, size: usize) -> io::Result<dirty::Written> {
        let mut private = self.private();
        if std::mem::take(&mut private.still)
            && let Some(found) = &private.found
        {
            return Ok(dirty::Written::Ranges(Arc::clone(found)));
        }
        let written = dirty::written_pages(strategy, self.start, size)?;
        *private = Private {
            found: match &written {
                dirty::Written::Ranges(found) => Some(Arc::clone(found)),
                _ => None,
            },
            still: false,
        };
        Ok(written)
    }

    fn map_image(&self) -> io::Result<()> {
        let image = self.image();
        *self.private() = Private::default();
        // SAFETY: the image is not larger than our reservation, and no Rust reference points into it.
        unsafe { image.map(self.start)? };
        self.accessible.store(image.size(), Ordering::Relaxed);
        Ok(())
    }

    /// Makes `size` bytes accessible; the new ones are zero.
    pub(crate) fn grow(&self, size: usize) -> io::Result<()> {
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

    /// Puts the image back: every byte as after `new`. Returns how many pages were copied or dropped.
    ///
    /// Only for a run that ended in an orderly way, while no guest code runs in the slot; after a trap, [`Slot::remap`].
    pub(crate) fn restore(&self, strategy: RestoreStrategy) -> io::Result<usize> {
        self.drop_grown()?;
        let image = self.image();
        let bytes = image.bytes()?;
        let written = match self.find_private(strategy, bytes.len())? {
            dirty::Written::Ranges(ranges) => ranges,
            dirty::Written::Unknown => {
                self.map_image()?;
                return Ok(bytes.len() / PAGE);
            }
            dirty::Written::Everything => {
                self.copy_back(bytes, 0, bytes.len());
                return Ok(bytes.len() / PAGE);
            }
        };
        let private: usize = written.iter().map(|(from, to)| (to - from) / PAGE).sum();
        let cooling = private > WARM_PAGES
            && self.restores.fetch_add(1, Ordering::Relaxed) % COOLING == COOLING - 1;
        let mut pages = 0;
        for &(from, to) in &*written {
            let hot = HOT_PAGES.saturating_sub(pages).min((to - from) / PAGE) * PAGE;
            if cooling {
                self.cool(bytes, from, from + hot)?;
            } else {
                self.copy_back(bytes, from, from + hot);
            }
            self.forget(from + hot, to)?;
            pages += (to - from) / PAGE;
        }
        Ok(pages)
    }

    /// Maps everything afresh, trusting nothing about what the run did.
    pub(crate) fn remap(&self) -> io::Result<()> {
        self.drop_grown()?;
        self.map_image()
    }

    /// Puts another image in place of the one that is mapped.
    pub(crate) fn rebase(&self, image: Arc<Image>) -> io::Result<()> {
        if image.size() > RESERVATION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mappings = Mappings::take(image.mappings())?;
        self.drop_grown()?;
        let old = self.accessible();
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = (image, mappings);
        self.map_image()?;
        let size = self.accessible();
        if old > size {
            // SAFETY: inside our reservation, behind the new image; no guest code runs.
            unsafe { map_zeros(self.start.add(size), old - size, libc::PROT_NONE)? };
        }
        Ok(())
    }

    /// The ranges of pages that may differ from the image, of all that is accessible.
    ///
    /// Only while no guest code runs in the slot.
    pub(crate) fn written(&self, strategy: RestoreStrategy) -> io::Result<Ranges> {
        let size = self.accessible();
        match self.find_private(strategy, size)? {
            dirty::Written::Ranges(ranges) => Ok(ranges),
            dirty::Written::Unknown | dirty::Written::Everything => self.compared(),
        }
    }

    /// Where it may differ from the lowest image below it.
    pub(crate) fn changed(&self, strategy: RestoreStrategy) -> io::Result<Vec<(usize, usize)>> {
        Ok(self.image().above_first(&self.written(strategy)?))
    }

    /// As [`Slot::written`], by looking at every byte.
    fn compared(&self) -> io::Result<Ranges> {
        let image = self.image();
        let before = image.bytes()?;
        let differs = |&at: &usize| {
            let old = before.get(at..at + PAGE);
            old.is_none_or(|old| old != self.bytes(at, at + PAGE))
        };
        let pages = (0..self.accessible()).step_by(PAGE).filter(differs);
        Ok(joined(pages.map(|at| (at, at + PAGE)).collect(), 0).into())
    }

    /// Memory of the guest.
    ///
    /// Only while no guest code runs in the slot, for as long as the slice lives.
    pub(crate) fn bytes(&self, from: usize, to: usize) -> &[u8] {
        assert!(from <= to && to <= self.accessible(), "inside the memory");
        // SAFETY: that range is mapped readable, and the caller keeps the guest from running meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(from), to - from) }
    }

    /// Writes `data` at `at`.
    ///
    /// Only while no guest code runs in the slot.
    pub(crate) fn load(&self, at: usize, data: &[u8]) {
        assert!(at + data.len() <= self.accessible(), "inside the memory");
        *self.private() = Private::default();
        // SAFETY: that range is mapped writable, no guest code runs, and no slice of it is alive.
        unsafe {
            std::ptr::copy_nonoverlapping(data.as_ptr(), self.start.as_ptr().add(at), data.len());
        }
    }

    /// Takes the memory that the guest grew away again.
    fn drop_grown(&self) -> io::Result<()> {
        let size = self.image().size();
        let grown = self.accessible() - size;
        if grown == 0 {
            return Ok(());
        }
        *self.private() = Private::default();
        // SAFETY: inside our reservation, behind the image; no guest code runs.
        unsafe { map_zeros(self.start.add(size), grown, libc::PROT_NONE)? };
        self.accessible.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// Copies from the image's `bytes`.
    fn copy_back(&self, bytes: &[u8], from: usize, to: usize) {
        let source = &bytes[from..to];
        // SAFETY: `to` is at most the image's size (the slice above checked it), that many bytes are mapped writable,
        // no guest code runs, and image and slot are different mappings.
        unsafe {
            std::ptr::copy_nonoverlapping(
                source.as_ptr(),
                self.start.as_ptr().add(from),
                source.len(),
            );
        };
    }

    /// Copies back what this run wrote, and gives the other pages back to the kernel: they are private only because an
    /// earlier run wrote them, and would be copied back after every run for ever.
    fn cool(&self, bytes: &[u8], from: usize, to: usize) -> io::Result<()> {
        for at in (from..to).step_by(PAGE) {
            // SAFETY: inside the image's mapping, which is readable; no guest code runs.
            let page = unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), PAGE) };
            if page == &bytes[at..at + PAGE] {
                self.forget(at, at + PAGE)?;
            } else {
                self.copy_back(bytes, at, at + PAGE);
            }
        }
        Ok(())
    }

    /// Gives private pages back to the kernel; the next access reads the image again.
    fn forget(&self, from: usize, to: usize) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        *self.private() = Private::default();
        // SAFETY: page-aligned and inside the image's private mapping; no guest code runs. MADV_DONTNEED on a private
        // file mapping drops the copies of pages.
        let failed = unsafe {
            libc::madvise(
                self.start.as_ptr().add(from).cast(),
                to - from,
                libc::MADV_DONTNEED,
            )
        };
        if failed != 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` reserved. wasmtime's handle holds an `Arc` of this slot, so no instance
        // uses it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), RESERVATION + GUARD) };
    }
}

thread_local! {
    /// The slot for the memory that the instantiation running on this thread asks for.
    static NEXT: std::cell::RefCell<Option<Arc<Slot>>> = const { std::cell::RefCell::new(None) };
}

/// Runs `instantiate` with `slot` as the memory of the instance that it makes.
pub(crate) fn with_slot<T>(slot: Arc<Slot>, instantiate: impl FnOnce() -> T) -> T {
    NEXT.set(Some(slot));
    let made = instantiate();
    NEXT.set(None);
    made
}

/// Gives wasmtime the slot of [`with_slot`].
pub(crate) struct SlotMemories;

// SAFETY: the memory handed out reserves `RESERVATION` bytes and at least `GUARD` inaccessible ones behind them, which
// is checked against what wasmtime asks for, never moves, and is exclusive to the instance that is being made.
unsafe impl MemoryCreator for SlotMemories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let slot = NEXT.take().ok_or("a memory outside of a slot")?;
        if minimum > slot.accessible()
            || reserved.is_none_or(|bytes| bytes > RESERVATION)
            || guard > GUARD
        {
            return Err("the module's memory does not fit a slot".into());
        }
        Ok(Box::new(SlotMemory(slot)))
    }
}

struct SlotMemory(Arc<Slot>);

// SAFETY: base and size are those of the slot, which stays where it is and mapped as long as this handle holds it.
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

#[cfg(test)]
mod tests;
