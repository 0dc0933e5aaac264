//! `eryx.deliver` and `eryx.wait`: values from the guest, and waits inside a guest call.

use std::time::{Duration, Instant};

use wasmtime::{Caller, Linker};

use super::{Host, parts, wait};
use crate::Value;
use crate::abi::{Delivery, MODULE};
use crate::wire::{self, MAX_BYTES, WireError};

/// What the guest has handed over in this run. The last of each kind counts.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) result: Option<Result<Value, WireError>>,
    pub(crate) value: Option<Result<Value, WireError>>,
    pub(crate) outcome: Option<Result<Value, WireError>>,
}

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "deliver", deliver)?;
    linker.func_wrap_async(
        MODULE,
        "wait",
        |mut caller: Caller<'_, Host>, (nanoseconds,): (i64,)| {
            Box::new(async move {
                let until = u64::try_from(nanoseconds)
                    .ok()
                    .filter(|_| nanoseconds != i64::MAX);
                let until = until.and_then(|nanoseconds| {
                    Instant::now().checked_add(Duration::from_nanos(nanoseconds))
                });
                Ok(i32::from(wait(&mut caller, until).await?))
            })
        },
    )?;
    Ok(())
}

/// A kind or range that makes no sense comes from a guest that calls this by itself: it is ignored.
fn deliver(mut caller: Caller<'_, Host>, kind: i32, at: u32, size: u32) {
    let (memory, host) = parts(&mut caller);
    let (Some(kind), Ok(bytes)) = (Delivery::from_guest(kind), memory.bytes(at, size)) else {
        return;
    };
    let value = if bytes.len() > MAX_BYTES {
        Err(WireError::TooLarge)
    } else {
        wire::decode(bytes)
    };
    let place = match kind {
        Delivery::Result => &mut host.delivered.result,
        Delivery::Value => &mut host.delivered.value,
        Delivery::Outcome => &mut host.delivered.outcome,
    };
    *place = Some(value);
}
