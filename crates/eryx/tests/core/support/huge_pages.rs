//! Huge pages on demand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Asks for huge pages in all memory of this process that is written to or shared, guests' and images among it.
#[cfg(target_os = "linux")]
pub(crate) fn ask_for_them() {
    const HUGE: usize = 2 << 20;
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let is_ours = |line: &&str| line.contains(" rw-p ") || line.contains(" r--s ");
    for line in maps.lines().filter(is_ours) {
        let range = line.split(' ').next().and_then(|range| {
            let (from, to) = range.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some((number(from)?, number(to)?))
        });
        let (from, to) = range.expect("a range");
        let from = from.next_multiple_of(HUGE);
        for at in (from..to.saturating_sub(HUGE - 1)).step_by(HUGE) {
            // SAFETY: the call changes no byte of this process's memory, and may fail for any range.
            unsafe { libc::madvise(at as *mut _, HUGE, libc::MADV_COLLAPSE) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for_them() {}

/// Does something while they are asked for again and again.
pub(crate) fn asked_for_meanwhile<T>(act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ask_for_them();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        // Also if it panics: the scope waits for the thread.
        let _done = Done(&done);
        act()
    })
}

/// Says so when it is dropped.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
