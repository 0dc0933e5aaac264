//! Sessions that nobody uses for long: what is kept of their memory is packed.
//!
//! One task does this for all sessions, one after the other, so that it never takes more than one thread. It lives as long as
//! sessions are listed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::Inner;
use super::command::Command;
use crate::threads::workers;

/// The time, in nanoseconds since this was asked first.
pub(super) fn now() -> u64 {
    let since = Instant::now().duration_since(beginning());
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

#[derive(Default)]
struct List {
    /// By the time when they may have rested long enough, and a number.
    sessions: BTreeMap<(Instant, u64), Weak<Inner>>,
    /// The task is there.
    is_served: bool,
}

static LIST: Mutex<List> = Mutex::new(List {
    sessions: BTreeMap::new(),
    is_served: false,
});
/// A session was listed that is to be looked at before those that were.
static EARLIER: Notify = Notify::const_new();

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The session rests from now on. It is packed if it does so for long enough.
pub(super) fn expect_sleep(session: &Arc<Inner>) {
    if session.is_packed.load(Ordering::Relaxed) {
        return;
    }
    session.used.store(now(), Ordering::Relaxed);
    if !session.is_listed.swap(true, Ordering::AcqRel) {
        session.list();
    }
}

impl Inner {
    /// When it will have rested long enough, if nobody uses it until then. `None`: never.
    fn due(&self) -> Option<Instant> {
        let used = Duration::from_nanos(self.used.load(Ordering::Relaxed));
        beginning()
            .checked_add(used)?
            .checked_add(self.context.config.sleep_after)
    }

    fn list(self: &Arc<Self>) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Some(due) = self.due() else { return };
        let mut list = list();
        let key = (due, NUMBER.fetch_add(1, Ordering::Relaxed));
        list.sessions.insert(key, Arc::downgrade(self));
        if !std::mem::replace(&mut list.is_served, true) {
            workers::spawn(serve());
        } else if list.sessions.first_key_value().map(|(first, _)| first) == Some(&key) {
            EARLIER.notify_one();
        }
    }

    /// Packs its memory if it has rested for long enough. Otherwise it is listed again: now, or when it rests.
    async fn pack_if_due(self: Arc<Self>) {
        if self.due().is_none_or(|due| Instant::now() < due) {
            return self.list();
        }
        // Before the look at the queue: whoever comes to rest after it lists the session.
        self.is_listed.store(false, Ordering::Release);
        if self.push_if_idle(Command::Pack) {
            let (sender, receiver) = oneshot::channel();
            self.push_end(sender);
            drop(receiver.await);
        }
    }
}

async fn serve() {
    while let Some(due) = next_due() {
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = EARLIER.notified() => continue,
        }
        let first = list().sessions.pop_first();
        if let Some(session) = first.and_then(|(_, session)| session.upgrade()) {
            session.pack_if_due().await;
        }
    }
}

/// When the next session is to be looked at. `None`: none is listed, and the task ends.
fn next_due() -> Option<Instant> {
    let mut list = list();
    let due = list.sessions.first_key_value().map(|((due, _), _)| *due);
    list.is_served = due.is_some();
    due
}
