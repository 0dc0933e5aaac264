//! A guest's whole state as bytes: the pages that differ from the runtime's image, and what the host must put back around
//! them. The layout is in `docs/snapshot-format.md`.
//!
//! Nothing in it is trusted. Pages are data for the guest's own memory, where the guest could have written them itself; every
//! number is checked before it is used.

use std::io::{self, Read as _, Write as _};

use sha2::{Digest as _, Sha256};

use crate::image::{Image, PAGE};
use crate::net::pages;
use crate::slot::{RESERVATION, Slot};
use crate::{Error, RestoreStrategy, Value, wire};

const MAGIC: &[u8; 8] = b"ERYXSNAP";
/// Of the layout. Other versions are refused.
const VERSION: u32 = 1;
const WASM_PAGE: usize = 65_536;
/// magic, version, kind, runtime, memory size, number of runs, size of the host's part, size of the pages.
const HEADER: usize = 8 + 4 + 4 + 32 + 8 + 4 + 4 + 8;
const CHECKSUM: usize = 32;
/// The fastest that zstd calls by a number.
const LEVEL: i32 = 1;

/// What a snapshot can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// A session between executions.
    Rest = 0,
    /// A run that waits for answers.
    Checkpoint = 1,
}

/// Takes the state of a guest in `slot`, which must be at rest. `host`: what else is to be kept.
pub(crate) fn take(
    slot: &Slot,
    base: &Image,
    strategy: RestoreStrategy,
    runtime: &[u8; 32],
    kind: Kind,
    host: &Value,
) -> io::Result<Vec<u8>> {
    let image = slot.image();
    let changed = changed_pages(slot, base, &image.above_first(&slot.written(strategy)?))?;
    let host = host.to_bytes().map_err(io::Error::other)?;
    let runs = runs(&changed);
    let mut out = vec![0; HEADER];
    out.extend_from_slice(&host);
    for (first, count) in &runs {
        out.extend(first.to_le_bytes());
        out.extend(count.to_le_bytes());
    }
    let before = out.len();
    let mut packer = zstd::stream::write::Encoder::new(out, LEVEL)?;
    for at in changed {
        packer.write_all(slot.bytes(at, at + PAGE))?;
    }
    let mut out = packer.finish()?;
    let packed_size = (out.len() - before) as u64;
    let count = |count: usize| u32::try_from(count).map_err(io::Error::other);
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((kind as u32).to_le_bytes());
    header.extend_from_slice(runtime);
    header.extend((slot.accessible() as u64).to_le_bytes());
    header.extend(count(runs.len())?.to_le_bytes());
    header.extend(count(host.len())?.to_le_bytes());
    header.extend(packed_size.to_le_bytes());
    out[..HEADER].copy_from_slice(&header);
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    Ok(out)
}

/// The addresses of pages in `ranges` that are not as in `base`.
fn changed_pages(slot: &Slot, base: &Image, ranges: &[(usize, usize)]) -> io::Result<Vec<usize>> {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let before = base.bytes()?;
    let end = slot.accessible();
    Ok(pages(ranges)
        .filter(|&at| at < end)
        .filter(|&at| slot.bytes(at, at + PAGE) != before.get(at..at + PAGE).unwrap_or(&ZEROS))
        .collect())
}

/// Runs of neighbouring pages: number of the first page and count.
fn runs(changed: &[usize]) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for at in changed {
        let page = u32::try_from(at / PAGE).expect("memory is at most 4 GiB");
        match found.last_mut() {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => found.push((page, 1)),
        }
    }
    found
}

/// A snapshot that was looked at as far as that is possible without unpacking its pages.
pub(crate) struct Snapshot<'a> {
    pub(crate) memory_size: usize,
    pub(crate) host: Value,
    runs: Vec<(usize, usize)>,
    packed: &'a [u8],
}

impl<'a> Snapshot<'a> {
    /// Checks `bytes`, which may come from anywhere.
    pub(crate) fn parse(
        bytes: &'a [u8],
        kind: Kind,
        runtime: &[u8; 32],
        base: &Image,
        max_memory: usize,
    ) -> Result<Self, Error> {
        let body = checked_body(bytes)?;
        let (header, rest) = body.split_at_checked(HEADER).ok_or_else(damaged)?;
        let mut fields = Fields(&header[8..]);
        match fields.u32()? {
            VERSION => {}
            other => {
                return Err(refused(&format!(
                    "it has format {other}, this version reads {VERSION}"
                )));
            }
        }
        match fields.u32()? {
            found if found == kind as u32 => {}
            0 => return Err(refused("it is a snapshot of a session, not a checkpoint")),
            1 => return Err(refused("it is a checkpoint: use Session.resume()")),
            _ => return Err(damaged()),
        }
        if fields.take(32)? != runtime {
            return Err(refused("it was made with another Python runtime"));
        }
        let memory_size = usize::try_from(fields.u64()?).map_err(|_| damaged())?;
        let (runs, host, packed) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let (host, rest) = rest.split_at_checked(host as usize).ok_or_else(damaged)?;
        let runs_size = (runs as usize).checked_mul(8).ok_or_else(damaged)?;
        let (runs, pages) = rest.split_at_checked(runs_size).ok_or_else(damaged)?;
        let sizes = memory_size.is_multiple_of(WASM_PAGE)
            && (base.size()..=RESERVATION).contains(&memory_size)
            && pages.len() as u64 == packed;
        if !sizes {
            return Err(damaged());
        }
        if memory_size > max_memory {
            return Err(refused(&format!(
                "its memory of {memory_size} bytes is more than maxMemoryBytes, {max_memory}"
            )));
        }
        Ok(Self {
            memory_size,
            host: wire::decode(host).map_err(|_| damaged())?,
            runs: parsed_runs(runs, memory_size)?,
            packed: pages,
        })
    }

    /// Writes the pages into `slot`, which has the base image and the snapshot's size.
    pub(crate) fn load(&self, slot: &Slot) -> Result<(), Error> {
        const STEP: usize = 16 * PAGE;
        let mut pages = zstd::stream::read::Decoder::new(self.packed).map_err(|_| damaged())?;
        let mut buffer = vec![0; STEP];
        for &(from, to) in &self.runs {
            for at in (from..to).step_by(STEP) {
                let part = &mut buffer[..STEP.min(to - at)];
                pages.read_exact(part).map_err(|_| damaged())?;
                slot.load(at, part);
            }
        }
        match pages.read(&mut buffer[..1]) {
            Ok(0) => Ok(()),
            _ => Err(damaged()),
        }
    }
}

/// Everything but the checksum, if that is right.
fn checked_body(bytes: &[u8]) -> Result<&[u8], Error> {
    if bytes.get(..8) != Some(MAGIC.as_slice()) {
        return Err(refused("these bytes are no snapshot"));
    }
    let (body, checksum) = bytes
        .len()
        .checked_sub(CHECKSUM)
        .map(|at| bytes.split_at(at))
        .ok_or_else(damaged)?;
    if Sha256::digest(body).as_slice() == checksum {
        Ok(body)
    } else {
        Err(damaged())
    }
}

/// Ascending ranges of addresses, apart from each other and inside the memory.
fn parsed_runs(bytes: &[u8], memory_size: usize) -> Result<Vec<(usize, usize)>, Error> {
    let mut end = 0;
    let (chunks, _) = bytes.as_chunks::<8>();
    chunks
        .iter()
        .map(|chunk| {
            let mut fields = Fields(chunk);
            let (first, count) = (fields.u32()? as usize, fields.u32()? as usize);
            let (from, to) = (first * PAGE, (first + count) * PAGE);
            if from < end || to <= from || to > memory_size {
                return Err(damaged());
            }
            end = to;
            Ok((from, to))
        })
        .collect()
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

pub(crate) fn refused(why: &str) -> Error {
    Error::Snapshot(format!("the snapshot cannot be restored: {why}"))
}

pub(crate) fn damaged() -> Error {
    refused("it is damaged")
}
