//! Page faults of the current thread. A page of a slot becomes a private copy only through one.
//!
//! Linux counts each fault for the thread that meets it, also when a call of that thread meets it (`mm_account_fault`).
//! What else makes pages private, huge pages, is kept away from slots (`image::keep_small`). Protection for userfaultfd, soft-dirty
//! bits, swapping, merging of equal pages and copies by `fork` take write access away: they make faults, and hide none.
//! What asks a guest to end writes to its memory on the guest's own thread, while it is polled (`brake`).
//! Whether this holds here is tried out once.

use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that counts the page faults which happen while it is polled, on whatever thread that is.
pub struct CountFaults<F> {
    future: F,
    /// `None`: they cannot be counted.
    faults: Option<u64>,
}

impl<F> CountFaults<F> {
    /// Counts from now on.
    pub fn new(future: F) -> Self {
        Self {
            future,
            faults: Some(0),
        }
    }
}

impl<F: Future + Unpin> Future for CountFaults<F> {
    /// What the future returns, and the faults.
    type Output = (F::Output, Option<u64>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let before = of_this_thread();
        let polled = Pin::new(&mut self.future).poll(context);
        let during = before.and_then(|before| Some(of_this_thread()? - before));
        self.faults = self.faults.and_then(|faults| Some(faults + during?));
        polled.map(|output| (output, self.faults))
    }
}

#[cfg(target_os = "linux")]
fn of_this_thread() -> Option<u64> {
    linux::are_counted().then(linux::faults)?
}

#[cfg(not(target_os = "linux"))]
fn of_this_thread() -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::ptr::NonNull;
    use std::sync::OnceLock;

    use crate::PAGE;
    use crate::image::{keep_small, reserve};

    /// What a huge page has on most machines.
    const HUGE: usize = 2 << 20;

    pub(super) fn faults() -> Option<u64> {
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: the kernel fills the struct that the pointer is to.
        let failed = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        if failed != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so it is filled.
        let usage = unsafe { usage.assume_init() };
        u64::try_from(usage.ru_minflt + usage.ru_majflt).ok()
    }

    /// Whether a page of a slot becomes private through a fault that is counted, and in no other way. Other kernels that
    /// offer Linux's calls may always say zero.
    pub(super) fn are_counted() -> bool {
        static COUNTED: OnceLock<bool> = OnceLock::new();
        *COUNTED.get_or_init(|| probe().unwrap_or(false))
    }

    /// Writes to a page, asks for a huge one in its place, and looks whether writes to its neighbours are still faults.
    fn probe() -> Option<bool> {
        let range = reserve(2 * HUGE).ok()?;
        let offset = range.addr().get().next_multiple_of(HUGE) - range.addr().get();
        // SAFETY: the range was just mapped, for this function alone, which unmaps it and keeps nothing that points to it.
        unsafe {
            let start = range.add(offset);
            let writable = libc::PROT_READ | libc::PROT_WRITE;
            let usable = keep_small(range, 2 * HUGE).is_ok()
                && libc::mprotect(start.as_ptr().cast(), HUGE, writable) == 0;
            let counted = usable && {
                start.write_volatile(1);
                libc::madvise(start.as_ptr().cast(), HUGE, libc::MADV_COLLAPSE);
                is_counted(start.add(PAGE)) && is_counted(start.add(HUGE / 2))
            };
            libc::munmap(range.as_ptr().cast(), 2 * HUGE);
            Some(counted)
        }
    }

    /// Whether a write to a page is a fault that is counted.
    ///
    /// # Safety
    /// The page is mapped writable, and nobody else uses it.
    unsafe fn is_counted(page: NonNull<u8>) -> bool {
        let before = faults();
        // SAFETY: as this function's own contract.
        unsafe { page.write_volatile(1) };
        before < faults()
    }
}
