//! How long a thread has computed, read by another one.

use std::time::Duration;

/// The processor time of one thread. Readings of different threads do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    thread: ThreadClock,
    time: Duration,
}

impl Reading {
    /// How long the thread has computed since an earlier reading. `None`: that was another thread.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        (self.thread == earlier.thread).then(|| self.time.saturating_sub(earlier.time))
    }
}

/// The clock of a thread's processor time.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadClock(libc::clockid_t);

/// The clock of a thread's processor time: not known here.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadClock(());

#[cfg(target_os = "linux")]
impl ThreadClock {
    /// Of the thread that calls.
    #[must_use]
    pub fn own() -> Option<Self> {
        thread_local! {
            static OWN: Option<ThreadClock> = ThreadClock::find();
        }
        OWN.with(|own| *own)
    }

    fn find() -> Option<Self> {
        let mut clock = 0;
        // SAFETY: a valid thread, and a place for the answer.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        (failed == 0).then_some(Self(clock))
    }

    /// `None`: the thread has ended.
    #[must_use]
    pub fn read(self) -> Option<Reading> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the kernel refuses clocks that do not exist; a place for the answer.
        let failed = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
        let time = seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).ok()?);
        (failed == 0).then_some(Reading { thread: self, time })
    }
}

#[cfg(not(target_os = "linux"))]
impl ThreadClock {
    pub fn own() -> Option<Self> {
        None
    }

    pub fn read(self) -> Option<Reading> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_thread_counts() {
        let own = ThreadClock::own().expect("linux has them");
        let before = own.read().expect("it lives");
        let computed = std::thread::spawn(|| {
            let other = ThreadClock::own().expect("linux has them");
            let first = other.read().expect("it lives");
            let since = loop {
                let now = other.read().expect("it lives");
                let since = now.since(&first).expect("the same thread");
                if since >= Duration::from_millis(30) {
                    break since;
                }
            };
            (first, since)
        });
        let (other, since) = computed.join().expect("no panic");
        assert!(since >= Duration::from_millis(30));
        let after = own.read().expect("it lives");
        assert!(after.since(&before).expect("the same") < since);
        assert_eq!(after.since(&other), None);
    }
}
