//! `eryx.trace`: events of a traced run.

use wasmtime::{Caller, Linker};

use super::{Host, held_back, parts};
use crate::caps::MAX_TRACE_MESSAGE;
use crate::guest::abi::MODULE;
use crate::output::trace;

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "trace",
        |mut caller: Caller<'_, Host>, (at, size): (u32, u32)| {
            Box::new(async move {
                if let Some(sink) = caller.data().output.sink() {
                    held_back(&mut caller, || sink.ready()).await?;
                }
                let (memory, host) = parts(&mut caller);
                // What is too long or not there comes from a guest that calls this by itself: it is ignored.
                if size <= MAX_TRACE_MESSAGE
                    && let Ok(message) = memory.bytes(at, size)
                {
                    host.output.trace(trace::decode(message));
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}
