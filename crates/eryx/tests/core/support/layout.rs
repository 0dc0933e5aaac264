//! Snapshots taken apart and put together again. The layout is in docs/snapshot-format.md; this is the one place of the
//! tests that knows it.

use std::io::Read as _;

use twox_hash::XxHash3_128;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// Where the fields of the header are.
pub(crate) const VERSION_AT: usize = 8;
pub(crate) const KIND_AT: usize = 12;
pub(crate) const RUNTIME_AT: usize = 16;
pub(crate) const MEMORY_AT: usize = 48;
pub(crate) const HEADER: usize = 88;
pub(crate) const RUNS_AT: usize = 56;
pub(crate) const HOST_SIZE_AT: usize = 60;
pub(crate) const PACKED_SIZE_AT: usize = 64;
const CHECKSUM: usize = 16;
/// The bit of a run's number of pages that says that their XOR with the image's is saved.
pub(crate) const XORED: u32 = 1 << 31;
/// Items of the list that the host's part is.
pub(crate) const FILES: usize = 3;
pub(crate) const LAST_CALL: usize = 4;
pub(crate) const OPEN_CALLS: usize = 5;

/// A snapshot or checkpoint in parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// As it was; sizes and counts in it are put right by [`Layout::assembled`].
    pub(crate) header: Vec<u8>,
    /// One value in the wire format.
    pub(crate) host: Vec<u8>,
    /// First page, and number of pages with [`XORED`].
    pub(crate) runs: Vec<(u32, u32)>,
    /// What is saved of the pages of all runs.
    pub(crate) packed: Vec<u8>,
    /// The packed trees of files, one behind the other.
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
        let packed = usize::try_from(u64_at(header, PACKED_SIZE_AT)).expect("it was written here");
        let (packed, trees) = rest.split_at(packed);
        let mut layout = Self {
            header: header.to_vec(),
            host: host.to_vec(),
            runs: Vec::new(),
            packed: packed.to_vec(),
            trees: trees.to_vec(),
        };
        layout.set_run_table(runs);
        layout
    }

    /// The runs as they are written.
    pub(crate) fn run_table(&self) -> Vec<u8> {
        let numbers = self.runs.iter().flat_map(|&(first, count)| [first, count]);
        numbers.flat_map(u32::to_le_bytes).collect()
    }

    pub(crate) fn set_run_table(&mut self, table: &[u8]) {
        let (runs, _) = table.as_chunks::<8>();
        let runs = runs.iter().map(|run| (u32_at(run, 0), u32_at(run, 4)));
        self.runs = runs.collect();
    }

    /// The bytes, with sizes and checksum that are right.
    pub(crate) fn assembled(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        let count = |count: usize| u32::try_from(count).expect("small").to_le_bytes();
        bytes[RUNS_AT..][..4].copy_from_slice(&count(self.runs.len()));
        bytes[HOST_SIZE_AT..][..4].copy_from_slice(&count(self.host.len()));
        let packed_size = (self.packed.len() as u64).to_le_bytes();
        bytes[PACKED_SIZE_AT..][..8].copy_from_slice(&packed_size);
        bytes.extend_from_slice(&self.host);
        bytes.extend(self.run_table());
        bytes.extend_from_slice(&self.packed);
        bytes.extend_from_slice(&self.trees);
        bytes.extend([0; CHECKSUM]);
        signed(bytes)
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

    /// How many pages are saved.
    pub(crate) fn count(&self) -> u32 {
        self.runs.iter().map(|(_, count)| count & !XORED).sum()
    }

    /// What is saved of all pages.
    pub(crate) fn pages(&self) -> Vec<u8> {
        let mut pages = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::new(&*self.packed).expect("memory");
        decoder.read_to_end(&mut pages).expect("it is good");
        pages
    }

    /// Saves something else of all pages.
    pub(crate) fn set_pages(&mut self, pages: &[u8]) {
        self.packed = zstd::encode_all(pages, 1).expect("memory");
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
