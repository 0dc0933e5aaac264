//! What is asked of a session, and how it is answered.

use tokio::sync::oneshot;

use super::Session;
use crate::run::waiter::Waiter;
use crate::{Answers, Error, ExecutionOptions};

/// Something to do with a session's interpreter. Commands are carried out one after the other, in the order of the calls.
pub(super) enum Command {
    /// Runs code.
    Execute {
        code: String,
        options: ExecutionOptions,
        waiter: Waiter,
    },
    /// Goes on with a run that was suspended.
    Resume {
        checkpoint: Vec<u8>,
        answers: Answers,
        options: ExecutionOptions,
        waiter: Waiter,
    },
    /// Makes so many copies of the session.
    Fork(usize, Reply<Vec<Session>>),
    /// Saves the state as bytes.
    Snapshot(Reply<Vec<u8>>),
    /// Puts a snapshot in place of the state.
    Restore(Vec<u8>, Reply<()>),
    /// Removes the variables of the user's code.
    Clear(Reply<()>),
    /// Starts over.
    Reset(Reply<()>),
    /// Gives the slot back. Nobody asked for it but the session itself.
    Sleep,
    /// Keeps the state in as little memory as it can. As for [`Command::Sleep`].
    Pack(Reply<()>),
}

impl Command {
    /// Answers that the session is closed.
    pub(super) fn refuse(self) {
        match self {
            Self::Execute { waiter, .. } | Self::Resume { waiter, .. } => {
                waiter.settle(Err(Error::Closed.into()));
            }
            Self::Fork(_, reply) => reply.give(Err(Error::Closed)),
            Self::Snapshot(reply) => reply.give(Err(Error::Closed)),
            Self::Restore(_, reply)
            | Self::Clear(reply)
            | Self::Reset(reply)
            | Self::Pack(reply) => reply.give(Err(Error::Closed)),
            Self::Sleep => {}
        }
    }
}

/// Whoever asked waits for this. Dropped without an answer, it says so.
pub(super) struct Reply<T>(oneshot::Sender<Result<T, Error>>);

impl<T> Reply<T> {
    /// A reply, and the future of what it is given.
    pub(super) fn new() -> (Self, impl Future<Output = Result<T, Error>> + Send)
    where
        T: Send,
    {
        let (sender, receiver) = oneshot::channel();
        let answer = async { receiver.await.unwrap_or_else(|_| Err(dropped())) };
        (Self(sender), answer)
    }

    pub(super) fn give(self, answer: Result<T, Error>) {
        // Whoever does not wait any more is none to be told.
        drop(self.0.send(answer));
    }
}

/// Of what was asked and not answered.
pub(super) fn dropped() -> Error {
    Error::Internal("what was asked of the session was dropped".into())
}
