//! Slots: address ranges in which a guest's linear memory lives, one run after the other.
//!
//! A slot keeps its mapping when a run ends. The pages that the run wrote are found and copied back from the image, so
//! the next run meets the image again without a single page fault. This is the isolation boundary between tenants.
//!
//! Its bytes can be touched through [`Resting`] only, which borrows whoever else could touch them: a [`Slot`] that no
//! instance has, or the store of the instance that has it.

mod brake;
mod faults;
mod mappings;
mod pagemap;
mod resting;
mod space;

use std::io;
use std::sync::Arc;

use wasmtime::{Instance, Memory, Store};

pub use brake::{Brake, Order, SignalWord};
pub use faults::CountFaults;
use mappings::Mappings;
pub use pagemap::RestoreStrategy;
pub use resting::Resting;
pub use space::{GUARD, RESERVATION, configure};
use space::{Space, with_space};

use crate::image::Image;
use crate::ranges::Ranges;

/// A space and what is mapped at its start.
#[derive(Debug)]
struct Mapped {
    space: Arc<Space>,
    image: Arc<Image>,
    mappings: Mappings,
    /// The image is not what is mapped, where pages are private.
    adopted: bool,
    restores: usize,
    private: Private,
}

/// The private pages of a slot, as far as they are known without asking the kernel.
#[derive(Debug, Default)]
struct Private {
    /// Those found last. `None`: the mapping has changed since.
    found: Option<Arc<Ranges>>,
    /// A run went by since then, and none made another page private.
    still: bool,
}

/// A slot that no instance has.
#[derive(Debug)]
pub struct Slot(Mapped);

impl Slot {
    /// Reserves a range and maps `image` at its start, copy-on-write.
    pub fn new(image: Arc<Image>) -> io::Result<Self> {
        let mappings = Mappings::take(image.mappings() + 1)?;
        let space = Space::new()?;
        // SAFETY: nobody knows this space yet; the image is kept beside it.
        unsafe { space.map(&image)? };
        Ok(Self(Mapped {
            space: Arc::new(space),
            image,
            mappings,
            adopted: false,
            restores: 0,
            private: Private::default(),
        }))
    }

    /// To be read and written: nothing runs in it.
    pub fn resting(&mut self) -> Resting<'_> {
        Resting::new(&mut self.0, false)
    }

    /// Makes an instance whose memory is this slot.
    pub fn occupy<T: 'static>(
        self,
        store: &mut Store<T>,
        instantiate: impl FnOnce(&mut Store<T>) -> wasmtime::Result<Instance>,
    ) -> wasmtime::Result<(Instance, Occupied)> {
        let mapped = self.0;
        let instance = with_space(&mapped.space, || instantiate(store))?;
        let memory = instance.get_memory(&mut *store, "memory");
        let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory is exported"))?;
        let occupied = Occupied { mapped, memory };
        if occupied.is_in(store) {
            return Ok((instance, occupied));
        }
        Err(wasmtime::Error::msg("the memory is not in its slot"))
    }
}

/// A slot that an instance has.
pub struct Occupied {
    mapped: Mapped,
    /// The only one in the space, and of one store: `occupy` made sure.
    memory: Memory,
}

impl Occupied {
    fn is_in<T: 'static>(&self, store: &Store<T>) -> bool {
        self.memory.data_ptr(store) == self.mapped.space.start().as_ptr()
    }

    /// The slot, as long as nothing can be done with the instance's store: no guest code runs.
    ///
    /// # Panics
    /// For another store than the one that has this slot's memory.
    pub fn resting<'a, T: 'static>(&'a mut self, store: &'a mut Store<T>) -> Resting<'a> {
        // `data_ptr` panics for the memory of another store.
        assert!(self.is_in(store), "the store that has this slot's memory");
        Resting::new(&mut self.mapped, true)
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Bytes that the guest may use now.
    #[must_use]
    pub fn accessible(&self) -> usize {
        self.mapped.space.accessible()
    }

    /// What is put back after a run.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.mapped.image
    }

    /// What stops the guest. Its memory has these words.
    #[must_use]
    pub fn brake(&self, words: Arc<[SignalWord]>) -> Arc<Brake> {
        Arc::new(Brake::new(&self.mapped, words))
    }

    /// A run is over, and caused so many page faults, if that is known. Without any, no page became private: see
    /// [`faults`].
    pub fn ran(&mut self, faults: Option<u64>) {
        self.mapped.private.ran(faults);
    }

    /// The slot without the instance, which goes with its store.
    pub fn vacate<T: 'static>(self, store: Store<T>) -> io::Result<Slot> {
        drop(store);
        let mut mapped = self.mapped;
        if Arc::get_mut(&mut mapped.space).is_some() {
            return Ok(Slot(mapped));
        }
        Err(io::Error::other("a memory outlives its store"))
    }
}

impl Private {
    fn ran(&mut self, faults: Option<u64>) {
        if faults == Some(0) {
            self.still = true;
        } else {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
