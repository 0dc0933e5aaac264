//! A storage as bytes. The format is in docs/vfs-snapshot.md.

use std::io::{self, BufReader, BufWriter, IntoInnerError, Read, Write};

use eryx_vfs::{MemoryFs, TreeError};
use sha2::{Digest, Sha256};

use super::{Storage, StorageError};
use crate::caps::DEFAULT_RESTORED_BYTES;

const MAGIC: [u8; 8] = *b"ERYX-VFS";
const VERSION: u32 = 1;
/// Magic, version, quota, bytes of the tree.
const HEADER: usize = 8 + 4 + 8 + 8;
const CHECKSUM: usize = 32;
const ZSTD_LEVEL: i32 = 3;
/// The window that a frame may ask for, as a power of two. Ours ask for 2 MiB.
const ZSTD_WINDOW: u32 = 23;
/// What a tree takes besides what is charged for it: its numbers, and the root.
const UNCHARGED: u64 = 1 << 10;

impl Storage {
    /// Everything in it as it is at one moment, compressed. Files that are unlinked but still open are not in it.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn snapshot(&self) -> Result<Vec<u8>, StorageError> {
        let files = self.files.fork();
        files.close_all();
        let written = write(&files);
        written.map_err(|error| StorageError::Snapshot(format!("no snapshot: {}", error.kind())))
    }

    /// A storage from what [`Storage::snapshot`] returned. `max_bytes` is its quota; without one, it is the quota that was
    /// saved, up to [`DEFAULT_RESTORED_BYTES`]. The bytes may come from anywhere: what they can make of memory is bounded
    /// by the quota.
    ///
    /// # Errors
    /// The bytes are no snapshot, are damaged, are of another version, or hold more than the quota.
    pub fn from_snapshot(bytes: &[u8], max_bytes: Option<u64>) -> Result<Self, StorageError> {
        read(bytes, max_bytes)
            .map(Self::of)
            .map_err(|message| StorageError::Snapshot(format!("snapshot: {message}")))
    }
}

fn write(files: &MemoryFs) -> io::Result<Vec<u8>> {
    let encoder = zstd::stream::write::Encoder::new(vec![0; HEADER], ZSTD_LEVEL)?;
    let mut tree = Counted {
        inner: BufWriter::new(encoder),
        count: 0,
    };
    files.save(&mut tree)?;
    let encoder = tree.inner.into_inner();
    let mut bytes = encoder.map_err(IntoInnerError::into_error)?.finish()?;
    let version = VERSION.to_le_bytes();
    let (quota, size) = (files.max_bytes().to_le_bytes(), tree.count.to_le_bytes());
    let header = [&MAGIC[..], &version, &quota, &size].concat();
    bytes[..HEADER].copy_from_slice(&header);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    Ok(bytes)
}

/// Counts what is written.
struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn read(bytes: &[u8], max_bytes: Option<u64>) -> Result<MemoryFs, String> {
    let (quota, size, frame) = parts(bytes)?;
    let quota = max_bytes.unwrap_or_else(|| quota.min(DEFAULT_RESTORED_BYTES));
    if size > quota.saturating_add(UNCHARGED) {
        return Err(TreeError::TooLarge(quota).to_string());
    }
    let mut tree = decoder(frame).map_err(|_| damaged())?.take(size);
    let files = MemoryFs::load(&mut tree, quota).map_err(|error| match error {
        TreeError::Unreadable(_) => damaged(),
        error => error.to_string(),
    })?;
    if tree.limit() > 0 || !matches!(tree.into_inner().read(&mut [0]), Ok(0)) {
        return Err("there is more in it than its files".into());
    }
    files.free_unused();
    Ok(files)
}

fn decoder(frame: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(BufReader::new(decoder))
}

/// The quota, the bytes of the tree, and the frame that holds it.
fn parts(bytes: &[u8]) -> Result<(u64, u64, &[u8]), String> {
    if !bytes.starts_with(&MAGIC) {
        return Err("expected bytes that VfsStorage.snapshot() returned".into());
    }
    let version = field(bytes, 8).map(u32::from_le_bytes);
    match version.ok_or_else(damaged)? {
        VERSION => {}
        other => {
            return Err(format!("it has format version {other}, expected {VERSION}"));
        }
    }
    let (content, checksum) = bytes
        .split_last_chunk::<CHECKSUM>()
        .filter(|(content, _)| content.len() >= HEADER)
        .ok_or_else(damaged)?;
    if Sha256::digest(content)[..] != checksum[..] {
        return Err(damaged());
    }
    let number = |at| field(content, at).map_or(0, u64::from_le_bytes);
    Ok((number(12), number(20), &content[HEADER..]))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn damaged() -> String {
    "it is truncated or damaged".into()
}
