//! Memory images: a linear memory and the mutable globals at one moment, ready to be mapped copy-on-write.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// Bytes of a host page. Images are made of whole wasm pages (64 KiB), which are multiples of it on every target.
pub(crate) const PAGE: usize = 4096;

const WRONG_SIZE: &str = "it does not have the size that the manifest says";

/// Ranges of one layer. Each is a mapping of its own, of which a process may have some ten thousand.
const MAX_RANGES: usize = 24;
/// Parts beyond which a new image has one layer again.
const MAX_PARTS: usize = 48;

/// The frozen state of a guest. Cheap to share; a slot maps it without copying.
///
/// An image is made of parts of files, the later ones above the earlier; what no part covers is zero.
#[derive(Debug)]
pub(crate) struct Image {
    parts: Vec<Part>,
    size: usize,
    view: OnceLock<View>,
    globals: Vec<i32>,
}

/// Pages of a file and where they lie in memory.
#[derive(Clone, Debug)]
struct Part {
    file: Arc<File>,
    offset: u64,
    at: Range<usize>,
}

impl Image {
    /// A memory of `size` bytes that holds the whole of `path` at `content`. The file must not change while the image
    /// lives.
    pub(crate) fn open(
        path: &Path,
        content: Range<usize>,
        size: usize,
        globals: Vec<i32>,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() != content.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, WRONG_SIZE));
        }
        Self::from_file(file, content, size, globals)
    }

    /// An image of `memory`, held in an anonymous file. Pages of zeros take no room.
    pub(crate) fn from_memory(memory: &[u8], globals: Vec<i32>) -> io::Result<Self> {
        let file = anonymous_file()?;
        file.set_len(memory.len() as u64)?;
        for (index, page) in memory.chunks(PAGE).enumerate() {
            if page.iter().any(|&byte| byte != 0) {
                file.write_all_at(page, (index * PAGE) as u64)?;
            }
        }
        Self::from_file(file, 0..memory.len(), memory.len(), globals)
    }

    fn from_file(
        file: File,
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
            file: Arc::new(file),
            offset: 0,
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
    pub(crate) fn layered(&self, memory: &[u8], changed: &[(usize, usize)]) -> io::Result<Self> {
        let flat = self.parts.len() + changed.len() > MAX_PARTS;
        let ranges = if flat {
            coalesced(self.above_first(changed))
        } else {
            changed.to_vec()
        };
        let layer = Layer::new(ranges)?;
        for &(from, to) in &layer.ranges {
            layer.write(from, &memory[from..to])?;
        }
        let below = if flat { &self.parts[..1] } else { &self.parts };
        self.above(below, &layer, memory.len())
    }

    /// This image with a layer above it.
    pub(crate) fn with(&self, layer: &Layer, size: usize) -> io::Result<Self> {
        self.above(&self.parts, layer, size)
    }

    fn above(&self, below: &[Part], layer: &Layer, size: usize) -> io::Result<Self> {
        // A page that lies behind the end of its file cannot be read.
        layer.file.set_len(layer.size())?;
        Ok(Self {
            parts: below.iter().cloned().chain(layer.parts()).collect(),
            size,
            view: OnceLock::new(),
            globals: self.globals.clone(),
        })
    }

    /// The ranges of all parts but the first, and `more`, joined where they are near each other.
    pub(crate) fn above_first(&self, more: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let parts = self.parts[1..]
            .iter()
            .map(|part| (part.at.start, part.at.end));
        joined(parts.chain(more.iter().copied()).collect(), 0)
    }

    /// How many mappings a slot has that this is mapped in: each part may cut one in two.
    pub(crate) fn mappings(&self) -> usize {
        2 * self.parts.len() + 2
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Maps the image copy-on-write at `at`, over whatever is mapped there.
    ///
    /// # Safety
    /// `size()` bytes at `at` belong to the caller, and nothing refers to them.
    pub(crate) unsafe fn map(&self, at: NonNull<u8>) -> io::Result<()> {
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the caller gives away the whole range; private, so writes stay in this mapping.
        unsafe { map_parts(&self.parts, at, self.size, writable, libc::MAP_PRIVATE) }
    }

    /// Values of the mutable globals, in the order of the module's exports of them.
    pub(crate) fn globals(&self) -> &[i32] {
        &self.globals
    }

    fn view(&self) -> io::Result<&View> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = View::new(&self.parts, self.size)?;
        Ok(self.view.get_or_init(|| view))
    }

    /// The whole memory, mapped as long as the value lives, if it is not anyway.
    pub(crate) fn readable(&self) -> io::Result<Readable<'_>> {
        match self.view.get() {
            Some(view) => Ok(Readable::Mapped(view)),
            None => View::new(&self.parts, self.size).map(Readable::Own),
        }
    }

    /// The whole memory, read-only.
    pub(crate) fn bytes(&self) -> io::Result<&[u8]> {
        Ok(self.view()?.bytes())
    }
}

/// A memory to be read.
pub(crate) enum Readable<'a> {
    Mapped(&'a View),
    Own(View),
}

impl Readable<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(view) => view.bytes(),
            Self::Own(view) => view.bytes(),
        }
    }
}

/// Ranges of a memory in the making, in a file of their own. What is not written is zero.
pub(crate) struct Layer {
    file: Arc<File>,
    ranges: Vec<(usize, usize)>,
}

impl Layer {
    /// The ranges are whole pages, ascending, apart from each other.
    pub(crate) fn new(ranges: Vec<(usize, usize)>) -> io::Result<Self> {
        let file = Arc::new(anonymous_file()?);
        Ok(Self { file, ranges })
    }

    /// Whether one of the ranges has all of these addresses.
    pub(crate) fn has(&self, at: &Range<usize>) -> bool {
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
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let offset = self.offset(&(at..at + bytes.len()));
        let offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        self.file.write_all_at(bytes, offset)
    }

    fn parts(&self) -> impl Iterator<Item = Part> {
        let mut offset = 0;
        self.ranges.iter().map(move |&(from, to)| {
            let part = Part {
                file: Arc::clone(&self.file),
                offset,
                at: from..to,
            };
            offset += (to - from) as u64;
            part
        })
    }

    fn size(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(from, to)| (to - from) as u64)
            .sum()
    }
}

/// The ranges joined into few: with what lies between them, if that is little.
fn coalesced(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut gap = 4 * PAGE;
    ranges = joined(ranges, gap);
    while ranges.len() > MAX_RANGES {
        gap *= 2;
        ranges = joined(ranges, gap);
    }
    ranges
}

/// Ranges in ascending order, those joined that are at most `gap` apart.
pub(crate) fn joined(mut ranges: Vec<(usize, usize)>, gap: usize) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (from, to) in ranges {
        match found.last_mut() {
            Some(last) if from <= last.1 + gap => last.1 = last.1.max(to),
            _ => found.push((from, to)),
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string, and the call has no other requirement.
    let fd = unsafe { libc::memfd_create(c"eryx-image".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!(
        "eryx-image-{}-{:p}",
        std::process::id(),
        &raw const PAGE
    ));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What `mmap` returned, checked.
pub(crate) fn mapped(start: *mut libc::c_void) -> io::Result<NonNull<u8>> {
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(start),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Maps fresh zeros over `size` bytes at `at`.
///
/// # Safety
/// The range belongs to the caller, and nothing refers to it.
pub(crate) unsafe fn map_zeros(
    at: NonNull<u8>,
    size: usize,
    protection: libc::c_int,
) -> io::Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: as this function's own contract.
    mapped(unsafe { libc::mmap(at.as_ptr().cast(), size, protection, flags, -1, 0) }).map(drop)
}

/// Maps parts, with zeros around them, over `size` bytes at `at`.
///
/// # Safety
/// The range belongs to the caller, and nothing refers to it.
unsafe fn map_parts(
    parts: &[Part],
    at: NonNull<u8>,
    size: usize,
    protection: libc::c_int,
    kind: libc::c_int,
) -> io::Result<()> {
    // SAFETY: as this function's own contract.
    unsafe { map_zeros(at, size, protection)? };
    for part in parts {
        debug_assert!(part.at.end <= size, "checked where parts are made");
        let flags = kind | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let offset = libc::off_t::try_from(part.offset).map_err(io::Error::other)?;
        // SAFETY: as this function's own contract: a part lies inside the range.
        mapped(unsafe {
            libc::mmap(
                at.add(part.at.start).as_ptr().cast(),
                part.at.len(),
                protection,
                flags,
                part.file.as_raw_fd(),
                offset,
            )
        })?;
    }
    Ok(())
}

/// Reserves `size` bytes of address space that nothing can be read from or written to.
pub(crate) fn reserve(size: usize) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) })
}

/// A read-only mapping of parts, with zeros around them.
#[derive(Debug)]
pub(crate) struct View {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the mapping is read-only for its whole life, so threads may share it and pass it on.
unsafe impl Send for View {}
// SAFETY: as for Send.
unsafe impl Sync for View {}

impl View {
    fn new(parts: &[Part], size: usize) -> io::Result<Self> {
        let view = Self {
            start: reserve(size)?,
            size,
        };
        // SAFETY: the range was just reserved, for this value alone.
        unsafe { map_parts(parts, view.start, size, libc::PROT_READ, libc::MAP_SHARED)? };
        Ok(view)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `size` readable bytes are mapped until `self` is dropped, and nothing writes to them: the mapping is
        // read-only, and the file behind it is anonymous or belongs to the package, which does not change.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made; no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// A whole file, mapped read-only.
#[derive(Debug)]
pub(crate) struct MappedFile(View);

impl MappedFile {
    /// The file must not change while the mapping lives.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let part = Part {
            file: Arc::new(file),
            offset: 0,
            at: 0..size,
        };
        Ok(Self(View::new(&[part], size)?))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}
