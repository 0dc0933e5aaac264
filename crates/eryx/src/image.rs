//! Memory images: a linear memory and the mutable globals at one moment, ready to be mapped copy-on-write.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;

/// Bytes of a host page. Images are made of whole wasm pages (64 KiB), which are multiples of it on every target.
pub(crate) const PAGE: usize = 4096;

/// The frozen state of a guest. Cheap to share; a slot maps it without copying.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    view: View,
    globals: Vec<i32>,
}

impl Image {
    /// Maps `path`, whose first `size` bytes are the memory. The file must not change while the image lives.
    pub(crate) fn open(path: &Path, size: usize, globals: Vec<i32>) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() < size as u64 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the memory image is shorter than its manifest says",
            ));
        }
        Self::from_file(file, size, globals)
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
        Self::from_file(file, memory.len(), globals)
    }

    fn from_file(file: File, size: usize, globals: Vec<i32>) -> io::Result<Self> {
        if size == 0 || size % PAGE != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory image is not made of whole pages",
            ));
        }
        let view = View::new(&file, size)?;
        Ok(Self {
            file,
            view,
            globals,
        })
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.view.size
    }

    /// Values of the mutable globals, in the order of the module's exports of them.
    pub(crate) fn globals(&self) -> &[i32] {
        &self.globals
    }

    /// The whole memory, read-only.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.view.bytes()
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
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

/// A read-only mapping of the whole file.
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
    fn new(file: &File, size: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        Ok(Self {
            start: mapped(start)?,
            size,
        })
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
        Ok(Self(View::new(&file, size)?))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}
