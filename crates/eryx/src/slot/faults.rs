//! Page faults of the current thread. A page of a private mapping becomes a copy of its own only through one.

use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that counts the page faults which happen while it is polled, on whatever thread that is.
pub(crate) struct Counted<F> {
    future: F,
    /// `None`: they cannot be counted.
    faults: Option<u64>,
}

impl<F> Counted<F> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            future,
            faults: Some(0),
        }
    }
}

impl<F: Future + Unpin> Future for Counted<F> {
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
    use std::sync::OnceLock;

    use crate::image::{PAGE, reserve};

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

    /// Whether this kernel counts them: others that offer Linux's calls may always say zero.
    pub(super) fn are_counted() -> bool {
        static COUNTED: OnceLock<bool> = OnceLock::new();
        *COUNTED.get_or_init(|| probe().unwrap_or(false))
    }

    /// Makes one fault and looks whether it was counted.
    fn probe() -> Option<bool> {
        let page = reserve(PAGE).ok()?;
        // SAFETY: the page was just mapped, for this function alone, which unmaps it and keeps nothing that points to it.
        unsafe {
            let start = page.as_ptr();
            let writable = libc::PROT_READ | libc::PROT_WRITE;
            let usable = libc::mprotect(start.cast(), PAGE, writable) == 0;
            let before = faults();
            if usable {
                start.write_volatile(1);
            }
            let counted = usable && faults()? > before?;
            libc::munmap(start.cast(), PAGE);
            Some(counted)
        }
    }
}
