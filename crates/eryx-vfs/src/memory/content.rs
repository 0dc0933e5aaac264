//! The contents of one file: chunks by index, holes where there is none.

use super::chunk::{CHUNK_SIZE, Chunk};
use super::quota::{Quota, chunk_cost, chunk_len_for};
use crate::cow_map::CowMap;
use crate::{Error, Result};

/// Longest file, in bytes.
pub const MAX_FILE: u64 = 1 << 40;

/// A file's bytes. No chunk reaches beyond `len`.
#[derive(Clone, Debug)]
pub(super) struct Content {
    len: u64,
    charged: u64,
    chunks: CowMap<Chunk>,
}

/// The chunk that holds `offset`, and where in it.
const fn position(offset: u64) -> (u64, usize) {
    let size = CHUNK_SIZE as u64;
    // The remainder is below CHUNK_SIZE.
    #[expect(clippy::cast_possible_truncation, reason = "below CHUNK_SIZE")]
    let start = (offset % size) as usize;
    (offset / size, start)
}

impl Content {
    pub(super) const fn new() -> Self {
        Self {
            len: 0,
            charged: 0,
            chunks: CowMap::new(),
        }
    }

    /// `len` zeros without any chunk.
    pub(super) const fn hole(len: u64) -> Self {
        let mut hole = Self::new();
        hole.len = len;
        hole
    }

    /// The first chunk from `index` on.
    pub(super) fn next_chunk(&self, index: u64) -> Option<(u64, &Chunk)> {
        self.chunks.first_from(index)
    }

    pub(super) const fn chunk_count(&self) -> u64 {
        self.chunks.len()
    }

    /// Puts in a saved chunk that the quota has been charged for. It is none that is there and ends within `len`.
    pub(super) fn put_chunk(&mut self, index: u64, chunk: Chunk) {
        self.charged += chunk_cost(Some(chunk.len()));
        self.chunks.insert(index, chunk);
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// What the stored chunks cost.
    pub(super) const fn charged(&self) -> u64 {
        self.charged
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let left = self.len.saturating_sub(offset);
        let wanted = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut at = offset;
        let mut rest = &mut buf[..wanted];
        while !rest.is_empty() {
            let (index, start) = position(at);
            let count = rest.len().min(CHUNK_SIZE - start);
            let (piece, behind) = rest.split_at_mut(count);
            let stored = self.chunks.get(index).map_or(&[][..], Chunk::bytes);
            let stored = stored.get(start..).unwrap_or_default();
            let held = stored.len().min(count);
            piece[..held].copy_from_slice(&stored[..held]);
            piece[held..].fill(0);
            at += count as u64;
            rest = behind;
        }
        wanted
    }

    /// Writes what the quota and [`MAX_FILE`] let through.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], quota: &mut Quota) -> Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(MAX_FILE.saturating_sub(offset)).unwrap_or(usize::MAX);
        if room == 0 {
            return Err(Error::FileTooLarge);
        }
        let data = &data[..data.len().min(room)];
        let mut done = 0;
        while done < data.len() {
            let count = self.write_chunk(offset + done as u64, &data[done..], quota);
            if count == 0 {
                break;
            }
            done += count;
        }
        if done == 0 {
            return Err(Error::NoSpace);
        }
        self.len = self.len.max(offset + done as u64);
        Ok(done)
    }

    /// Writes the part of `data` that falls into one chunk, cut by the quota; 0 if nothing fits.
    fn write_chunk(&mut self, offset: u64, data: &[u8], quota: &mut Quota) -> usize {
        let (index, start) = position(offset);
        let held = self.chunks.get(index).map(Chunk::len);
        let paid = chunk_cost(held);
        let affordable = chunk_len_for(quota.available().saturating_add(paid));
        let limit = affordable.max(held.unwrap_or(0));
        let end = (start + data.len().min(CHUNK_SIZE - start)).min(limit);
        if end <= start {
            return 0;
        }
        let cost = chunk_cost(Some(end.max(held.unwrap_or(0)))) - paid;
        if quota.take(cost).is_err() {
            return 0;
        }
        self.charged += cost;
        let data = &data[..end - start];
        if let Some(chunk) = self.chunks.get_mut(index) {
            chunk.write(start, data);
        } else {
            let mut chunk = Chunk::new();
            chunk.write(start, data);
            self.chunks.insert(index, chunk);
        }
        data.len()
    }

    pub(super) fn set_len(&mut self, len: u64, quota: &mut Quota) -> Result<()> {
        if len > MAX_FILE {
            return Err(Error::FileTooLarge);
        }
        if len < self.len {
            self.truncate(len, quota);
        }
        self.len = len;
        Ok(())
    }

    fn truncate(&mut self, len: u64, quota: &mut Quota) {
        let (index, keep) = position(len);
        let whole = index + u64::from(keep > 0);
        while let Some(last) = self.chunks.last_key().filter(|last| *last >= whole) {
            let held = self.chunks.remove(last).map(|chunk| chunk.len());
            self.release(chunk_cost(held), quota);
        }
        let held = self.chunks.get(index).map(Chunk::len);
        if held.is_some_and(|held| held > keep)
            && let Some(chunk) = self.chunks.get_mut(index)
        {
            chunk.truncate(keep);
            self.release(chunk_cost(held) - chunk_cost(Some(keep)), quota);
        }
    }

    const fn release(&mut self, cost: u64, quota: &mut Quota) {
        self.charged -= cost;
        quota.give_back(cost);
    }
}
