//! `eryx.deliver`, `eryx.wait` and `eryx.finish`: values from the guest, waits inside a guest call, and the end of its code.

use std::time::{Duration, Instant};

use wasmtime::{Caller, Linker};

use super::{Host, Wake, parts, wait};
use crate::guest::abi::{Delivery, Finish, MODULE};
use crate::value::wire::MAX_BYTES;

/// What the guest has handed over in this run, encoded. The last of each kind counts.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) result: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) report: Option<Vec<u8>>,
}

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "deliver", deliver)?;
    linker.func_wrap(MODULE, "finish", finish)?;
    linker.func_wrap(MODULE, "memory_limit", memory_limit)?;
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
                Ok(i32::from(wait(&mut caller, until, Wake::OnAnswer).await?))
            })
        },
    )?;
    Ok(())
}

/// The code has ended. What is said of the interpreter: [`Finish`].
fn finish(mut caller: Caller<'_, Host>, unfinished: i32) -> i64 {
    let host = caller.data_mut();
    host.unfinished = Some(unfinished != 0);
    if !host.lasting {
        return Finish::Last.to_guest();
    }
    let writers = host.files.writers();
    writers
        .map_or(Finish::NoWriters, Finish::Writers)
        .to_guest()
}

/// How large the guest's memory may become, as it counts: its collector of cycles looks at that.
#[expect(clippy::needless_pass_by_value, reason = "wasmtime hands it over")]
fn memory_limit(caller: Caller<'_, Host>) -> u32 {
    u32::try_from(caller.data().limits.max_memory).unwrap_or(u32::MAX)
}

/// A kind or range that makes no sense comes from a guest that calls this by itself: it is ignored.
fn deliver(mut caller: Caller<'_, Host>, kind: i32, at: u32, size: u32) {
    let (memory, host) = parts(&mut caller);
    let (Some(kind), Ok(bytes)) = (Delivery::from_guest(kind), memory.bytes(at, size)) else {
        return;
    };
    let place = match kind {
        Delivery::Result => &mut host.delivered.result,
        Delivery::Value => &mut host.delivered.value,
        Delivery::Report => &mut host.delivered.report,
    };
    // One byte too many is enough to be refused when it is decoded, at the end of the run.
    *place = Some(bytes[..bytes.len().min(MAX_BYTES + 1)].to_vec());
}
