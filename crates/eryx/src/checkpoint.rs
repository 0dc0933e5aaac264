//! What the host keeps of a guest beside its memory, as one value: for snapshots and checkpoints.

use std::time::{Duration, Instant};

use eryx_vfs::MemoryFs;

use crate::callback::CallbackFailure;
use crate::caps::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_VALUES};
use crate::host::files::Files;
use crate::host::{Calls, Open};
use crate::instance::Instance;
use crate::pool::Pool;
use crate::snapshot::{Frame, Kind, Trees};
use crate::{Arguments, Error, PendingCall, Suspension, Value, wire};

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

/// The host's part of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What the guest's monotonic clock shows.
    pub(crate) clock: Duration,
    pub(crate) executions: u64,
    /// Nothing was run in it yet.
    pub(crate) fresh: bool,
    /// Open files, as `Files::to_value` lists them.
    pub(crate) files: Value,
    pub(crate) last_call: u64,
    pub(crate) open: Vec<Open>,
}

impl Kept {
    /// What is kept of a guest with these files, whose clock was at zero at `started`. Without `calls`, no run is under way.
    pub(crate) fn of(
        files: &Files,
        started: Instant,
        calls: Option<&Calls>,
        (executions, fresh): (u64, bool),
    ) -> Self {
        Self {
            clock: started.elapsed(),
            executions,
            fresh,
            files: files.to_value(),
            last_call: calls.map_or(0, Calls::last),
            open: calls.map(Calls::open).unwrap_or_default(),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX).into();
        let open = self.open.iter().map(|open| {
            Value::List(vec![
                number(open.call),
                open.name.as_str().into(),
                open.arguments.as_slice().into(),
            ])
        });
        Value::List(vec![
            number(u64::try_from(self.clock.as_nanos()).unwrap_or(u64::MAX)),
            number(self.executions),
            self.fresh.into(),
            self.files.clone(),
            number(self.last_call),
            Value::List(open.collect()),
        ])
    }

    /// `None` if `value` is not what [`Kept::to_value`] makes.
    pub(crate) fn from_value(value: Value) -> Option<Self> {
        let [clock, executions, fresh, files, last_call, open] = fields(value)?;
        let Value::List(open) = open else {
            return None;
        };
        if open.len() > MAX_IN_FLIGHT {
            return None;
        }
        // No run has more in flight, and none is resumed with more.
        let mut values = 0;
        let open = open.into_iter().map(|call| open_call(call, &mut values));
        let open: Vec<Open> = open.collect::<Option<_>>()?;
        if values > MAX_IN_FLIGHT_VALUES {
            return None;
        }
        let last_call = number(&last_call)?;
        let mut before = 0;
        for open in &open {
            if open.call <= before || open.call > last_call {
                return None;
            }
            before = open.call;
        }
        Some(Self {
            clock: Duration::from_nanos(number(&clock)?),
            executions: number(&executions)?,
            fresh: fresh == Value::Bool(true),
            files,
            last_call,
            open,
        })
    }

    /// When the guest's clock was at zero, if it shows the same time now. A time before the host's clock began cannot be said;
    /// then it starts again.
    pub(crate) fn started(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.clock).unwrap_or(now)
    }
}

fn fields<const N: usize>(value: Value) -> Option<[Value; N]> {
    match value {
        Value::List(fields) => fields.try_into().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// Adds to `values` how many its arguments are.
fn open_call(value: Value, values: &mut usize) -> Option<Open> {
    let [call, Value::String(name), Value::Bytes(arguments)] = fields(value)? else {
        return None;
    };
    *values += wire::check_call(&arguments).ok()?;
    Some(Open {
        call: number(&call)?,
        name,
        arguments,
    })
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
    let frame = Frame {
        kind: Kind::Checkpoint,
        runtime,
        base: pool.image(),
    };
    let mut slot = instance.resting();
    let taken = slot
        .changed(pool.strategy())
        .and_then(|changed| frame.take(&slot, &changed, &kept, trees));
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
