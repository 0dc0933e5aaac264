//! A host that watches its own memory through userfaultfd, with a thread that resolves the faults.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

// From `linux/userfaultfd.h`.
const USER_MODE_ONLY: libc::c_int = 1;
const API: libc::c_ulong = 0xC018_AA3F;
const REGISTER: libc::c_ulong = 0xC020_AA00;
const WRITE_PROTECT: libc::c_ulong = 0xC018_AA06;
const ZERO_PAGE: libc::c_ulong = 0xC020_AA04;
const FEATURES: u64 = 1 | 1 << 12;
const MISSING: u64 = 1;
const WRITE_PROTECTED: u64 = 2;
const FAULT_OF_WRITE_PROTECTION: u64 = 2;

/// `None`: this kernel does not offer it to this process.
fn open() -> Option<File> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | USER_MODE_ONLY;
    // SAFETY: the call has no requirement.
    let descriptor = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
    let descriptor = i32::try_from(descriptor).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: it was just made, and nobody else knows it.
    let file = unsafe { File::from_raw_fd(descriptor) };
    ask(&file, API, [0xAA, FEATURES, 0, 0]).then_some(file)
}

fn ask(file: &File, what: libc::c_ulong, mut argument: [u64; 4]) -> bool {
    // SAFETY: none of the structs is larger than the array, and the ranges in them are those of a test's own slot.
    unsafe { libc::ioctl(file.as_raw_fd(), what, argument.as_mut_ptr()) == 0 }
}

/// Resolves faults as a kernel without a watcher does.
fn resolve(file: &File, done: &AtomicBool) {
    let mut message = [0; 32];
    while !done.load(Ordering::Relaxed) {
        if (&mut &*file).read(&mut message).is_err() {
            std::thread::yield_now();
            continue;
        }
        let word = |at: usize| u64::from_ne_bytes(message[at..at + 8].try_into().expect("eight"));
        let page = word(16) / PAGE as u64 * PAGE as u64;
        let what = if word(8) & FAULT_OF_WRITE_PROTECTION == 0 {
            ZERO_PAGE
        } else {
            WRITE_PROTECT
        };
        ask(file, what, [page, PAGE as u64, 0, 0]);
    }
}

#[test]
fn watched_memory_is_found_and_put_back() {
    let Some(file) = open() else {
        return eprintln!("userfaultfd is not offered here");
    };
    for strategy in STRATEGIES {
        let image = image(64);
        let mut slot = slot(&image);
        slot.resting().grow(128 * PAGE).expect("grows");
        // Some pages are private before.
        assert!(write(&mut slot, &[3, 70], 1).is_some_and(|faults| faults >= 2));
        let start = slot.0.space.start().addr().get() as u64;
        let (half, second) = (64 * PAGE as u64, start + 64 * PAGE as u64);
        let watched = ask(&file, REGISTER, [start, half, WRITE_PROTECTED, 0])
            && ask(
                &file,
                REGISTER,
                [second, half, MISSING | WRITE_PROTECTED, 0],
            )
            && ask(&file, WRITE_PROTECT, [start, 2 * half, 1, 0]);
        if !watched {
            return eprintln!("this kernel does not watch writes");
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| resolve(&file, &done));
            for pages in [&[3, 5, 70, 90][..], &[3, 70], &[6, 91]] {
                let _ = write(&mut slot, pages, 0xEE);
                let written = slot.resting().written(strategy).expect("is told");
                for page in pages {
                    let at = page * PAGE;
                    assert!(written.iter().any(|&(from, to)| from <= at && at < to));
                }
            }
            slot.resting().restore(strategy).expect("restores");
            assert!(is_as(&mut slot, &image), "{strategy:?}");
            done.store(true, Ordering::Relaxed);
        });
    }
}
