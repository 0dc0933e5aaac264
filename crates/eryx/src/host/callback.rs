//! `eryx.call`, `eryx.cancel`, `eryx.next_answer`, `eryx.read_answer`: the guest's calls of host functions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmtime::{Caller, Linker};

use super::{Host, held_back, parts};
use crate::abi::{MODULE, Refusal};
use crate::callback::{Call, CallbackHandler, CallbackTable, Letter, LetterKind, Mailbox, Reply};
use crate::wire;

/// Calls of one run that are not answered yet.
const MAX_IN_FLIGHT: usize = 4096;
/// Bytes of their arguments, together. A single call may be as large as a message can be.
const MAX_IN_FLIGHT_BYTES: usize = wire::MAX_BYTES;

/// The calls of one run.
#[derive(Default)]
pub(crate) struct Calls {
    table: Arc<CallbackTable>,
    handler: Option<Arc<dyn CallbackHandler>>,
    limit: Option<u64>,
    mailbox: Arc<Mailbox>,
    in_flight: HashMap<u64, InFlight>,
    deadlines: BTreeSet<(Instant, u64)>,
    bytes: usize,
    started: u64,
    /// The answer that the guest was told of and has yet to read.
    current: Vec<u8>,
}

struct InFlight {
    /// The number by which the handler knows the call.
    id: u64,
    deadline: Option<Instant>,
    limit: Option<Duration>,
    bytes: usize,
}

impl Calls {
    /// `handler` takes the place of the table's own.
    pub(crate) fn new(
        table: Arc<CallbackTable>,
        handler: Option<Arc<dyn CallbackHandler>>,
        limit: Option<u64>,
    ) -> Self {
        Self {
            handler: handler.or_else(|| table.handler.clone()),
            table,
            limit,
            ..Self::default()
        }
    }

    /// How many calls were handed to the handler.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Whether the guest should be told of answers.
    pub(crate) fn has_answers(&self) -> bool {
        !self.mailbox.is_empty()
    }

    /// Whether an answer may come.
    pub(crate) fn in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Where answers arrive; to wait there without holding on to the rest.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Ends the calls that have taken too long.
    pub(crate) fn expire(&mut self) {
        if self.deadlines.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(at, call)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            if self.mailbox.holds(call) {
                self.deadlines.remove(&(at, call));
                continue;
            }
            let limit = self.forget(call).and_then(|ended| {
                self.tell_cancelled(ended.id);
                ended.limit
            });
            let milliseconds = limit.unwrap_or_default().as_secs_f64() * 1000.0;
            self.mailbox.put(Letter {
                call,
                kind: LetterKind::TimedOut,
                body: [&b"d"[..], &milliseconds.to_le_bytes()].concat(),
            });
        }
    }

    /// The run has ended: nobody waits for answers any more.
    pub(crate) fn finish(&mut self) {
        self.mailbox.close();
        self.deadlines.clear();
        for (_, call) in std::mem::take(&mut self.in_flight) {
            self.tell_cancelled(call.id);
        }
    }

    fn tell_cancelled(&self, id: u64) {
        if let Some(handler) = &self.handler {
            handler.cancel(id);
        }
    }

    fn forget(&mut self, call: u64) -> Option<InFlight> {
        let ended = self.in_flight.remove(&call)?;
        self.bytes -= ended.bytes;
        if let Some(deadline) = ended.deadline {
            self.deadlines.remove(&(deadline, call));
        }
        Some(ended)
    }

    /// What to refuse a call with these arguments for, before they are copied.
    fn check(&self, callback: u32, arguments: &[u8]) -> Result<(), Refusal> {
        if self.handler.is_none() || callback as usize >= self.table.timeouts.len() {
            return Err(Refusal::Unknown);
        }
        if self.limit.is_some_and(|limit| self.started >= limit) {
            return Err(Refusal::Limit);
        }
        let full = self.in_flight.len() >= MAX_IN_FLIGHT
            || self.bytes + arguments.len() > MAX_IN_FLIGHT_BYTES;
        if full && !self.in_flight.is_empty() {
            return Err(Refusal::Busy);
        }
        wire::check_call(arguments).map_err(|_| Refusal::TooMuch)
    }

    fn start(&mut self, callback: u32, arguments: &[u8]) -> Result<u64, Refusal> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        self.check(callback, arguments)?;
        let handler = self.handler.as_ref().ok_or(Refusal::Unknown)?;
        let limit = self.table.timeouts[callback as usize];
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.started += 1;
        let (call, id) = (self.started, NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let bytes = arguments.len();
        self.bytes += bytes;
        self.deadlines
            .extend(deadline.map(|deadline| (deadline, call)));
        self.in_flight.insert(
            call,
            InFlight {
                id,
                deadline,
                limit,
                bytes,
            },
        );
        handler.call(Call {
            id,
            callback: callback as usize,
            arguments: arguments.to_vec(),
            reply: Reply {
                call,
                mailbox: Arc::clone(&self.mailbox),
            },
        });
        Ok(call)
    }

    /// The next answer that the guest waits for. Its body becomes the current one.
    fn next(&mut self) -> Option<Letter> {
        self.expire();
        self.current = Vec::new();
        loop {
            let letter = self.mailbox.take()?;
            // A call that timed out is forgotten already; one that was cancelled has no answer.
            if letter.kind == LetterKind::TimedOut || self.forget(letter.call).is_some() {
                return Some(letter);
            }
        }
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("started", &self.started)
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "call",
        |mut caller: Caller<'_, Host>, (callback, at, size): (u32, u32, u32)| {
            Box::new(async move {
                if let Some(handler) = caller.data().calls.handler.clone() {
                    held_back(&mut caller, || handler.ready()).await?;
                }
                Ok(call(&mut caller, callback, at, size))
            })
        },
    )?;
    linker.func_wrap(MODULE, "cancel", cancel)?;
    linker.func_wrap(MODULE, "next_answer", next_answer)?;
    linker.func_wrap(MODULE, "read_answer", read_answer)?;
    Ok(())
}

/// The call's number, or a negative refusal.
fn call(caller: &mut Caller<'_, Host>, callback: u32, at: u32, size: u32) -> i64 {
    let (memory, host) = parts(caller);
    let started = match memory.bytes(at, size) {
        Ok(arguments) => host.calls.start(callback, arguments),
        Err(_) => Err(Refusal::TooMuch),
    };
    match started {
        Ok(call) => call.cast_signed(),
        Err(refusal) => refusal as i64,
    }
}

/// Does nothing if there is no such call in flight.
fn cancel(mut caller: Caller<'_, Host>, call: i64) {
    let calls = &mut caller.data_mut().calls;
    if let Some(ended) = calls.forget(call.cast_unsigned()) {
        calls.tell_cancelled(ended.id);
    }
}

/// Writes the number of the call (u64), the kind of its answer and the answer's size (u32 each) to `into`, and returns 1;
/// 0 if there is no answer.
fn next_answer(mut caller: Caller<'_, Host>, into: u32) -> i32 {
    let (mut memory, host) = parts(&mut caller);
    // Looked at first: an answer must not be lost to a bad pointer.
    if memory.bytes(into, 16).is_err() {
        return 0;
    }
    let Some(Letter { call, kind, body }) = host.calls.next() else {
        return 0;
    };
    let size = u32::try_from(body.len()).expect("a message is at most 64 MiB");
    let mut header = [0; 16];
    header[..8].copy_from_slice(&call.to_le_bytes());
    header[8..12].copy_from_slice(&(kind as u32).to_le_bytes());
    header[12..].copy_from_slice(&size.to_le_bytes());
    host.calls.current = body;
    i32::from(memory.write(into, &header).is_ok())
}

/// Copies the answer that [`next_answer`] told of. Once: it is gone then.
fn read_answer(mut caller: Caller<'_, Host>, into: u32) {
    let (mut memory, host) = parts(&mut caller);
    let body = std::mem::take(&mut host.calls.current);
    // A guest that names a place outside of its memory gets nothing.
    let _ = memory.write(into, &body);
}
