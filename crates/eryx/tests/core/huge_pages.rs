//! The kernel may put a huge page in the place of small ones at any time, of which nobody wrote to most. Guests must not notice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eryx::Value;

use crate::session_support::{
    STUBBORN, TRAP, execute, failure, failure_with, session, value, with_each_strategy,
};
use crate::support::within;

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
        let acted = act();
        done.store(true, Ordering::Relaxed);
        acted
    })
}

/// Eight million bytes, of which every page is touched once and then some are.
const BEGIN: &str =
    "held = bytearray(8_000_000)\nheld[::4096] = b'\\1' * len(range(0, len(held), 4096))";
const WRITE: &str = "for at in range(0, len(held), 8192): held[at + 7] = 2";
const LOOK: &str = "[held.count(1), held.count(2), held.count(3)]";

fn seen(ones: i64, twos: i64) -> Value {
    Value::List(vec![ones.into(), twos.into(), 0.into()])
}

#[tokio::test]
async fn a_session_its_forks_and_what_it_falls_back_to() {
    with_each_strategy(async |runtime| {
        let base = session(runtime);
        let mut twos = 0;
        for code in [BEGIN, "pass", WRITE, "pass"] {
            execute(&base, code).await;
            ask_for_them();
            if code == WRITE {
                twos = 977;
            }
            // Nobody wrote to these pages before, and no fault tells that somebody does now.
            execute(&base, "held[4096 * 3 + 9] = 3").await;
            ask_for_them();
            execute(&base, "held[4096 * 3 + 9] = 0").await;
            let fork = base.fork(1).await.expect("room").remove(0);
            ask_for_them();
            assert_eq!(value(&fork, LOOK).await, seen(1954, twos), "{code}");
            let lost = failure(&base, &format!("held[:] = bytes(len(held))\n{TRAP}")).await;
            assert!(!lost.state_lost);
            ask_for_them();
            assert_eq!(value(&base, LOOK).await, seen(1954, twos), "{code}");
            let cut = format!("held[::4096] = b'\\3' * 1954\n{STUBBORN}");
            let lost = failure_with(&base, &cut, within(Duration::from_millis(200))).await;
            assert!(!lost.state_lost);
            assert_eq!(value(&base, LOOK).await, seen(1954, twos), "{code}");
            let bytes = base.snapshot().await.expect("a snapshot");
            ask_for_them();
            let other = session(runtime);
            other.restore(bytes).await.expect("it is good");
            assert_eq!(value(&other, LOOK).await, seen(1954, twos), "{code}");
        }
    })
    .await;
}
