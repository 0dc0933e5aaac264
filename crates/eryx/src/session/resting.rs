//! Sessions that nobody uses for long: what is kept of their memory is packed.
//!
//! One task does this for all sessions, one after the other, so that it never takes more than one thread. It lives as long as
//! sessions are listed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Inner;
use super::command::{Command, Reply};
use crate::threads::workers::{self, survived};

/// The time, in nanoseconds since this was asked first.
fn now() -> u64 {
    let since = Instant::now().duration_since(beginning());
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

/// When a listed session is looked at, and a number that tells it from others of that moment.
pub(super) type Due = (Instant, u64);

struct List {
    sessions: BTreeMap<Due, Weak<Inner>>,
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

/// Has the session looked at when it will have rested for long enough, if nobody uses it until then.
fn enlist(session: &Arc<Inner>) -> Option<Due> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let place = (session.due()?, NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut list = list();
    list.sessions.insert(place, Arc::downgrade(session));
    if !std::mem::replace(&mut list.is_served, true) {
        workers::spawn(serve());
    } else if list.sessions.first_key_value().map(|(first, _)| first) == Some(&place) {
        EARLIER.notify_one();
    }
    Some(place)
}

/// The session is no more.
pub(super) fn strike(place: Due) {
    list().sessions.remove(&place);
}

impl Inner {
    fn place(&self) -> MutexGuard<'_, Option<Due>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the session is used now.
    pub(super) fn note_used(&self) {
        self.used.store(now(), Ordering::Relaxed);
    }

    /// The session rests from now on. It is packed if it does so for long enough.
    pub(super) fn expect_sleep(self: &Arc<Self>) {
        if !self.is_packed.load(Ordering::Relaxed) {
            self.note_used();
            self.list();
        }
    }

    /// Lists it, unless it is listed.
    fn list(self: &Arc<Self>) {
        let mut place = self.place();
        if place.is_none() {
            *place = enlist(self);
        }
    }

    /// `None`: never.
    fn due(&self) -> Option<Instant> {
        let used = Duration::from_nanos(self.used.load(Ordering::Relaxed));
        beginning()
            .checked_add(used)?
            .checked_add(self.context.config.sleep_after)
    }

    /// Packs its memory if it has rested for long enough. Otherwise it is listed again: now, or when it rests.
    async fn pack_if_due(self: Arc<Self>) {
        // First: whoever comes to rest after this lists the session, and what came before it is seen below.
        *self.place() = None;
        if self.due().is_none_or(|due| Instant::now() < due) {
            return self.list();
        }
        let (reply, packed) = Reply::new();
        if self.push_if_idle(Command::Pack(reply)) {
            drop(packed.await);
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
            drop(survived(session.pack_if_due()).await);
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
