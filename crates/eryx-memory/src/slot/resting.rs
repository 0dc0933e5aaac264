//! What can be done with a slot while no guest code runs in it.

use std::io;
use std::sync::Arc;

use super::mappings::Mappings;
use super::{Mapped, Private, RestoreStrategy, pagemap};
use crate::PAGE;
use crate::image::Image;
use crate::ranges::{Ranges, joined, pages_in};

/// A written page beyond so many goes back to the kernel instead of being copied back: a run that touched a lot must
/// not leave its pages resident in an idle slot.
pub(super) const HOT_PAGES: usize = 1024;

/// Every so many runs of a slot with more than [`WARM_PAGES`] private pages, those that are no longer written are given
/// back. That costs more than copying them a few times: every other thread of the process is made to notice.
const COOLING: usize = 128;
/// About twice what a run of `pass` writes.
const WARM_PAGES: usize = 128;

/// A slot at rest. It borrows everything through which guest code could run in it, so nobody else touches its bytes.
pub struct Resting<'a> {
    mapped: &'a mut Mapped,
    /// An instance has it, and knows how large its memory is.
    occupied: bool,
}

impl<'a> Resting<'a> {
    /// For those who borrow whatever can touch the bytes of `mapped`.
    pub(super) fn new(mapped: &'a mut Mapped, occupied: bool) -> Self {
        Self { mapped, occupied }
    }

    /// What is put back after a run.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.mapped.image
    }

    /// Bytes of the guest's memory.
    #[must_use]
    pub fn accessible(&self) -> usize {
        self.mapped.space.accessible()
    }

    /// Memory of the guest.
    #[must_use]
    pub fn bytes(&self, from: usize, to: usize) -> &[u8] {
        // SAFETY: `self` stands for all who can touch the space, and is borrowed as long as the slice lives.
        unsafe { self.mapped.space.bytes(from, to) }
    }

    fn bytes_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        // SAFETY: `self` stands for all who can touch the space, and is borrowed mutably as long as the slice lives.
        unsafe { self.mapped.space.bytes_mut(from, to) }
    }

    /// Writes `data` at `at`.
    pub fn load(&mut self, at: usize, data: &[u8]) {
        self.mapped.private = Private::default();
        self.bytes_mut(at, at + data.len()).copy_from_slice(data);
    }

    /// Makes `size` bytes accessible. Not in a slot that an instance has, which must do this itself.
    pub fn grow(&mut self, size: usize) -> io::Result<()> {
        self.expect_vacant(size)?;
        self.mapped.space.grow(size)
    }

    /// The size must not change under an instance.
    fn expect_vacant(&self, size: usize) -> io::Result<()> {
        if self.occupied && size != self.accessible() {
            return Err(io::Error::other("an instance knows another size"));
        }
        Ok(())
    }

    /// What is private, by `strategy` or from the last time.
    fn find_private(
        &mut self,
        strategy: RestoreStrategy,
        size: usize,
    ) -> io::Result<pagemap::Written> {
        let private = &mut self.mapped.private;
        if std::mem::take(&mut private.still)
            && let Some(found) = &private.found
        {
            return Ok(pagemap::Written::Ranges(Arc::clone(found)));
        }
        let written = pagemap::written_pages(strategy, self.mapped.space.start(), size)?;
        private.found = match &written {
            pagemap::Written::Ranges(found) => Some(Arc::clone(found)),
            _ => None,
        };
        Ok(written)
    }

    /// The ranges of pages that may differ from the image, of all that is accessible.
    pub fn written(&mut self, strategy: RestoreStrategy) -> io::Result<Arc<Ranges>> {
        let size = self.accessible();
        match self.find_private(strategy, size)? {
            pagemap::Written::Ranges(ranges) => Ok(ranges),
            pagemap::Written::Unknown | pagemap::Written::Everything => self.compared(),
        }
    }

    /// Where it may differ from the lowest image below it.
    pub fn changed(&mut self, strategy: RestoreStrategy) -> io::Result<Vec<(usize, usize)>> {
        let written = self.written(strategy)?;
        Ok(self.image().above_first(&written))
    }

    /// As [`Resting::written`], by looking at every byte.
    fn compared(&self) -> io::Result<Arc<Ranges>> {
        let before = self.image().bytes()?;
        let differs = |&at: &usize| {
            let old = before.get(at..at + PAGE);
            old.is_none_or(|old| old != self.bytes(at, at + PAGE))
        };
        let pages = (0..self.accessible()).step_by(PAGE).filter(differs);
        Ok(joined(pages.map(|at| (at, at + PAGE)).collect(), 0).into())
    }

    /// Puts the image back: every byte as after [`Slot::new`](super::Slot::new). Returns how many pages were copied or
    /// dropped.
    ///
    /// Only for a run that ended in an orderly way; after a trap, [`Resting::remap`].
    pub fn restore(&mut self, strategy: RestoreStrategy) -> io::Result<usize> {
        self.drop_grown()?;
        let image = Arc::clone(self.image());
        let bytes = image.bytes()?;
        let pages = bytes.len() / PAGE;
        if self.mapped.adopted {
            self.map_image()?;
            return Ok(pages);
        }
        match self.find_private(strategy, bytes.len())? {
            pagemap::Written::Ranges(written) => self.put_back(bytes, &written),
            pagemap::Written::Unknown => self.map_image().map(|()| pages),
            pagemap::Written::Everything => {
                self.copy_back(bytes, 0, bytes.len());
                Ok(pages)
            }
        }
    }

    /// Puts back `written` pages, of which the first are copied.
    fn put_back(&mut self, bytes: &[u8], written: &Ranges) -> io::Result<usize> {
        let private = pages_in(written);
        if private > WARM_PAGES {
            self.mapped.restores += 1;
        }
        let cooling = private > WARM_PAGES && self.mapped.restores.is_multiple_of(COOLING);
        let mut pages = 0;
        for &(from, to) in written {
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

    /// Copies from the image's `bytes`.
    fn copy_back(&mut self, bytes: &[u8], from: usize, to: usize) {
        self.bytes_mut(from, to).copy_from_slice(&bytes[from..to]);
    }

    /// Copies back what this run wrote, and gives the other pages back to the kernel: they are private only because an
    /// earlier run wrote them, and would be copied back after every run for ever.
    fn cool(&mut self, bytes: &[u8], from: usize, to: usize) -> io::Result<()> {
        for at in (from..to).step_by(PAGE) {
            if self.bytes(at, at + PAGE) == &bytes[at..at + PAGE] {
                self.forget(at, at + PAGE)?;
            } else {
                self.copy_back(bytes, at, at + PAGE);
            }
        }
        Ok(())
    }

    /// Gives private pages back to the kernel; the next access reads the image again.
    fn forget(&mut self, from: usize, to: usize) -> io::Result<()> {
        if from == to {
            return Ok(());
        }
        self.mapped.private = Private::default();
        // SAFETY: `self` stands for all who can touch the space, and no slice of it is alive.
        unsafe { self.mapped.space.forget(from, to) }
    }

    /// Maps everything afresh, trusting nothing about what the run did.
    pub fn remap(&mut self) -> io::Result<()> {
        self.drop_grown()?;
        self.map_image()
    }

    fn map_image(&mut self) -> io::Result<()> {
        self.mapped.private = Private::default();
        // SAFETY: `self` stands for all who can touch the space, and no slice of it is alive. The image is kept beside it.
        unsafe { self.mapped.space.map(&self.mapped.image)? };
        self.mapped.adopted = false;
        Ok(())
    }

    /// Takes the memory that the guest grew away again.
    fn drop_grown(&mut self) -> io::Result<()> {
        let size = self.image().size();
        self.expect_vacant(size)?;
        if size == self.accessible() {
            return Ok(());
        }
        self.mapped.private = Private::default();
        // SAFETY: as for `map_image`; no instance has this slot, or the sizes would be the same.
        unsafe { self.mapped.space.shrink(size) }
    }

    /// Puts another image in place of the one that is mapped. If it fails, the slot can only be dropped.
    pub fn rebase(&mut self, image: Arc<Image>) -> io::Result<()> {
        self.expect_vacant(image.size())?;
        let mappings = Mappings::take(image.mappings())?;
        // Kept until the new one is mapped.
        let old = std::mem::replace(&mut self.mapped.image, image);
        self.mapped.mappings = mappings;
        self.drop_grown()?;
        self.map_image()?;
        drop(old);
        Ok(())
    }

    /// Takes an image of the same size that differs from the present one in pages only that are private here. What is mapped
    /// stays.
    pub fn adopt(&mut self, image: Arc<Image>) {
        debug_assert_eq!(image.size(), self.image().size());
        self.mapped.image = image;
        self.mapped.adopted = true;
    }
}
