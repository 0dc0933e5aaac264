//! Runs that are suspended at a call, and the answers with which they go on.

use eryx_vfs::MemoryFs;

use crate::callback::CallbackFailure;
use crate::guest::host::Open;
use crate::guest::instance::Instance;
use crate::runtime::pool::Pool;
use crate::snapshot::kept::Kept;
use crate::snapshot::{Origin, SnapshotKind, Trees};
use crate::{Arguments, Error, PendingCall, Suspension, Value};

/// Answers to the calls of a checkpoint, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// What the calls return.
    pub results: Vec<(u64, Value)>,
    /// What they fail with: Python raises `CallbackError` with this text.
    pub errors: Vec<(u64, String)>,
}

impl Answers {
    /// An answer that no call took: its list and number.
    pub(crate) fn left(&self) -> Option<(&'static str, u64)> {
        let results = self.results.iter().map(|(id, _)| ("results", *id));
        let errors = self.errors.iter().map(|(id, _)| ("errors", *id));
        results.chain(errors).next()
    }

    /// The answer to one call. `None`: it is to be called again.
    pub(crate) fn take(&mut self, call: u64) -> Option<Result<Value, CallbackFailure>> {
        let of = |(id, _): &(u64, _)| *id == call;
        if let Some(at) = self.results.iter().position(|(id, _)| *id == call) {
            return Some(Ok(self.results.swap_remove(at).1));
        }
        let at = self.errors.iter().position(of)?;
        Some(Err(CallbackFailure::Raised {
            name: String::new(),
            message: self.errors.swap_remove(at).1,
        }))
    }
}

/// The error of a suspended run, with the checkpoint to go on from.
pub(crate) fn suspend(
    instance: &mut Instance,
    pool: &Pool,
    runtime: &[u8; 32],
    executions: u64,
    trees: Trees<&MemoryFs>,
) -> Error {
    let host = instance.host();
    let reason = host.calls.suspended().unwrap_or_default().to_owned();
    let kept = Kept::of(
        &host.files,
        host.started,
        Some(&host.calls),
        (executions, false),
    );
    let origin = Origin {
        kind: SnapshotKind::Checkpoint,
        runtime,
        base: pool.image(),
    };
    let mut slot = instance.resting();
    let taken = slot
        .changed(pool.strategy())
        .and_then(|changed| origin.take(&slot, &changed, &kept, trees));
    match taken {
        Ok(checkpoint) => Error::Suspended(Box::new(Suspension {
            reason,
            pending: kept.open.into_iter().map(pending).collect(),
            checkpoint,
        })),
        Err(error) => Error::Internal(format!("the checkpoint could not be made: {error}")),
    }
}

fn pending(open: Open) -> PendingCall {
    let Arguments { positional, named } =
        crate::callback::decode(&open.arguments).unwrap_or_default();
    PendingCall {
        id: open.call,
        name: open.name,
        args: positional,
        kwargs: named,
    }
}
