//! Which resting sessions keep their guests in slots.
//!
//! A slot with a guest takes mappings and pages of its own and makes its next execution start at once. Of many sessions, those
//! that were used last keep theirs; the others sleep: what is left of them are copies of the pages that they changed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::command::Command;
use super::{Inner, resting};
use crate::caps::MAX_AWAKE_PER_CORE;
use crate::threads::workers;

static AWAKE: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// How many there are, to be looked at without locking.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn awake() -> MutexGuard<'static, Vec<Weak<Inner>>> {
    AWAKE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn most() -> usize {
    MAX_AWAKE_PER_CORE * workers::count()
}

/// Notes that `session` is used now.
pub(super) fn used(session: &Inner) {
    session.used.store(resting::now(), Ordering::Relaxed);
}

/// Notes that `session` has a slot.
pub(super) fn woke(session: &Arc<Inner>) {
    if session.has_slot.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut awake = awake();
    awake.retain(|other| other.strong_count() > 0);
    awake.push(Arc::downgrade(session));
    COUNT.store(awake.len(), Ordering::Relaxed);
    drop(awake);
    make_room();
}

/// Sends sessions to sleep that were not used for long, if there are too many. Those that are busy stay.
pub(super) fn make_room() {
    if COUNT.load(Ordering::Relaxed) <= most() {
        return;
    }
    let mut awake = awake();
    let mut sessions: Vec<_> = awake.iter().filter_map(Weak::upgrade).collect();
    // Read once: others use their sessions meanwhile, and a sort whose order changes panics.
    sessions.sort_by_cached_key(|session| session.used.load(Ordering::Relaxed));
    let mut excess = sessions.len().saturating_sub(most());
    sessions.retain(|session| {
        let sleeps = excess > 0 && session.push_if_idle(Command::Sleep);
        if sleeps {
            excess -= 1;
            session.has_slot.store(false, Ordering::Relaxed);
        }
        !sleeps
    });
    *awake = sessions.iter().map(Arc::downgrade).collect();
    COUNT.store(awake.len(), Ordering::Relaxed);
    drop(awake);
}
