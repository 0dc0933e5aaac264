//! Which pages of a private file mapping were written.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::PAGE;
use crate::ranges::Ranges;

/// How a slot finds the way back to its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreStrategy {
    /// Ask the kernel for written pages with the `PAGEMAP_SCAN` ioctl (Linux 6.7), copy those back.
    PagemapScan,
    /// Read `/proc/self/pagemap` (Linux), copy written pages back.
    Pagemap,
    /// Map the image afresh.
    Remap,
    /// Copy the whole image. Works everywhere.
    Copy,
}

/// What is known about a mapping.
pub(super) enum Written {
    /// All other pages are as in the image.
    Ranges(Arc<Ranges>),
    /// Nothing.
    Unknown,
    /// Nothing, and the mapping cannot be replaced.
    Everything,
}

pub(super) fn written_pages(
    strategy: RestoreStrategy,
    start: NonNull<u8>,
    size: usize,
) -> io::Result<Written> {
    match strategy {
        #[cfg(target_os = "linux")]
        RestoreStrategy::PagemapScan => {
            linux::scan(start, size).map(|found| Written::Ranges(found.into()))
        }
        #[cfg(target_os = "linux")]
        RestoreStrategy::Pagemap => {
            linux::read(start, size).map(|found| Written::Ranges(found.into()))
        }
        RestoreStrategy::Copy => Ok(Written::Everything),
        _ => Ok(Written::Unknown),
    }
}

impl RestoreStrategy {
    /// The fastest one that this machine offers.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_os = "linux")]
        {
            #[repr(align(4096))]
            struct Page([u8; PAGE]);
            // Any mapping will do: the question is whether the kernel answers.
            let probe = Page([0; PAGE]);
            let page = NonNull::from(&probe.0).cast();
            if linux::scan(page, PAGE).is_ok() {
                return Self::PagemapScan;
            }
            if linux::read(page, PAGE).is_ok() {
                return Self::Pagemap;
            }
            Self::Remap
        }
        #[cfg(not(target_os = "linux"))]
        Self::Copy
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::ptr::NonNull;
    use std::sync::OnceLock;

    use crate::PAGE;

    /// `struct pm_scan_arg` of `linux/fs.h`.
    #[repr(C)]
    #[derive(Default)]
    struct ScanArgument {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        vec: u64,
        vec_len: u64,
        max_pages: u64,
        category_inverted: u64,
        category_mask: u64,
        category_anyof_mask: u64,
        return_mask: u64,
    }

    /// `struct page_region` of `linux/fs.h`.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct PageRegion {
        start: u64,
        end: u64,
        categories: u64,
    }

    /// `_IOWR('f', 16, struct pm_scan_arg)`.
    const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
    const PAGE_IS_FILE: u64 = 1 << 2;
    const PAGE_IS_PRESENT: u64 = 1 << 3;
    const PAGE_IS_SWAPPED: u64 = 1 << 4;

    /// Opened once: it shows the tables of the process that opened it, also in one that was forked from that.
    fn pagemap() -> io::Result<&'static File> {
        static PAGEMAP: OnceLock<File> = OnceLock::new();
        crate::process::check()?;
        if let Some(file) = PAGEMAP.get() {
            return Ok(file);
        }
        let file = File::open("/proc/self/pagemap")?;
        Ok(PAGEMAP.get_or_init(|| file))
    }

    /// Pages that are private copies: in memory or swapped out, and not the file's own.
    pub(super) fn scan(start: NonNull<u8>, size: usize) -> io::Result<Vec<(usize, usize)>> {
        let base = start.addr().get() as u64;
        let end = base + size as u64;
        let mut regions = [PageRegion::default(); 512];
        let mut found = Vec::new();
        let mut at = base;
        while at < end {
            let mut argument = ScanArgument {
                size: size_of::<ScanArgument>() as u64,
                start: at,
                end,
                vec: regions.as_mut_ptr() as u64,
                vec_len: regions.len() as u64,
                category_inverted: PAGE_IS_FILE,
                category_mask: PAGE_IS_FILE,
                category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                return_mask: PAGE_IS_PRESENT,
                ..ScanArgument::default()
            };
            // SAFETY: the argument is the kernel's struct with its own size, and `vec` points to `vec_len` regions,
            // all alive during the call. The call only reads page tables.
            let count =
                unsafe { libc::ioctl(pagemap()?.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
            let Ok(count) = usize::try_from(count) else {
                return Err(io::Error::last_os_error());
            };
            found.extend(
                regions[..count]
                    .iter()
                    .map(|region| offsets(region.start - base, region.end - base)),
            );
            if argument.walk_end <= at {
                return Err(io::Error::other("PAGEMAP_SCAN made no progress"));
            }
            at = argument.walk_end;
        }
        Ok(found)
    }

    const ENTRY_PRESENT: u64 = 1 << 63;
    const ENTRY_SWAPPED: u64 = 1 << 62;
    const ENTRY_FILE: u64 = 1 << 61;

    /// The same from `/proc/self/pagemap`: eight bytes per page.
    pub(super) fn read(start: NonNull<u8>, size: usize) -> io::Result<Vec<(usize, usize)>> {
        let pages = size / PAGE;
        let mut entries = vec![0u8; pages * 8];
        pagemap()?.read_exact_at(&mut entries, (start.addr().get() / PAGE * 8) as u64)?;
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (page, entry) in entries.as_chunks::<8>().0.iter().enumerate() {
            let entry = u64::from_ne_bytes(*entry);
            if entry & (ENTRY_PRESENT | ENTRY_SWAPPED) == 0 || entry & ENTRY_FILE != 0 {
                continue;
            }
            let from = page * PAGE;
            match found.last_mut() {
                Some(last) if last.1 == from => last.1 += PAGE,
                _ => found.push((from, from + PAGE)),
            }
        }
        Ok(found)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "both lie inside a range whose length is a usize"
    )]
    fn offsets(from: u64, to: u64) -> (usize, usize) {
        (from as usize, to as usize)
    }
}
