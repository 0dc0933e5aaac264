//! Memory images: a linear memory and the mutable globals at one moment, ready to be mapped copy-on-write.

mod backing;
mod layer;
mod mapping;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use backing::{Backing, Shown};
pub use layer::Layer;
pub use mapping::MappedFile;
use mapping::{View, map_parts};
pub(crate) use mapping::{keep_small, map_zeros, reserve};

use crate::PAGE;
use crate::ranges::{Ranges, coalesced, joined};

const WRONG_SIZE: &str = "it does not have the size that the manifest says";

/// Ranges of one layer. Each is a mapping of its own, of which a process may have some ten thousand.
const MAX_RANGES: usize = 24;
/// Parts beyond which a new image has one layer again.
const MAX_PARTS: usize = 48;

/// The frozen state of a guest. Cheap to share; a slot maps it without copying.
///
/// An image is made of parts of files above the first, which nothing else of them covers; what no part covers is zero.
#[derive(Debug)]
pub struct Image {
    parts: Vec<Part>,
    size: usize,
    view: OnceLock<View>,
    globals: Vec<i32>,
}

/// Pages of a file and where they lie in memory.
#[derive(Clone, Debug)]
struct Part {
    shown: Shown,
    at: Range<usize>,
}

impl Part {
    /// What `covered` leaves of it: page ranges, ascending, apart from each other.
    fn without(&self, covered: &Ranges) -> Vec<Self> {
        let (mut at, end) = (self.at.start, self.at.end);
        let mut left = Vec::new();
        let mut keep = |from: usize, to: usize| {
            if from < to {
                let skip = (from - self.at.start) as u64;
                left.push(Self {
                    shown: self.shown.piece(skip, (to - from) as u64),
                    at: from..to,
                });
            }
        };
        for &(from, to) in covered {
            keep(at, from.min(end));
            at = at.max(to);
        }
        keep(at, end);
        left
    }
}

impl Image {
    /// A memory of `size` bytes that holds the whole of `path` at `content`. The file must not change while the image
    /// lives.
    pub fn open(
        path: &Path,
        content: Range<usize>,
        size: usize,
        globals: Vec<i32>,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() != content.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, WRONG_SIZE));
        }
        Self::from_file(&Backing::of(file), content, size, globals)
    }

    /// An image of `memory`, held in an anonymous file. Pages of zeros take no room.
    pub fn from_memory(memory: &[u8], globals: Vec<i32>) -> io::Result<Self> {
        let file = Backing::anonymous()?;
        file.set_len(memory.len() as u64)?;
        for (index, page) in memory.chunks(PAGE).enumerate() {
            if page.iter().any(|&byte| byte != 0) {
                file.write_at(page, (index * PAGE) as u64)?;
            }
        }
        Self::from_file(&file, 0..memory.len(), memory.len(), globals)
    }

    fn from_file(
        file: &Arc<Backing>,
        content: Range<usize>,
        size: usize,
        globals: Vec<i32>,
    ) -> io::Result<Self> {
        let pages = [content.start, content.end, size]
            .iter()
            .all(|bytes| bytes % PAGE == 0);
        if !pages || content.is_empty() || content.end > size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, WRONG_SIZE));
        }
        let part = Part {
            shown: Shown::new(file, 0..content.len() as u64),
            at: content,
        };
        let image = Self {
            parts: vec![part],
            size,
            view: OnceLock::new(),
            globals,
        };
        image.view()?;
        Ok(image)
    }

    /// This image with the given page ranges of `memory` above it. `memory` is a whole linear memory, not smaller than this
    /// image. The globals stay: they are those of a guest at rest.
    pub fn layered(&self, memory: &[u8], changed: &Ranges) -> io::Result<Self> {
        let below = self.below(changed);
        let flat = below.len() + changed.len() > MAX_PARTS;
        let ranges = if flat {
            coalesced(self.above_first(changed), MAX_RANGES)
        } else {
            changed.to_vec()
        };
        let layer = Layer::new(ranges)?;
        for &(from, to) in &layer.ranges {
            layer.write(from, &memory[from..to])?;
        }
        let below = if flat {
            self.parts[..1].to_vec()
        } else {
            below
        };
        self.above(below, &layer, memory.len())
    }

    /// This image with a layer above it.
    pub fn with(&self, layer: &Layer, size: usize) -> io::Result<Self> {
        self.above(self.below(&layer.ranges), layer, size)
    }

    fn above(&self, mut parts: Vec<Part>, layer: &Layer, size: usize) -> io::Result<Self> {
        // A page that lies behind the end of its file cannot be read.
        layer.file.set_len(layer.size())?;
        parts.extend(layer.parts());
        Ok(self.of(parts, size))
    }

    fn of(&self, parts: Vec<Part>, size: usize) -> Self {
        Self {
            parts,
            size,
            view: OnceLock::new(),
            globals: self.globals.clone(),
        }
    }

    /// The first part, and what is seen of the others when `covered` lies above them.
    fn below(&self, covered: &Ranges) -> Vec<Part> {
        let (first, others) = self.parts.split_at(1);
        let left = others.iter().flat_map(|part| part.without(covered));
        first.iter().cloned().chain(left).collect()
    }

    /// This image without its layers in `covered`, where it is as below them again. `None`: that would be too many parts.
    pub fn without(&self, covered: &Ranges) -> Option<Self> {
        let parts = self.below(covered);
        (parts.len() <= MAX_PARTS).then(|| self.of(parts, self.size))
    }

    /// Bytes that are seen of its layers.
    pub fn layers(&self) -> usize {
        self.parts[1..].iter().map(|part| part.at.len()).sum()
    }

    /// How many of them are in `ranges`.
    pub fn layers_in(&self, ranges: &Ranges) -> usize {
        let shared = |part: &Part| -> usize {
            let common = |&(from, to): &(usize, usize)| {
                to.min(part.at.end).saturating_sub(from.max(part.at.start))
            };
            ranges.iter().map(common).sum()
        };
        self.parts[1..].iter().map(shared).sum()
    }

    /// The ranges of all parts but the first, and `more`, joined where they are near each other.
    pub fn above_first(&self, more: &Ranges) -> Vec<(usize, usize)> {
        let parts = self.parts[1..]
            .iter()
            .map(|part| (part.at.start, part.at.end));
        joined(parts.chain(more.iter().copied()).collect(), 0)
    }

    /// How many mappings a slot has that this is mapped in: each part may cut one in two.
    pub fn mappings(&self) -> usize {
        2 * self.parts.len() + 2
    }

    /// Bytes of memory.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Maps the image copy-on-write at `at`, over whatever is mapped there.
    ///
    /// # Safety
    /// `size()` bytes at `at` belong to the caller, and nothing refers to them. The image lives as long as the mapping is used.
    pub unsafe fn map(&self, at: NonNull<u8>) -> io::Result<()> {
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the caller gives away the whole range; private, so writes stay in this mapping.
        unsafe {
            map_parts(&self.parts, at, self.size, writable, libc::MAP_PRIVATE)?;
            keep_small(at, self.size)
        }
    }

    /// Values of the mutable globals, in the order of the module's exports of them.
    pub fn globals(&self) -> &[i32] {
        &self.globals
    }

    fn view(&self) -> io::Result<&View> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = View::new(&self.parts, self.size)?;
        Ok(self.view.get_or_init(|| view))
    }

    /// Bytes of memory that the files of its layers take.
    #[cfg(test)]
    pub fn file_memory(&self) -> u64 {
        let mut files: Vec<_> = self.parts[1..]
            .iter()
            .map(|part| Arc::clone(part.shown.file()))
            .collect();
        files.sort_unstable_by_key(Arc::as_ptr);
        files.dedup_by_key(|file| Arc::as_ptr(file));
        files.iter().map(|file| file.memory()).sum()
    }

    /// The whole memory, mapped as long as the value lives, if it is not anyway.
    pub fn readable(&self) -> io::Result<Readable<'_>> {
        match self.view.get() {
            Some(view) => Ok(Readable(Shared::Mapped(view))),
            None => View::new(&self.parts, self.size).map(|view| Readable(Shared::Own(view))),
        }
    }

    /// The whole memory, read-only.
    pub fn bytes(&self) -> io::Result<&[u8]> {
        Ok(self.view()?.bytes())
    }
}

/// An image's memory to be read.
pub struct Readable<'a>(Shared<'a>);

enum Shared<'a> {
    Mapped(&'a View),
    Own(View),
}

impl Readable<'_> {
    /// The whole of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Shared::Mapped(view) => view.bytes(),
            Shared::Own(view) => view.bytes(),
        }
    }
}
