//! What lies above an image.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::Part;
use super::backing::{Backing, Shown};

/// Ranges of a memory in the making, in a file of their own. What is not written is zero.
pub struct Layer {
    pub(super) file: Arc<Backing>,
    pub(super) ranges: Vec<(usize, usize)>,
}

impl Layer {
    /// The ranges are whole pages, ascending, apart from each other.
    pub fn new(ranges: Vec<(usize, usize)>) -> io::Result<Self> {
        let file = Backing::anonymous()?;
        Ok(Self { file, ranges })
    }

    /// Whether one of the ranges has all of these addresses.
    #[must_use]
    pub fn has(&self, at: &Range<usize>) -> bool {
        self.offset(at).is_some()
    }

    fn offset(&self, at: &Range<usize>) -> Option<u64> {
        let mut before = 0;
        for (from, to) in &self.ranges {
            if *from <= at.start && at.end <= *to {
                return Some((before + at.start - from) as u64);
            }
            before += to - from;
        }
        None
    }

    /// Writes what is at `at` and behind it, inside one of the ranges.
    pub fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let offset = self.offset(&(at..at + bytes.len()));
        let offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        self.file.write_at(bytes, offset)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        let mut offset = 0;
        self.ranges.iter().map(move |&(from, to)| {
            let end = offset + (to - from) as u64;
            let shown = Shown::new(&self.file, offset..end);
            offset = end;
            Part {
                shown,
                at: from..to,
            }
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(from, to)| (to - from) as u64)
            .sum()
    }
}
