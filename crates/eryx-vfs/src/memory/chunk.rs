//! A piece of a file's contents.

use std::sync::Arc;

/// Bytes of a full chunk. Writing one byte to a forked file copies this much at most.
pub(super) const CHUNK_SIZE: usize = 16 * 1024;

const SMALL: usize = 1024;
const SMALL_STEP: usize = 64;
const LARGE_STEP: usize = 1024;

/// Host bytes that hold `len` bytes: multiples of 64 up to 1 KiB, of 1 KiB above. The steps bound
/// the copying that tiny appends cause: 8 bytes moved for each byte written, whatever the file size.
pub(super) const fn allocation(len: usize) -> usize {
    let step = if len <= SMALL { SMALL_STEP } else { LARGE_STEP };
    len.div_ceil(step) * step
}

/// The inverse of [`allocation`]: the most bytes that `room` host bytes hold.
pub(super) const fn largest_within(room: usize) -> usize {
    if room >= CHUNK_SIZE {
        return CHUNK_SIZE;
    }
    let step = if room < SMALL { SMALL_STEP } else { LARGE_STEP };
    room / step * step
}

/// Up to [`CHUNK_SIZE`] bytes, shared between forks until written. Bytes behind its end read as
/// zeros. It never holds more capacity than `allocation(len)`.
#[derive(Clone, Debug)]
pub(super) struct Chunk(Arc<Vec<u8>>);

impl Chunk {
    pub(super) fn new() -> Self {
        Self(Arc::new(Vec::new()))
    }

    /// `len` bytes, filled by `fill`.
    pub(super) fn filled<E>(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut bytes = Vec::with_capacity(allocation(len));
        bytes.resize(len, 0);
        fill(&mut bytes)?;
        Ok(Self(Arc::new(bytes)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes all of `data` at `start`; the caller keeps within [`CHUNK_SIZE`].
    pub(super) fn write(&mut self, start: usize, data: &[u8]) {
        let bytes = Arc::make_mut(&mut self.0);
        let end = start + data.len();
        if end > bytes.capacity() {
            bytes.reserve_exact(allocation(end) - bytes.len());
        }
        if start > bytes.len() {
            bytes.resize(start, 0);
        }
        let overlap = data.len().min(bytes.len() - start);
        let (over, behind) = data.split_at(overlap);
        bytes[start..start + overlap].copy_from_slice(over);
        bytes.extend_from_slice(behind);
    }

    /// Forgets what is behind `len`, and the host memory with it.
    pub(super) fn truncate(&mut self, len: usize) {
        let kept = self.0.get(..len).unwrap_or(&self.0);
        let mut bytes = Vec::with_capacity(allocation(kept.len()));
        bytes.extend_from_slice(kept);
        self.0 = Arc::new(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_SIZE, allocation, largest_within};

    #[test]
    fn allocation_and_its_inverse_agree_for_every_length() {
        for len in 0..=CHUNK_SIZE {
            assert!(allocation(len) >= len && allocation(len) <= CHUNK_SIZE);
            assert!(largest_within(allocation(len)) >= len);
            assert!(allocation(largest_within(len)) <= len);
        }
        assert_eq!(largest_within(usize::MAX), CHUNK_SIZE);
    }
}
