//! The safety net of a session: its state before each execution, to fall back to when one is cut off.

use std::collections::HashMap;
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
    pages: HashMap<usize, Box<[u8]>>,
    /// Bytes of linear memory.
    size: usize,
}

impl Net {
    /// Takes the state that the guest is in now. Costs as much as the pages that differ from the image.
    pub(crate) fn commit(&mut self, slot: &Slot, strategy: RestoreStrategy) -> io::Result<()> {
        let written = slot.written(strategy)?;
        let count: usize = written.iter().map(|(from, to)| (to - from) / PAGE).sum();
        if count > MAX_PAGES {
            return self.seal(slot, strategy).map(drop);
        }
        self.size = slot.accessible();
        for at in pages(&written) {
            let now = slot.bytes(at, at + PAGE);
            match self.pages.get_mut(&at) {
                Some(before) if **before == *now => {}
                Some(before) => before.copy_from_slice(now),
                None => drop(self.pages.insert(at, now.into())),
            }
        }
        Ok(())
    }

    /// Puts the last committed state back.
    pub(crate) fn roll_back(&self, slot: &Slot) -> io::Result<()> {
        slot.rebase(slot.image())?;
        if self.size > slot.accessible() {
            slot.grow(self.size)?;
        }
        for (at, page) in &self.pages {
            slot.load(*at, page);
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
        self.pages.clear();
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
