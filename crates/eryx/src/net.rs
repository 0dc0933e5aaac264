//! The safety net of a session: its state before each execution, to fall back to when one is cut off.

use std::io;
use std::sync::Arc;

use crate::RestoreStrategy;
use crate::image::{Image, PAGE};
use crate::slot::Slot;

/// Pages that are kept as copies. With more, the state becomes an image of its own, and the copies go.
const MAX_PAGES: usize = 256;
/// Copies of all pages in which the state differs from the slot's image.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// Where they lie, in ascending order, apart from each other.
    ranges: Vec<(usize, usize)>,
    /// What they hold, one after the other.
    copies: Vec<u8>,
    /// Bytes of linear memory.
    size: usize,
}

impl Net {
    /// Takes the state that the guest is in now. Costs as much as the pages that differ from the image.
    pub(crate) fn commit(&mut self, slot: &Slot, strategy: RestoreStrategy) -> io::Result<()> {
        let written = slot.written(strategy)?;
        let bytes: usize = written.iter().map(|(from, to)| to - from).sum();
        if bytes > MAX_PAGES * PAGE {
            return self.seal(slot, strategy).map(drop);
        }
        self.size = slot.accessible();
        if *self.ranges == *written {
            self.refresh(slot);
        } else {
            self.ranges = written.to_vec();
            self.copies.clear();
            self.copies.reserve_exact(bytes);
            for &(from, to) in &self.ranges {
                self.copies.extend_from_slice(slot.bytes(from, to));
            }
        }
        Ok(())
    }

    /// Copies what has changed, when the ranges are the same as before: to compare is cheaper than to write.
    fn refresh(&mut self, slot: &Slot) {
        let mut copies = self.copies.as_mut_slice();
        for &(from, to) in &self.ranges {
            let now = slot.bytes(from, to);
            let (before, rest) = copies.split_at_mut(to - from);
            copies = rest;
            for (before, now) in before.chunks_mut(PAGE).zip(now.chunks(PAGE)) {
                if before != now {
                    before.copy_from_slice(now);
                }
            }
        }
    }

    /// Puts the last committed state back.
    pub(crate) fn roll_back(&self, slot: &Slot) -> io::Result<()> {
        slot.rebase(slot.image())?;
        if self.size > slot.accessible() {
            slot.grow(self.size)?;
        }
        let mut copies = self.copies.as_slice();
        for &(from, to) in &self.ranges {
            let (range, rest) = copies.split_at(to - from);
            slot.load(from, range);
            copies = rest;
        }
        Ok(())
    }

    /// Makes an image of the state that the guest is in now, puts the slot on it, and returns it.
    pub(crate) fn seal(
        &mut self,
        slot: &Slot,
        strategy: RestoreStrategy,
    ) -> io::Result<Arc<Image>> {
        let below = slot.image();
        let written = slot.written(strategy)?;
        let memory = slot.bytes(0, slot.accessible());
        let image = Arc::new(below.layered(memory, &written)?);
        slot.rebase(Arc::clone(&image))?;
        (self.ranges, self.copies) = (Vec::new(), Vec::new());
        self.size = image.size();
        Ok(image)
    }
}

/// The addresses of the pages in `ranges`.
pub(crate) fn pages(ranges: &[(usize, usize)]) -> impl Iterator<Item = usize> {
    ranges
        .iter()
        .flat_map(|&(from, to)| (from..to).step_by(PAGE))
}
