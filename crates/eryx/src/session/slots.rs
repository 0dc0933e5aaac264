//! Which resting sessions keep their guests in slots.
//!
//! A slot with a guest takes mappings and pages of its own and makes its next execution start at once. Of many sessions, those
//! that were used last keep theirs; the others sleep: what is left of them are copies of the pages that they changed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Inner;
use super::command::Command;
use crate::caps::MAX_SLOTS_PER_CORE;
use crate::threads::workers;

static WITH_SLOT: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// How many there are, to be looked at without locking.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn with_slot() -> MutexGuard<'static, Vec<Weak<Inner>>> {
    WITH_SLOT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn max_with_slot() -> usize {
    MAX_SLOTS_PER_CORE * workers::count()
}

/// Notes whether `session` has a slot. Only whoever has its interpreter calls this.
pub(super) fn note(session: &Arc<Inner>, has_slot: bool) {
    if session.has_slot.swap(has_slot, Ordering::Relaxed) == has_slot {
        return;
    }
    let mut sessions = with_slot();
    sessions.retain(|other| {
        other.strong_count() > 0
            && (has_slot || !std::ptr::eq(other.as_ptr(), Arc::as_ptr(session)))
    });
    if has_slot {
        sessions.push(Arc::downgrade(session));
    }
    COUNT.store(sessions.len(), Ordering::Relaxed);
    drop(sessions);
    if has_slot {
        make_room();
    }
}

/// Sends sessions to sleep that were not used for long, if there are too many. Those that are busy stay.
pub(super) fn make_room() {
    if COUNT.load(Ordering::Relaxed) <= max_with_slot() {
        return;
    }
    let sessions = with_slot().clone();
    let mut sessions: Vec<_> = sessions.iter().filter_map(Weak::upgrade).collect();
    // Read once: others use their sessions meanwhile, and a sort whose order changes panics.
    sessions.sort_by_cached_key(|session| session.used.load(Ordering::Relaxed));
    let mut excess = sessions.len().saturating_sub(max_with_slot());
    for session in sessions {
        if excess == 0 {
            break;
        }
        let is_told = session.is_to_sleep.load(Ordering::Relaxed);
        if is_told || session.push_if_idle(Command::Sleep) {
            session.is_to_sleep.store(true, Ordering::Relaxed);
            excess -= 1;
        }
    }
}
