//! Memory images: a linear memory and the mutable globals at one moment, ready to be mapped copy-on-write.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

/// Bytes of a host page. Images are made of whole wasm pages (64 KiB), which are multiples of it on every target.
pub(crate) const PAGE: usize = 4096;

const WRONG_SIZE: &str = "it does not have the size that the manifest says";

/// The frozen state of a guest. Cheap to share; a slot maps it without copying.
///
/// The file holds the memory from its first to its last page that is not zero; what lies around it is zero.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    /// Where the file's contents lie in memory.
    content: Range<usize>,
    view: View,
    globals: Vec<i32>,
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
                std::os::unix::fs::FileExt::write_all_at(&file, page, (index * PAGE) as u64)?;
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
        let view = View::new(&file, content.clone(), size)?;
        Ok(Self {
            file,
            content,
            view,
            globals,
        })
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.view.size
    }

    /// Maps the image copy-on-write at `at`, over whatever is mapped there.
    ///
    /// # Safety
    /// `size()` bytes at `at` belong to the caller, and nothing refers to them.
    pub(crate) unsafe fn map(&self, at: NonNull<u8>) -> io::Result<()> {
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the caller gives away the whole range, and the contents lie inside it.
        unsafe { map_zeros(at, self.size(), writable)? };
        // SAFETY: as above; private, so writes stay in this mapping.
        unsafe {
            map_file(
                &self.file,
                at.add(self.content.start),
                self.content.len(),
                writable,
                libc::MAP_PRIVATE,
            )
        }
    }

    /// Values of the mutable globals, in the order of the module's exports of them.
    pub(crate) fn globals(&self) -> &[i32] {
        &self.globals
    }

    /// The whole memory, read-only.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.view.bytes()
    }
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

/// Maps the first `size` bytes of `file` at `at`.
///
/// # Safety
/// The range belongs to the caller, and nothing refers to it.
unsafe fn map_file(
    file: &File,
    at: NonNull<u8>,
    size: usize,
    protection: libc::c_int,
    kind: libc::c_int,
) -> io::Result<()> {
    let flags = kind | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: as this function's own contract.
    mapped(unsafe {
        libc::mmap(
            at.as_ptr().cast(),
            size,
            protection,
            flags,
            file.as_raw_fd(),
            0,
        )
    })
    .map(drop)
}

/// Reserves `size` bytes of address space that nothing can be read from or written to.
pub(crate) fn reserve(size: usize) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) })
}

/// A read-only mapping of a file's contents, with zeros around them.
#[derive(Debug)]
struct View {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the mapping is read-only for its whole life, so threads may share it and pass it on.
unsafe impl Send for View {}
// SAFETY: as for Send.
unsafe impl Sync for View {}

impl View {
    fn new(file: &File, content: Range<usize>, size: usize) -> io::Result<Self> {
        let view = Self {
            start: reserve(size)?,
            size,
        };
        // SAFETY: the range was just reserved, for this value alone.
        unsafe { map_zeros(view.start, size, libc::PROT_READ)? };
        // SAFETY: as above; the callers checked that the contents lie inside.
        unsafe {
            map_file(
                file,
                view.start.add(content.start),
                content.len(),
                libc::PROT_READ,
                libc::MAP_SHARED,
            )?;
        };
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
        Ok(Self(View::new(&file, 0..size, size)?))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}
