//! The memory of a guest at rest, apart from any slot: an image, and copies of what differs from it.
//!
//! It is what a session falls back to when an execution is cut off, what it sleeps as, and what forks and snapshots are made
//! of.

use std::io;
use std::sync::Arc;

use crate::PAGE;
use crate::RestoreStrategy;
use crate::copies::Copies;
use crate::image::{Image, Layer, Readable};
use crate::ranges::{Ranges, joined, pages_in, without};
use crate::slot::Resting;

/// With more pages of copies than this, those that lie together become a layer of the image.
const MAX_COPIES: usize = 256;
/// The same for a new state: until it is used, copies cost less.
const MAX_FILLED: usize = 2048;
/// Pages that are worth a mapping of their own.
const LONG: usize = 8;
/// Mappings of one layer. A process may have some ten thousand.
const MAX_LONG: usize = 24;
/// Pages of copies that may be left beside a layer.
const LEFT: usize = MAX_COPIES / 2;
/// Bytes that are filled at a time: they stay in the processor's cache.
const STEP: usize = 32 * PAGE;
/// Unchanged pages that a range of a layer may have in a row.
const MAX_GAP: usize = 64;
/// Layers and copies together take at most one and a half times the memory of which they are the state, and so many pages; the
/// memory for copies may have as many that are unused.
const SPARE: usize = 256;

/// What lies behind the end of an image.
const ZEROS: [u8; PAGE] = [0; PAGE];

/// What a linear memory holds. Clones share all of it.
#[derive(Clone, Debug)]
pub struct SavedMemory {
    image: Arc<Image>,
    /// Where the copies lie.
    ranges: Vec<(usize, usize)>,
    /// What they hold, one after the other.
    copies: Arc<Copies>,
    /// Bytes of linear memory: the image's size, or more.
    size: usize,
    /// Pages of copies beyond which a layer is made. Pages that every run writes are no use in one: if there are many, this is
    /// raised.
    limit: usize,
    /// A layer was made and nothing ran since.
    layered: bool,
}

impl SavedMemory {
    /// That of an image.
    pub fn of(image: &Arc<Image>) -> Self {
        Self {
            image: Arc::clone(image),
            ranges: Vec::new(),
            copies: Arc::default(),
            size: image.size(),
            limit: MAX_COPIES,
            layered: false,
        }
    }

    /// A state of `size` bytes that differs from `image` in `ranges`. `fill` is called for what they hold, piece by piece in
    /// ascending order, with the ranges of each piece.
    pub fn filled(
        image: &Arc<Image>,
        size: usize,
        ranges: &Ranges,
        mut fill: impl FnMut(&Ranges, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Self> {
        let long = if pages_in(ranges) > MAX_FILLED {
            long(ranges, MAX_GAP)
        } else {
            Vec::new()
        };
        let left = without(ranges, &long);
        if long.is_empty() {
            let mut copies = Copies::zeroed(pages_in(&left) * PAGE)?;
            fill(&left, &mut copies)?;
            return Ok(Self {
                ranges: left,
                copies: Arc::new(copies),
                size,
                ..Self::of(image)
            });
        }
        let layer = Layer::new(long)?;
        let below = image.bytes()?;
        let mut copies = Copies::with_capacity(pages_in(&left) * PAGE)?;
        let mut buffer = vec![0; STEP];
        let mut last = 0;
        for &(from, to) in ranges {
            // What lies between two ranges of one layer is as below it: as the image, and zero behind its end.
            let end = from.min(below.len());
            if layer.has(&(last..to)) && last < end {
                layer.write(last, &below[last..end])?;
            }
            for at in (from..to).step_by(STEP) {
                let part = &mut buffer[..STEP.min(to - at)];
                fill(&[(at, at + part.len())], part)?;
                if layer.has(&(at..at + part.len())) {
                    layer.write(at, part)?;
                } else {
                    copies.extend_from_slice(part);
                }
            }
            last = to;
        }
        let image = Arc::new(image.with(&layer, size)?);
        Ok(Self {
            image,
            ranges: left,
            copies: Arc::new(copies),
            size,
            limit: MAX_COPIES,
            layered: true,
        })
    }

    /// The image below its copies.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Bytes of linear memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many bytes may differ from the lowest image below it.
    #[must_use]
    pub fn changed_bytes(&self) -> usize {
        pages_in(&self.changed()) * PAGE
    }

    /// Whether others hold a part of it: forks.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let layers = self.image.layers() > 0 && Arc::strong_count(&self.image) > 1;
        layers || Arc::strong_count(&self.copies) > 1
    }

    /// Takes the state that the guest in `slot` is in now: the slot has been on this state's image, with nothing but runs
    /// since. Costs as much as the pages that differ. `false`: the slot is of no more use, though the state was taken.
    pub fn commit(
        &mut self,
        slot: &mut Resting<'_>,
        strategy: RestoreStrategy,
    ) -> io::Result<bool> {
        let written = slot.written(strategy)?;
        let count = pages_in(&written);
        if std::mem::take(&mut self.layered) {
            self.limit = MAX_COPIES.max(2 * count);
        }
        // Without a file for a layer there still may be memory for copies.
        if count > self.limit
            && let Ok(usable) = self.layer(slot, &written)
        {
            return Ok(usable);
        }
        if count >= SPARE {
            self.uncover(slot, &written);
        }
        let kept = self.image.layers() + count * PAGE;
        if kept > slot.accessible() / 2 * 3 + SPARE * PAGE
            && let Ok(usable) = self.layer(slot, &written)
        {
            return Ok(usable);
        }
        if *self.ranges == *written {
            self.refresh(slot)?;
        } else {
            self.replace(slot, &written)?;
        }
        self.size = slot.accessible();
        Ok(true)
    }

    /// Lets go of layers that lie below long ones of `written`, if that is much: the copies hide them, and the slot has private
    /// pages there.
    fn uncover(&mut self, slot: &mut Resting<'_>, written: &Ranges) {
        let covered = longest(written.to_vec());
        if self.image.layers_in(&covered) < SPARE * PAGE {
            return;
        }
        if let Some(image) = self.image.without(&covered) {
            self.image = Arc::new(image);
            slot.adopt(Arc::clone(&self.image));
        }
    }

    /// Copies `ranges` of what is in `slot`. If that fails, everything stays.
    fn replace(&mut self, slot: &Resting<'_>, ranges: &Ranges) -> io::Result<()> {
        let size = pages_in(ranges) * PAGE;
        // The same memory again, if nobody else holds it: fresh pages cost more than what is copied into them. Not if much of
        // it would stay unused.
        let fits = |copies: &Copies| (size..=size + SPARE * PAGE).contains(&copies.capacity());
        if !Arc::get_mut(&mut self.copies).is_some_and(|copies| fits(copies)) {
            self.copies = Arc::new(Copies::with_capacity(size)?);
        }
        let copies = own(&mut self.copies)?;
        copies.clear();
        for &(from, to) in ranges {
            copies.extend_from_slice(slot.bytes(from, to));
        }
        self.ranges = ranges.to_vec();
        Ok(())
    }

    /// Copies what has changed, when the ranges are the same as before: to compare is cheaper than to write.
    fn refresh(&mut self, slot: &Resting<'_>) -> io::Result<()> {
        let mut copies = &mut **own(&mut self.copies)?;
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
        Ok(())
    }

    /// Puts the long ones of `written` into a new image, and the slot on it.
    fn layer(&mut self, slot: &mut Resting<'_>, written: &Ranges) -> io::Result<bool> {
        let memory = slot.bytes(0, slot.accessible());
        let mut long = long(written, MAX_GAP);
        // The others may lie above older layers.
        if pages_in(&without(written, &long)) * PAGE > memory.len() / 2 {
            long = self::long(written, usize::MAX / PAGE);
        }
        let image = Arc::new(self.image.layered(memory, &long)?);
        let left = without(written, &long);
        self.replace(slot, &left)?;
        self.size = slot.accessible();
        self.image = Arc::clone(&image);
        self.layered = true;
        Ok(slot.rebase(image).and_then(|()| self.put(slot)).is_ok())
    }

    /// Puts what the copies hold into `slot`, which is on this state's image and was not used since.
    pub fn put(&self, slot: &mut Resting<'_>) -> io::Result<()> {
        if self.size > slot.accessible() {
            slot.grow(self.size)?;
        }
        for ((from, _), copy) in self.parts() {
            slot.load(from, copy);
        }
        Ok(())
    }

    /// The copies, with their ranges.
    fn parts(&self) -> impl Iterator<Item = ((usize, usize), &[u8])> {
        let mut copies = &**self.copies;
        self.ranges.iter().map(move |&(from, to)| {
            let (copy, rest) = copies.split_at(to - from);
            copies = rest;
            ((from, to), copy)
        })
    }

    /// Lets go of copies that are as the image.
    pub fn trim(&mut self) -> io::Result<()> {
        let view = self.image.readable()?;
        let below = view.bytes();
        let copies = own(&mut self.copies)?;
        let pages = self
            .ranges
            .iter()
            .flat_map(|&(from, to)| (from..to).step_by(PAGE));
        let mut kept = 0;
        let mut ranges = Vec::new();
        for (at, copy) in pages.zip((0..).step_by(PAGE)) {
            if below.get(at..at + PAGE).unwrap_or(&ZEROS) != &copies[copy..copy + PAGE] {
                ranges.push((at, at + PAGE));
                copies.copy_within(copy..copy + PAGE, kept);
                kept += PAGE;
            }
        }
        copies.truncate(kept);
        self.ranges = joined(ranges, 0);
        if kept < copies.capacity() {
            self.copies = Arc::new(copies.fitted()?);
        }
        Ok(())
    }

    /// To be read from beginning to end.
    pub fn pages(&self) -> io::Result<SavedPages<'_>> {
        Ok(SavedPages {
            parts: self.parts().collect(),
            size: self.size,
            image: self.image.readable()?,
        })
    }

    /// Where it may differ from the lowest image below it.
    #[must_use]
    pub fn changed(&self) -> Vec<(usize, usize)> {
        self.image.above_first(&self.ranges)
    }
}

/// The copies, with nobody else who holds them.
fn own(copies: &mut Arc<Copies>) -> io::Result<&mut Copies> {
    if Arc::get_mut(copies).is_none() {
        *copies = Arc::new(copies.fitted()?);
    }
    Ok(Arc::get_mut(copies).expect("nobody else has it"))
}

/// A memory that can be read by page.
pub trait ReadPages {
    /// In bytes.
    fn size(&self) -> usize;
    /// The page at `at`, which lies inside.
    fn page(&self, at: usize) -> &[u8];
}

impl ReadPages for Resting<'_> {
    fn size(&self) -> usize {
        self.accessible()
    }

    fn page(&self, at: usize) -> &[u8] {
        self.bytes(at, at + PAGE)
    }
}

/// A state, mapped to be read.
pub struct SavedPages<'a> {
    parts: Vec<((usize, usize), &'a [u8])>,
    size: usize,
    image: Readable<'a>,
}

impl ReadPages for SavedPages<'_> {
    fn size(&self) -> usize {
        self.size
    }

    fn page(&self, at: usize) -> &[u8] {
        let next = self.parts.partition_point(|((_, to), _)| *to <= at);
        match self.parts.get(next) {
            Some(((from, _), copy)) if *from <= at => &copy[at - from..at - from + PAGE],
            _ => self.image.bytes().get(at..at + PAGE).unwrap_or(&ZEROS),
        }
    }
}

/// The ranges that are to become mappings, with what lies between them where it is little: as few as cover most of `ranges`.
fn long(ranges: &Ranges, max_gap: usize) -> Vec<(usize, usize)> {
    let mut gap = 2;
    loop {
        let found = longest(joined(ranges.to_vec(), gap * PAGE));
        if gap >= max_gap || pages_in(&without(ranges, &found)) <= LEFT {
            return found;
        }
        gap *= 2;
    }
}

/// Those that are worth a mapping, the longest if they are many.
fn longest(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.retain(|(from, to)| to - from >= LONG * PAGE);
    ranges.sort_unstable_by_key(|(from, to)| std::cmp::Reverse(to - from));
    ranges.truncate(MAX_LONG);
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests;
