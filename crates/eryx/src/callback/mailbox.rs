//! Answers on their way from any thread to the run that waits for them.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::caps::MAX_WAITING_BYTES;
use tokio::sync::Notify;

/// What an answer is. The Python side is `_eryx_callbacks.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterKind {
    /// The result.
    Value = 0,
    /// A list: name and message of an error.
    Raised = 1,
    /// A message: the arguments were refused.
    Arguments = 2,
    /// Milliseconds: the limit that passed.
    TimedOut = 3,
    /// The reason. Not for the guest: the host suspends the run.
    Suspend = 4,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) call: u64,
    pub(crate) kind: LetterKind,
    /// Encoded.
    pub(crate) body: Vec<u8>,
}

/// The answers to one run's calls.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Letters {
    /// Calls that no answer has arrived for. Nothing else is let in, so a run keeps one letter for each of its calls at most.
    expected: HashSet<u64>,
    queue: VecDeque<Letter>,
    bytes: usize,
}

impl Mailbox {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the answer to `call` is let in.
    pub(crate) fn expect(&self, call: u64) {
        self.letters().expected.insert(call);
    }

    /// Adds an answer and wakes the run. `false`: nobody waits for it, or another one came first.
    pub(crate) fn put(&self, mut letter: Letter) -> bool {
        let mut letters = self.letters();
        if !letters.expected.remove(&letter.call) {
            return false;
        }
        if letters.bytes + letter.body.len() > MAX_WAITING_BYTES {
            let failure = super::CallbackFailure::Raised {
                name: "RangeError".into(),
                message: format!(
                    "results of more than {MAX_WAITING_BYTES} bytes wait to be taken by the code"
                ),
            };
            (letter.kind, letter.body) = failure.encoded();
        }
        letters.bytes += letter.body.len();
        letters.queue.push_back(letter);
        drop(letters);
        self.arrived.notify_one();
        true
    }

    pub(crate) fn take(&self) -> Option<Letter> {
        self.letters().pop()
    }

    /// Drops the answer to `call`, now or when it comes. `true`: it had not come.
    pub(crate) fn withdraw(&self, call: u64) -> bool {
        let mut letters = self.letters();
        if letters.expected.remove(&call) {
            return true;
        }
        let place = letters.queue.iter().position(|letter| letter.call == call);
        if let Some(letter) = place.and_then(|place| letters.queue.remove(place)) {
            letters.bytes -= letter.body.len();
        }
        false
    }

    /// Takes the first answer if all that are there are of this kind.
    pub(crate) fn take_only(&self, kind: LetterKind) -> Option<Letter> {
        let mut letters = self.letters();
        if letters.queue.iter().any(|letter| letter.kind != kind) {
            return None;
        }
        letters.pop()
    }

    /// Whether nothing is there for the guest.
    pub(crate) fn is_empty(&self) -> bool {
        let letters = self.letters();
        letters
            .queue
            .iter()
            .all(|letter| letter.kind == LetterKind::Suspend)
    }

    /// Resolves when something was put since the last time this resolved.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Drops what is there and what still comes. Returns the calls that were not answered.
    pub(crate) fn close(&self) -> HashSet<u64> {
        std::mem::take(&mut *self.letters()).expected
    }
}

impl Letters {
    fn pop(&mut self) -> Option<Letter> {
        let letter = self.queue.pop_front()?;
        self.bytes -= letter.body.len();
        Some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(call: u64, size: usize) -> Letter {
        Letter {
            call,
            kind: LetterKind::Value,
            body: vec![b'n'; size],
        }
    }

    fn expecting(calls: &[u64]) -> Mailbox {
        let mailbox = Mailbox::default();
        for call in calls {
            mailbox.expect(*call);
        }
        mailbox
    }

    #[test]
    fn answers_come_in_order() {
        let mailbox = expecting(&[1, 2]);
        mailbox.put(letter(2, 1));
        mailbox.put(letter(1, 1));
        let order = [mailbox.take(), mailbox.take()].map(|letter| letter.map(|letter| letter.call));
        assert_eq!(order, [Some(2), Some(1)]);
        assert!(mailbox.is_empty() && mailbox.take().is_none());
    }

    #[test]
    fn bytes_that_wait_are_capped() {
        let mailbox = expecting(&[1, 2, 3]);
        mailbox.put(letter(1, MAX_WAITING_BYTES));
        mailbox.put(letter(2, 1));
        assert_eq!(
            mailbox.take().map(|letter| letter.kind),
            Some(LetterKind::Value)
        );
        let refused = mailbox.take().expect("an answer all the same");
        assert_eq!((refused.call, refused.kind), (2, LetterKind::Raised));
        assert!(refused.body.len() < 200);
        mailbox.put(letter(3, MAX_WAITING_BYTES));
        assert_eq!(
            mailbox.take().map(|letter| letter.kind),
            Some(LetterKind::Value)
        );
    }

    #[test]
    fn only_what_is_expected_is_let_in_and_once() {
        let mailbox = expecting(&[1]);
        assert!(!mailbox.put(letter(2, 9)));
        assert!(mailbox.put(letter(1, 9)));
        assert!(!mailbox.put(letter(1, 9)));
        assert!(mailbox.take().is_some() && mailbox.take().is_none());
        assert!(!mailbox.put(letter(1, 9)));
    }

    #[test]
    fn what_is_taken_only_if_nothing_else_is_there() {
        let mailbox = expecting(&[1, 2]);
        let suspend = Letter {
            kind: LetterKind::Suspend,
            ..letter(1, 3)
        };
        mailbox.put(suspend);
        mailbox.put(letter(2, 1));
        assert!(mailbox.take_only(LetterKind::Suspend).is_none());
        assert!(!mailbox.withdraw(2));
        let taken = mailbox.take_only(LetterKind::Suspend);
        assert_eq!(taken.map(|letter| letter.call), Some(1));
        assert_eq!(mailbox.letters().bytes, 0);
    }

    #[test]
    fn a_withdrawn_answer_takes_no_room() {
        let mailbox = expecting(&[1, 2]);
        assert!(mailbox.withdraw(1));
        assert!(!mailbox.put(letter(1, 9)));
        mailbox.put(letter(2, MAX_WAITING_BYTES));
        assert!(!mailbox.withdraw(2));
        assert!(mailbox.is_empty());
        assert_eq!(mailbox.letters().bytes, 0);
    }

    #[test]
    fn a_closed_mailbox_keeps_nothing() {
        let mailbox = expecting(&[1, 2]);
        mailbox.put(letter(1, 9));
        assert_eq!(mailbox.close(), HashSet::from([2]));
        mailbox.put(letter(2, 9));
        assert!(mailbox.is_empty());
    }
}
