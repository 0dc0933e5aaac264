//! A guest's whole state as bytes: the pages that differ from the runtime's image, and what the host must put back around
//! them. The layout is in `docs/snapshot-format.md`.
//!
//! Nothing in it is trusted. Pages are data for the guest's own memory, where the guest could have written them itself; every
//! number is checked before it is used.

pub(crate) mod kept;
pub(crate) mod pages;

use std::io::{self, BufReader};

use eryx_vfs::MemoryFs;
use twox_hash::XxHash3_128;

use crate::Error;
use crate::value::wire;
use eryx_memory::RESERVATION;
use eryx_memory::{Image, ReadPages, SavedMemory};
use kept::Kept;
use pages::{Changed, Runs};

const MAGIC: &[u8; 8] = b"ERYXSNAP";
/// Of the layout. Other versions are refused.
const VERSION: u32 = 3;
const WASM_PAGE: usize = 65_536;
/// magic, version, kind, runtime, memory size, number of runs, size of the host's part, sizes of the packed pages and trees.
const HEADER: usize = 8 + 4 + 4 + 32 + 8 + 4 + 4 + 8 + 8 + 8;
const CHECKSUM: usize = 16;
/// Of trees of files.
const TREE_LEVEL: i32 = 3;
/// What a saved tree takes besides what its files are charged: the directories that every guest has, and numbers.
const UNCHARGED: u64 = 1 << 16;

/// What a snapshot can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum SnapshotKind {
    /// A session between executions.
    Session = 0,
    /// A run that waits for answers.
    Checkpoint = 1,
}

/// The trees of files that belong to a guest: the one at `/`, and its storage.
pub(crate) type Trees<T> = [Option<T>; 2];

/// What a snapshot is of: its kind, its runtime, and the image that it differs from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) kind: SnapshotKind,
    /// Which runtime they belong to.
    pub(crate) runtime: &'a [u8; 32],
    /// The image that they differ from.
    pub(crate) base: &'a Image,
}

impl Origin<'_> {
    /// The state of a guest at rest as bytes: `memory`, which may differ from the image in `ranges`, what the host keeps of
    /// it, and its files.
    pub(crate) fn take(
        &self,
        memory: &impl ReadPages,
        ranges: &[(usize, usize)],
        kept: &Kept,
        trees: Trees<&MemoryFs>,
    ) -> io::Result<Vec<u8>> {
        let changed = Changed::find(memory, ranges, self.base)?;
        let host = kept.to_value().to_bytes().map_err(io::Error::other)?;
        let runs = pages::runs(&changed);
        let mut out = vec![0; HEADER];
        out.extend_from_slice(&host);
        for (first, count) in &runs {
            out.extend(first.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        let mut ends = [out.len(), 0, 0, 0];
        out = pages::pack(out, memory, &changed, self.base)?;
        ends[1] = out.len();
        for (index, tree) in trees.into_iter().enumerate() {
            if let Some(tree) = tree {
                out = pages::append(out, TREE_LEVEL, None, |packer| tree.save(packer))?;
            }
            ends[index + 2] = out.len();
        }
        let sizes = ends.windows(2).map(|ends| (ends[1] - ends[0]) as u64);
        let count = |count: usize| u32::try_from(count).map_err(io::Error::other);
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((self.kind as u32).to_le_bytes());
        header.extend_from_slice(self.runtime);
        header.extend((memory.size() as u64).to_le_bytes());
        header.extend(count(runs.len())?.to_le_bytes());
        header.extend(count(host.len())?.to_le_bytes());
        header.extend(sizes.flat_map(u64::to_le_bytes));
        out[..HEADER].copy_from_slice(&header);
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        Ok(out)
    }
}

/// A snapshot that was looked at as far as that is possible without unpacking it.
pub(crate) struct Snapshot<'a> {
    pub(crate) kept: Kept,
    memory_size: usize,
    runs: Runs,
    pages: &'a [u8],
    /// Empty for one that is not in it.
    trees: [&'a [u8]; 2],
}

impl<'a> Snapshot<'a> {
    /// Checks `bytes`, which may come from anywhere.
    pub(crate) fn parse(
        bytes: &'a [u8],
        expected: Origin<'_>,
        max_memory: usize,
    ) -> Result<Self, Error> {
        let body = checked_body(bytes)?;
        let (header, rest) = body.split_at_checked(HEADER).ok_or_else(damaged)?;
        let mut fields = Fields(&header[8..]);
        match fields.u32()? {
            VERSION => {}
            other => {
                return Err(Error::refused_snapshot(&format!(
                    "it has format {other}, this version reads {VERSION}"
                )));
            }
        }
        match fields.u32()? {
            found if found == expected.kind as u32 => {}
            0 => {
                return Err(Error::refused_snapshot(
                    "it is a snapshot of a session, not a checkpoint",
                ));
            }
            1 => {
                return Err(Error::refused_snapshot(
                    "it is a checkpoint: use Session.resume()",
                ));
            }
            _ => return Err(damaged()),
        }
        if fields.take(32)? != expected.runtime {
            return Err(Error::refused_snapshot(
                "it was made with another Python runtime",
            ));
        }
        let memory_size = usize::try_from(fields.u64()?).map_err(|_| damaged())?;
        let (runs, host) = (fields.u32()?, fields.u32()?);
        let packed = [fields.u64()?, fields.u64()?, fields.u64()?];
        let (host, rest) = rest.split_at_checked(host as usize).ok_or_else(damaged)?;
        let runs_size = (runs as usize).checked_mul(8).ok_or_else(damaged)?;
        let (runs, mut rest) = rest.split_at_checked(runs_size).ok_or_else(damaged)?;
        let mut frames = [&[][..]; 3];
        for (frame, size) in frames.iter_mut().zip(packed) {
            let size = usize::try_from(size).map_err(|_| damaged())?;
            (*frame, rest) = rest.split_at_checked(size).ok_or_else(damaged)?;
        }
        let [pages, root, storage] = frames;
        let sizes = memory_size.is_multiple_of(WASM_PAGE)
            && (expected.base.size()..=RESERVATION).contains(&memory_size)
            && rest.is_empty();
        if !sizes {
            return Err(damaged());
        }
        if memory_size > max_memory {
            return Err(Error::refused_snapshot(&format!(
                "its memory of {memory_size} bytes is more than the memory limit of {max_memory} bytes"
            )));
        }
        let host = wire::decode(host).map_err(|_| damaged())?;
        Ok(Self {
            kept: Kept::from_value(host).ok_or_else(damaged)?,
            memory_size,
            runs: parsed_runs(runs, memory_size)?,
            pages,
            trees: [root, storage],
        })
    }

    /// Its memory, on `base`, and its files, of which each tree may take `max_files` bytes.
    pub(crate) fn unpack(
        &self,
        base: &std::sync::Arc<Image>,
        max_files: u64,
    ) -> Result<(SavedMemory, Trees<MemoryFs>), Error> {
        let saved = pages::unpack(self.pages, &self.runs, self.memory_size, base);
        let saved = saved.map_err(|error| match error.raw_os_error() {
            Some(_) => Error::Initialization(format!("no memory for the snapshot: {error}")),
            None => damaged(),
        })?;
        let [root, storage] = self.trees.map(|tree| unpacked(tree, max_files));
        Ok((saved, [root?, storage?]))
    }
}

/// The runs of a snapshot, as [`pages::runs`] made them.
fn parsed_runs(bytes: &[u8], memory_size: usize) -> Result<Runs, Error> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let runs = chunks.iter().map(|chunk| {
        let mut fields = Fields(chunk);
        Ok((fields.u32()?, fields.u32()?))
    });
    let runs = runs.collect::<Result<Vec<_>, Error>>()?;
    Runs::new(&runs, memory_size).ok_or_else(damaged)
}

fn unpacked(frame: &[u8], max_files: u64) -> Result<Option<MemoryFs>, Error> {
    if frame.is_empty() {
        return Ok(None);
    }
    let mut bytes = BufReader::new(pages::unpacker(frame).map_err(|_| damaged())?);
    let tree = MemoryFs::load(&mut bytes, max_files.saturating_add(UNCHARGED))
        .map_err(|error| Error::refused_snapshot(&format!("its files: {error}")))?;
    pages::expect_end(&mut bytes).map_err(|_| damaged())?;
    Ok(Some(tree))
}

/// Tells damage. Whoever makes a snapshot by hand makes the right one too, so it need not be more than fast.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    XxHash3_128::oneshot(bytes).to_be_bytes()
}

/// Everything but the checksum, if that is right.
fn checked_body(bytes: &[u8]) -> Result<&[u8], Error> {
    if bytes.get(..8) != Some(MAGIC.as_slice()) {
        return Err(Error::refused_snapshot("these bytes are no snapshot"));
    }
    let (body, sum) = bytes.split_last_chunk().ok_or_else(damaged)?;
    if checksum(body) == *sum {
        Ok(body)
    } else {
        Err(damaged())
    }
}

/// Little-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| damaged())?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8)?.try_into().map_err(|_| damaged())?;
        Ok(u64::from_le_bytes(bytes))
    }
}

pub(crate) fn damaged() -> Error {
    Error::refused_snapshot("it is damaged")
}

#[cfg(test)]
mod tests;
