//! Calls of `mmap`.

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

use super::{Backing, Part, Shown};

/// What `mmap` returned, checked.
fn mapped(start: *mut libc::c_void) -> io::Result<NonNull<u8>> {
    match NonNull::new(start.cast::<u8>()) {
        Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(start),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reserves `size` bytes of address space that nothing can be read from or written to.
pub(crate) fn reserve(size: usize) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) })
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

/// Keeps the kernel from making huge pages of what is mapped in a range: such a one takes the place of small ones and is
/// private as a whole, though nobody wrote to most of it. New mappings in the range have to be kept from it anew.
///
/// From madvise(2): a range with `MADV_NOHUGEPAGE` is left alone by faults, by khugepaged and by `MADV_COLLAPSE`, also when
/// another process asks. A kernel that refuses it has no huge pages. `slot::faults` tries this out.
///
/// # Safety
/// The range is mapped, and belongs to the caller.
pub(crate) unsafe fn keep_small(at: NonNull<u8>, size: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes no byte of a mapping that is the caller's.
    if unsafe { libc::madvise(at.as_ptr().cast(), size, libc::MADV_NOHUGEPAGE) } != 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, size);
    Ok(())
}

/// Maps parts, with zeros around them, over `size` bytes at `at`.
///
/// # Safety
/// The range belongs to the caller, and nothing refers to it.
pub(super) unsafe fn map_parts(
    parts: &[Part],
    at: NonNull<u8>,
    size: usize,
    protection: libc::c_int,
    kind: libc::c_int,
) -> io::Result<()> {
    // SAFETY: as this function's own contract.
    unsafe { map_zeros(at, size, protection)? };
    for part in parts {
        if part.at.end > size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = kind | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let offset = libc::off_t::try_from(part.shown.offset()).map_err(io::Error::other)?;
        // SAFETY: as this function's own contract: the part lies inside the range.
        mapped(unsafe {
            libc::mmap(
                at.add(part.at.start).as_ptr().cast(),
                part.at.len(),
                protection,
                flags,
                part.shown.file().descriptor(),
                offset,
            )
        })?;
    }
    Ok(())
}

/// A read-only mapping of parts, with zeros around them. It shows them as long as whoever made it keeps them.
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
    pub(super) fn new(parts: &[Part], size: usize) -> io::Result<Self> {
        let view = Self {
            start: reserve(size)?,
            size,
        };
        // SAFETY: the range was just reserved, for this value alone.
        unsafe { map_parts(parts, view.start, size, libc::PROT_READ, libc::MAP_SHARED)? };
        Ok(view)
    }

    pub(super) fn bytes(&self) -> &[u8] {
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
pub struct MappedFile(View);

impl MappedFile {
    /// The file must not change while the mapping lives.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let at = 0..usize::try_from(size).map_err(io::Error::other)?;
        let shown = Shown::new(&Backing::of(file), 0..size);
        let view = View::new(
            &[Part {
                shown,
                at: at.clone(),
            }],
            at.end,
        )?;
        Ok(Self(view))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}
