//! A guest's whole state as bytes: the pages that differ from the runtime's image, and what the host must put back around
//! them. The layout is in `docs/snapshot-format.md`.
//!
//! Most of these pages differ in a few reference counts: of them the XOR with the image's is saved, which is little but zeros.
//!
//! Nothing in it is trusted. Pages are data for the guest's own memory, where the guest could have written them itself; every
//! number is checked before it is used.

pub(crate) mod kept;

use std::io::{self, BufReader, Read, Write};

use eryx_vfs::MemoryFs;
use twox_hash::XxHash3_128;

use crate::Error;
use crate::value::wire;
use eryx_memory::RESERVATION;
use eryx_memory::{Image, PAGE, joined};
use eryx_memory::{ReadPages, SavedMemory};
use kept::Kept;

const MAGIC: &[u8; 8] = b"ERYXSNAP";
/// Of the layout. Other versions are refused.
const VERSION: u32 = 3;
const WASM_PAGE: usize = 65_536;
/// magic, version, kind, runtime, memory size, number of runs, size of the host's part, sizes of the packed pages and trees.
const HEADER: usize = 8 + 4 + 4 + 32 + 8 + 4 + 4 + 8 + 8 + 8;
const CHECKSUM: usize = 16;
/// Of pages. With level 3 the snapshot of a list of 100,000 ints is 1% smaller, of 5,000 nested dicts 3%, and takes a fifth to
/// a half longer; that of one variable gets no smaller by it.
const PAGES_LEVEL: i32 = 1;
/// Of trees of files.
const TREE_LEVEL: i32 = 3;
/// The bit of a run's number of pages that says that their XOR with the image's is saved.
const XORED: u32 = 1 << 31;
/// The window that a frame may ask for, as a power of two. Ours ask for 2 MiB.
const WINDOW: u32 = 23;
/// What a saved tree takes besides what its files are charged: the directories that every guest has, and numbers.
const UNCHARGED: u64 = 1 << 16;

/// What a snapshot can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// A session between executions.
    Rest = 0,
    /// A run that waits for answers.
    Checkpoint = 1,
}

/// The trees of files that belong to a guest: the one at `/`, and its storage.
pub(crate) type Trees<T> = [Option<T>; 2];

/// What snapshots of a session have in common.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    /// Which runtime they belong to.
    pub(crate) runtime: &'a [u8; 32],
    /// The image that they differ from.
    pub(crate) base: &'a Image,
}

impl Frame<'_> {
    /// The state of a guest at rest as bytes: `memory`, which may differ from the image in `ranges`, what the host keeps of
    /// it, and its files.
    pub(crate) fn take(
        &self,
        memory: &impl ReadPages,
        ranges: &[(usize, usize)],
        kept: &Kept,
        trees: Trees<&MemoryFs>,
    ) -> io::Result<Vec<u8>> {
        let changed = self.changed(memory, ranges)?;
        let host = kept.to_value().to_bytes().map_err(io::Error::other)?;
        let runs = runs(&changed);
        let mut out = vec![0; HEADER];
        out.extend_from_slice(&host);
        for (first, count) in &runs {
            out.extend(first.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        let mut ends = [out.len(), 0, 0, 0];
        out = self.packed_pages(out, memory, &changed)?;
        ends[1] = out.len();
        for (index, tree) in trees.into_iter().enumerate() {
            if let Some(tree) = tree {
                out = packed(out, TREE_LEVEL, None, |packer| tree.save(packer))?;
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

    /// The pages in `ranges` that are not as in the image.
    fn changed(
        &self,
        memory: &impl ReadPages,
        ranges: &[(usize, usize)],
    ) -> io::Result<Vec<Changed>> {
        const ZEROS: [u8; PAGE] = [0; PAGE];
        let image = self.base.bytes()?;
        let pages = ranges
            .iter()
            .flat_map(|&(from, to)| (from..to).step_by(PAGE));
        let changed = |at: usize| {
            let (now, before) = (memory.page(at), image.get(at..at + PAGE));
            (now != before.unwrap_or(&ZEROS)).then(|| Changed {
                at,
                xored: before.is_some_and(|before| packs_better_xored(now, before)),
            })
        };
        Ok(pages
            .take_while(|&at| at < memory.size())
            .filter_map(changed)
            .collect())
    }

    /// Appends what is saved of these pages, packed.
    fn packed_pages(
        &self,
        out: Vec<u8>,
        memory: &impl ReadPages,
        changed: &[Changed],
    ) -> io::Result<Vec<u8>> {
        let image = self.base.bytes()?;
        let size = (changed.len() * PAGE) as u64;
        packed(out, PAGES_LEVEL, Some(size), |packer| {
            changed.iter().try_for_each(|&Changed { at, xored }| {
                if !xored {
                    return packer.write_all(memory.page(at));
                }
                let mut page = [0; PAGE];
                page.copy_from_slice(memory.page(at));
                xor(&mut page, image, at);
                packer.write_all(&page)
            })
        })
    }
}

/// A page that is not as in the image.
#[derive(Clone, Copy)]
struct Changed {
    at: usize,
    /// Its XOR with the image's is saved.
    xored: bool,
}

/// Whether the XOR of a page as it is `now` and as it was `before` packs better than the page. It does not where new objects
/// lie in memory that the image had freed: both are full, and their XOR more so than each. What has fewer bytes that are not
/// zero packs better. With the 4/5, six states took at most 3% more than when zstd had tried both for each page.
fn packs_better_xored(now: &[u8], before: &[u8]) -> bool {
    /// So many bytes are counted in one: the compiler makes instructions of this that do 16 at a time.
    const STEP: usize = 128;
    let (mut full, mut differing) = (0, 0);
    for (now, before) in now.chunks(STEP).zip(before.chunks(STEP)) {
        let not_zero = now.iter().map(|&byte| u8::from(byte != 0));
        full += usize::from(not_zero.sum::<u8>());
        let pairs = now.iter().zip(before);
        differing += usize::from(pairs.map(|(a, b)| u8::from(a != b)).sum::<u8>());
    }
    5 * differing < 4 * full
}

/// XORs `part` with what `image` has at `at`: zeros behind its end.
fn xor(part: &mut [u8], image: &[u8], at: usize) {
    for (byte, before) in part.iter_mut().zip(image.get(at..).unwrap_or_default()) {
        *byte ^= before;
    }
}

/// Appends what `write` writes, as a frame of its own. `size`: how much that is, if it is known before.
fn packed(
    out: Vec<u8>,
    level: i32,
    size: Option<u64>,
    write: impl FnOnce(&mut zstd::stream::write::Encoder<'_, Vec<u8>>) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut packer = zstd::stream::write::Encoder::new(out, level)?;
    packer.set_pledged_src_size(size)?;
    write(&mut packer)?;
    packer.finish()
}

/// Runs of neighbouring pages that are saved in the same way: number of the first page, and count with [`XORED`].
fn runs(changed: &[Changed]) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for &Changed { at, xored } in changed {
        let page = u32::try_from(at / PAGE).expect("memory is at most 4 GiB");
        let mark = if xored { XORED } else { 0 };
        match found.last_mut() {
            Some((first, count)) if page + mark == *first + *count => *count += 1,
            _ => found.push((page, mark | 1)),
        }
    }
    found
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
        expected: Frame<'_>,
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
                "its memory of {memory_size} bytes is more than maxMemoryBytes, {max_memory}"
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
        let mut pages = unpacking(self.pages)?;
        let state = SavedMemory::filled(base, self.memory_size, &self.runs.all, |ranges, part| {
            pages.read_exact(part)?;
            self.runs.put_back(base.bytes()?, ranges, part);
            Ok(())
        });
        let state = state.map_err(|error| match error.raw_os_error() {
            Some(_) => Error::Initialization(format!("no memory for the snapshot: {error}")),
            None => damaged(),
        })?;
        is_at_end(&mut pages)?;
        let [root, storage] = self.trees.map(|tree| unpacked(tree, max_files));
        Ok((state, [root?, storage?]))
    }
}

fn unpacking(frame: &[u8]) -> Result<impl Read, Error> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(|_| damaged())?;
    decoder.window_log_max(WINDOW).map_err(|_| damaged())?;
    Ok(decoder)
}

fn is_at_end(frame: &mut impl Read) -> Result<(), Error> {
    match frame.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(damaged()),
    }
}

fn unpacked(frame: &[u8], max_files: u64) -> Result<Option<MemoryFs>, Error> {
    if frame.is_empty() {
        return Ok(None);
    }
    let mut bytes = BufReader::new(unpacking(frame)?);
    let tree = MemoryFs::load(&mut bytes, max_files.saturating_add(UNCHARGED))
        .map_err(|error| Error::refused_snapshot(&format!("its files: {error}")))?;
    is_at_end(&mut bytes)?;
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

/// Where the pages of a snapshot lie: ranges of addresses, ascending, apart from each other and inside the memory.
struct Runs {
    all: Vec<(usize, usize)>,
    /// Those of pages whose XOR with the image's is saved; two may touch.
    xored: Vec<(usize, usize)>,
}

impl Runs {
    /// Makes pages of what was saved of them: `part` holds those of `ranges`, one after the other.
    fn put_back(&self, image: &[u8], ranges: &[(usize, usize)], mut part: &mut [u8]) {
        for &(from, to) in ranges {
            let pages = part.split_off_mut(..to - from);
            let pages = pages.expect("it holds all ranges");
            let next = self.xored.partition_point(|(_, end)| *end <= from);
            for &(start, end) in &self.xored[next..] {
                if start >= to {
                    break;
                }
                let (start, end) = (start.max(from), end.min(to));
                xor(&mut pages[start - from..end - from], image, start);
            }
        }
    }
}

fn parsed_runs(bytes: &[u8], memory_size: usize) -> Result<Runs, Error> {
    let mut end = 0;
    let (mut all, mut xored) = (Vec::new(), Vec::new());
    let (chunks, _) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let mut fields = Fields(chunk);
        let (first, count) = (fields.u32()?, fields.u32()?);
        let first = first as usize;
        let (from, to) = (first * PAGE, (first + (count & !XORED) as usize) * PAGE);
        if from < end || to <= from || to > memory_size {
            return Err(damaged());
        }
        end = to;
        all.push((from, to));
        if count & XORED != 0 {
            xored.push((from, to));
        }
    }
    Ok(Runs {
        all: joined(all, 0),
        xored,
    })
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
