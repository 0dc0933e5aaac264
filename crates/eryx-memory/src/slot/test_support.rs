//! What a guest, the kernel and other processes do to a slot, for tests.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::{CountFaults, Slot};

/// What a future that never waits returns.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// The kernel's huge pages on most machines.
const HUGE: usize = 2 << 20;

impl Slot {
    /// Does what a run does, and returns its page faults.
    pub(crate) fn run(&mut self, act: impl FnOnce(&mut [u8])) -> Option<u64> {
        let size = self.0.space.accessible();
        // SAFETY: no instance has the slot, and it is borrowed as long as the slice lives.
        let memory = unsafe { self.0.space.bytes_mut(0, size) };
        let run = std::pin::pin!(async { act(memory) });
        let ((), faults) = now(CountFaults::new(run));
        self.0.private.ran(faults);
        faults
    }

    /// Where huge pages would fit.
    fn huge(&self) -> std::iter::StepBy<std::ops::Range<usize>> {
        let start = self.0.space.start().addr().get();
        let end = start + self.0.space.accessible();
        (start.next_multiple_of(HUGE)..end.saturating_sub(HUGE - 1)).step_by(HUGE)
    }

    /// Asks for huge pages in its place. The kernel may refuse.
    #[cfg(target_os = "linux")]
    pub(crate) fn ask_for_huge_pages(&self) {
        for at in self.huge() {
            // SAFETY: the call changes no byte of the memory.
            unsafe { libc::madvise(at as *mut _, HUGE, libc::MADV_COLLAPSE) };
        }
    }

    /// Has another process ask, which is made for that and makes all pages shared for a while.
    #[cfg(target_os = "linux")]
    pub(crate) fn have_huge_pages_asked_for(&self) {
        // SAFETY: the child makes system calls only, and ends.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let parent = libc::syscall(libc::SYS_pidfd_open, libc::getppid(), 0);
                for at in self.huge() {
                    let range = libc::iovec {
                        iov_base: at as *mut _,
                        iov_len: HUGE,
                    };
                    let range = &raw const range;
                    let advice = libc::MADV_COLLAPSE;
                    libc::syscall(libc::SYS_process_madvise, parent, range, 1, advice, 0);
                }
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn ask_for_huge_pages(&self) {}

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn have_huge_pages_asked_for(&self) {}
}
