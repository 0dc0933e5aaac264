//! Files that hold pages of images, and which of their pages are still needed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file of pages. Those that nothing shows any more are given back to the kernel.
#[derive(Debug)]
pub(super) struct Backing {
    file: File,
    /// Made by us, in memory. `false`: a file of the package, which stays as it is.
    own: bool,
    /// Ranges of the file that are shown, and by how many.
    shown: Mutex<BTreeMap<(u64, u64), usize>>,
}

impl Backing {
    /// A file that is not changed.
    pub(super) fn of(file: File) -> Arc<Self> {
        Self::new(file, false)
    }

    /// An empty file without a name.
    pub(super) fn anonymous() -> io::Result<Arc<Self>> {
        Ok(Self::new(anonymous_file()?, true))
    }

    fn new(file: File, own: bool) -> Arc<Self> {
        Arc::new(Self {
            file,
            own,
            shown: Mutex::default(),
        })
    }

    pub(super) fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    pub(super) fn descriptor(&self) -> libc::c_int {
        self.file.as_raw_fd()
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<(u64, u64), usize>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, range: &Range<u64>) {
        *self.shown().entry((range.start, range.end)).or_default() += 1;
    }

    /// One less shows `range`. What nothing else shows of it takes no memory any more.
    fn hide(&self, range: &Range<u64>) {
        let key = (range.start, range.end);
        let mut shown = self.shown();
        if let Some(count) = shown.get_mut(&key)
            && *count > 1
        {
            *count -= 1;
            return;
        }
        shown.remove(&key);
        // Still locked: whoever shows more of this file meanwhile copies it from one who shows it already.
        if self.own {
            let mut at = range.start;
            for &(from, to) in shown.keys() {
                if from < range.end && at < to {
                    self.punch(at..from);
                    at = to;
                }
            }
            self.punch(at..range.end);
        }
    }

    /// Gives pages back. If the kernel refuses, they stay until the file is closed.
    #[cfg(target_os = "linux")]
    fn punch(&self, range: Range<u64>) {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (Ok(at), Ok(size)) = (
            libc::off_t::try_from(range.start),
            libc::off_t::try_from(range.end.saturating_sub(range.start)),
        ) else {
            return;
        };
        if size > 0 {
            // SAFETY: the descriptor is ours, and no slice shows this range: each view's image holds on to what it shows.
            unsafe { libc::fallocate(self.descriptor(), mode, at, size) };
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn punch(&self, _: Range<u64>) {}

    /// Bytes of memory that the file takes, if it is one of ours.
    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let blocks = self.file.metadata().map_or(0, |metadata| metadata.blocks());
        if self.own { blocks * 512 } else { 0 }
    }
}

/// A range of a file. Its pages are kept as long as this lives.
#[derive(Debug)]
pub(super) struct Shown {
    file: Arc<Backing>,
    range: Range<u64>,
}

impl Shown {
    /// The range must be one that was not shown before, or is shown by another value now.
    pub(super) fn new(file: &Arc<Backing>, range: Range<u64>) -> Self {
        file.show(&range);
        Self {
            file: Arc::clone(file),
            range,
        }
    }

    pub(super) fn file(&self) -> &Arc<Backing> {
        &self.file
    }

    pub(super) fn offset(&self) -> u64 {
        self.range.start
    }

    /// `size` bytes from `skip` on.
    pub(super) fn piece(&self, skip: u64, size: u64) -> Self {
        let start = self.range.start + skip;
        Self::new(&self.file, start..start + size)
    }
}

impl Clone for Shown {
    fn clone(&self) -> Self {
        Self::new(&self.file, self.range.clone())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.file.hide(&self.range);
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let path = std::env::temp_dir().join(format!(
        "eryx-image-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn pages(range: Range<u64>) -> Range<u64> {
        range.start * PAGE..range.end * PAGE
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_nothing_shows_takes_no_memory() {
        let file = Backing::anonymous().expect("a file");
        file.set_len(100 * PAGE).expect("room");
        for page in 0..100 {
            file.write_at(&[1; 4096], page * PAGE).expect("room");
        }
        let all = Shown::new(&file, pages(0..100));
        let again = all.clone();
        let middle = all.piece(40 * PAGE, 20 * PAGE);
        let overlapping = all.piece(50 * PAGE, 20 * PAGE);
        drop(all);
        assert_eq!(file.memory(), 100 * PAGE);
        drop(again);
        assert_eq!(file.memory(), 30 * PAGE);
        drop(middle);
        assert_eq!(file.memory(), 20 * PAGE);
        let last = overlapping.piece(19 * PAGE, PAGE);
        drop(overlapping);
        assert_eq!(file.memory(), PAGE);
        drop(last);
        assert_eq!(file.memory(), 0);
    }

    #[test]
    fn a_file_of_the_package_stays_as_it_is() {
        let path = std::env::temp_dir().join(format!("eryx-backing-{}", std::process::id()));
        std::fs::write(&path, [7; 8192]).expect("a file");
        let file = Backing::of(File::options().read(true).open(&path).expect("it is there"));
        drop(Shown::new(&file, 0..8192));
        assert_eq!(std::fs::read(&path).expect("it is there"), [7; 8192]);
        std::fs::remove_file(&path).expect("it is ours");
    }
}
