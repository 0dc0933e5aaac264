//! Answers on their way from any thread to the run that waits for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes of answers that wait for the guest to take them. Beyond it an answer is replaced by an error.
pub(crate) const MAX_WAITING_BYTES: usize = 256 << 20;

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
    queue: VecDeque<Letter>,
    bytes: usize,
    closed: bool,
}

impl Mailbox {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer and wakes the run. Does nothing if the run has ended.
    pub(crate) fn put(&self, mut letter: Letter) {
        let mut letters = self.letters();
        if letters.closed {
            return;
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
    }

    pub(crate) fn take(&self) -> Option<Letter> {
        let mut letters = self.letters();
        let letter = letters.queue.pop_front()?;
        letters.bytes -= letter.body.len();
        Some(letter)
    }

    /// Whether the answer to `call` has arrived.
    pub(crate) fn holds(&self, call: u64) -> bool {
        let letters = self.letters();
        letters.queue.iter().any(|letter| letter.call == call)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters().queue.is_empty()
    }

    /// Resolves when something was put since the last time this resolved.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Drops what is there and what still comes.
    pub(crate) fn close(&self) {
        *self.letters() = Letters {
            closed: true,
            ..Letters::default()
        };
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

    #[test]
    fn answers_come_in_order() {
        let mailbox = Mailbox::default();
        mailbox.put(letter(2, 1));
        mailbox.put(letter(1, 1));
        let order = [mailbox.take(), mailbox.take()].map(|letter| letter.map(|letter| letter.call));
        assert_eq!(order, [Some(2), Some(1)]);
        assert!(mailbox.is_empty() && mailbox.take().is_none());
    }

    #[test]
    fn bytes_that_wait_are_capped() {
        let mailbox = Mailbox::default();
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
    fn a_closed_mailbox_keeps_nothing() {
        let mailbox = Mailbox::default();
        mailbox.put(letter(1, 9));
        mailbox.close();
        mailbox.put(letter(2, 9));
        assert!(mailbox.is_empty());
    }
}
