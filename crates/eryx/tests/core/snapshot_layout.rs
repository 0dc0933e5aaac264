//! Snapshots taken apart. The layout is in docs/snapshot-format.md; this is the one place of the
//! tests that knows it.

use twox_hash::XxHash3_128;

/// Where the fields of the header are.
pub(crate) const VERSION_AT: usize = 8;
pub(crate) const KIND_AT: usize = 12;
pub(crate) const RUNTIME_AT: usize = 16;
pub(crate) const MEMORY_AT: usize = 48;
const HEADER: usize = 88;
const RUNS_AT: usize = 56;
const HOST_SIZE_AT: usize = 60;
const PACKED_AT: usize = 64;
const CHECKSUM: usize = 16;

/// A snapshot or checkpoint in parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    header: Vec<u8>,
    host: Vec<u8>,
    /// First page and number of pages.
    runs: Vec<(u32, u32)>,
    packed: Vec<u8>,
    /// Of files.
    trees: Vec<u8>,
}

/// Not the contents: they are long.
impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout")
            .field("host", &self.host.len())
            .field("runs", &self.runs)
            .field("packed", &self.packed.len())
            .finish_non_exhaustive()
    }
}

impl Layout {
    /// Takes bytes apart that are good.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let body = &bytes[..bytes.len() - CHECKSUM];
        let (header, rest) = body.split_at(HEADER);
        let (host, rest) = rest.split_at(u32_at(header, HOST_SIZE_AT) as usize);
        let (runs, rest) = rest.split_at(8 * u32_at(header, RUNS_AT) as usize);
        let packed = usize::try_from(u64_at(header, PACKED_AT)).expect("it was written here");
        let (packed, trees) = rest.split_at(packed);
        let (runs, _) = runs.as_chunks::<8>();
        Self {
            header: header.to_vec(),
            host: host.to_vec(),
            runs: runs
                .iter()
                .map(|run| (u32_at(run, 0), u32_at(run, 4)))
                .collect(),
            packed: packed.to_vec(),
            trees: trees.to_vec(),
        }
    }

    /// Only what tells of the memory.
    pub(crate) fn memory(self) -> Self {
        Self {
            header: self.header[MEMORY_AT..RUNS_AT].to_vec(),
            host: Vec::new(),
            trees: Vec::new(),
            ..self
        }
    }

    /// Bytes of linear memory.
    pub(crate) fn memory_size(&self) -> u64 {
        u64_at(&self.header, MEMORY_AT)
    }
}

/// Puts the right checksum behind a body that was changed. Bytes that are too short to have one are left alone.
pub(crate) fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(end) = bytes.len().checked_sub(CHECKSUM) else {
        return bytes;
    };
    let checksum = XxHash3_128::oneshot(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"))
}
