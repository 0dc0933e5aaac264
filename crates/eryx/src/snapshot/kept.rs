//! What the host keeps of a guest beside its memory, as one value: for snapshots and checkpoints.

use std::time::{Duration, Instant};

use crate::Value;
use crate::caps::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_VALUES};
use crate::guest::host::files::Files;
use crate::guest::host::{Calls, Open};
use crate::value::wire;

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
