//! `eryx.call`, `eryx.cancel`, `eryx.next_answer`, `eryx.read_answer`: the guest's calls of host functions.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{Caller, Linker};

use super::{Host, held_back, parts};
use crate::Value;
use crate::callback::{
    Call, CallbackFailure, CallbackHandler, CallbackTable, GivenUp, Letter, LetterKind, Mailbox,
    Reply,
};
use crate::caps::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_VALUES};
use crate::guest::abi::{MODULE, Refusal};
use crate::value::wire;

/// What Python is told where a run cannot be suspended.
const NOT_HERE: &str = "a run can be suspended where top-level code awaits or runs a loop, not in a loop that a function runs";
/// And where it waits below a synchronous callback.
const NOT_SYNC: &str = "a run can be suspended at an await, not in a synchronous callback";

/// The calls of one run.
#[derive(Default)]
pub(crate) struct Calls {
    table: Arc<CallbackTable>,
    handler: Option<Arc<dyn CallbackHandler>>,
    limit: Option<u64>,
    mailbox: Arc<Mailbox>,
    in_flight: HashMap<u64, InFlight>,
    /// Those that may take only so long.
    timeouts: Option<Arc<Timeouts>>,
    bytes: usize,
    values: usize,
    started: u64,
    /// Numbers of calls go on after this one.
    first: u64,
    /// The answer that the guest was told of and has yet to read.
    current: Vec<u8>,
    /// The calls whose functions asked for the run to be suspended, and why.
    suspend: Vec<(u64, String)>,
}

/// A call that waits for its answer, as a checkpoint keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) call: u64,
    pub(crate) name: String,
    pub(crate) arguments: Vec<u8>,
}

struct InFlight {
    /// The number by which the handler knows the call.
    id: u64,
    deadline: Option<Instant>,
    callback: usize,
    arguments: Vec<u8>,
    /// How many values these are.
    values: usize,
    /// The guest waits below the call: its stack is not empty until it has the answer.
    blocks: bool,
}

/// The calls of one run that may take only so long. Also ended while the guest computes, and then by other threads.
pub(crate) struct Timeouts {
    due: Mutex<BTreeMap<(Instant, u64), Late>>,
    /// Somebody is at it.
    expiring: AtomicBool,
    mailbox: Arc<Mailbox>,
    handler: Option<Arc<dyn CallbackHandler>>,
}

/// A call that has taken too long.
struct Late {
    id: u64,
    limit: Duration,
}

impl std::fmt::Debug for Timeouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeouts").finish_non_exhaustive()
    }
}

impl Timeouts {
    fn due(&self) -> MutexGuard<'_, BTreeMap<(Instant, u64), Late>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Instant> {
        let due = self.due();
        due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether a call has taken too long.
    fn are_due(&self) -> bool {
        self.next().is_some_and(|at| at <= Instant::now())
    }

    fn pop(&self) -> Option<(u64, Late)> {
        let mut due = self.due();
        let first = due.first_entry()?;
        let (at, call) = *first.key();
        (at <= Instant::now()).then(|| (call, first.remove()))
    }

    /// Whether somebody should end such calls: nobody is at it yet. Who is told so does.
    pub(crate) fn begin_to_expire(&self) -> bool {
        self.are_due() && !self.expiring.swap(true, Ordering::AcqRel)
    }

    /// Ends the calls that have taken too long.
    pub(crate) fn expire(&self) {
        self.expiring.store(false, Ordering::Release);
        while let Some((call, late)) = self.pop() {
            let milliseconds = late.limit.as_secs_f64() * 1000.0;
            // Refused if the answer came in time: then that counts, though the guest has yet to take it.
            let timed_out = self.mailbox.put(Letter {
                call,
                kind: LetterKind::TimedOut,
                body: [&b"d"[..], &milliseconds.to_le_bytes()].concat(),
            });
            if let Some(handler) = self.handler.as_ref().filter(|_| timed_out) {
                handler.cancel(late.id, GivenUp::TimedOut);
            }
        }
    }
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
        self.timeouts.as_ref()?.next()
    }

    pub(crate) fn timeouts(&self) -> Option<&Arc<Timeouts>> {
        self.timeouts.as_ref()
    }

    /// Where answers arrive; to wait there without holding on to the rest.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Ends the calls that have taken too long.
    pub(crate) fn expire(&self) {
        if let Some(timeouts) = &self.timeouts {
            timeouts.expire();
        }
    }

    /// The run has ended: nobody waits for answers any more.
    pub(crate) fn finish(&mut self) {
        let unanswered = self.mailbox.close();
        if let Some(timeouts) = &self.timeouts {
            timeouts.due().clear();
        }
        for (call, ended) in std::mem::take(&mut self.in_flight) {
            if unanswered.contains(&call) {
                self.give_up(ended.id, GivenUp::Ended);
            }
        }
    }

    fn give_up(&self, id: u64, why: GivenUp) {
        if let Some(handler) = &self.handler {
            handler.cancel(id, why);
        }
    }

    fn forget(&mut self, call: u64) -> Option<InFlight> {
        let ended = self.in_flight.remove(&call)?;
        self.bytes -= ended.arguments.len();
        self.values -= ended.values;
        if let (Some(deadline), Some(timeouts)) = (ended.deadline, &self.timeouts) {
            timeouts.due().remove(&(deadline, call));
        }
        Some(ended)
    }

    /// What to refuse a call with these arguments for, before they are copied. Returns how many values they are.
    fn check(&self, callback: u32, arguments: &[u8]) -> Result<usize, Refusal> {
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
        let values = wire::check_call(arguments).map_err(|_| Refusal::TooMuch)?;
        if self.values + values > MAX_IN_FLIGHT_VALUES && !self.in_flight.is_empty() {
            return Err(Refusal::Busy);
        }
        Ok(values)
    }

    fn start(&mut self, callback: u32, arguments: &[u8]) -> Result<u64, Refusal> {
        let values = self.check(callback, arguments)?;
        self.started += 1;
        let call = self.first + self.started;
        let callback = callback as usize;
        self.send(call, callback, (arguments.to_vec(), values));
        let blocks = self.table.sync.get(callback).is_some_and(|sync| *sync);
        if let Some(sent) = self.in_flight.get_mut(&call).filter(|_| blocks) {
            sent.blocks = true;
        }
        Ok(call)
    }

    /// Hands a call to the handler.
    fn send(&mut self, call: u64, callback: usize, (arguments, values): (Vec<u8>, usize)) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let limit = self.table.timeouts.get(callback).copied().flatten();
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.bytes += arguments.len();
        self.values += values;
        self.mailbox.expect(call);
        if let Some((deadline, limit)) = deadline.zip(limit) {
            self.limit(call, deadline, Late { id, limit });
        }
        let in_flight = InFlight {
            id,
            deadline,
            callback,
            arguments: arguments.clone(),
            values,
            blocks: false,
        };
        self.in_flight.insert(call, in_flight);
        if let Some(handler) = &self.handler {
            handler.call(Call {
                id,
                callback,
                arguments,
                reply: Reply::new(call, &self.mailbox),
            });
        }
    }

    fn limit(&mut self, call: u64, deadline: Instant, late: Late) {
        let timeouts = self.timeouts.get_or_insert_with(|| {
            Arc::new(Timeouts {
                expiring: AtomicBool::new(false),
                due: Mutex::default(),
                mailbox: Arc::clone(&self.mailbox),
                handler: self.handler.clone(),
            })
        });
        timeouts.due().insert((deadline, call), late);
    }

    /// The calls that wait for an answer, oldest first.
    pub(crate) fn open(&self) -> Vec<Open> {
        let mut open: Vec<Open> = self
            .in_flight
            .iter()
            .map(|(&call, in_flight)| Open {
                call,
                name: self
                    .table
                    .order
                    .get(in_flight.callback)
                    .cloned()
                    .unwrap_or_default(),
                arguments: in_flight.arguments.clone(),
            })
            .collect();
        open.sort_by_key(|open| open.call);
        open
    }

    /// The highest number of a call so far.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.started
    }

    /// Goes on with calls of an earlier run whose numbers went up to `last`. Each is answered by `answer`, or called again.
    pub(crate) fn take_up(
        &mut self,
        last: u64,
        open: Vec<Open>,
        mut answer: impl FnMut(u64) -> Option<Result<Value, CallbackFailure>>,
    ) {
        self.first = last;
        for Open {
            call,
            name,
            arguments,
        } in open
        {
            let known = self.table.order.iter().position(|known| *known == name);
            match (answer(call), known) {
                (None, Some(_)) if self.limit.is_some_and(|limit| self.started >= limit) => {
                    self.answer(call, arguments, Err(over_the_limit()));
                }
                (None, Some(callback)) => {
                    self.started += 1;
                    let values = wire::check_call(&arguments).unwrap_or(0);
                    self.send(call, callback, (arguments, values));
                }
                (answer, _) => {
                    let answer = answer.unwrap_or_else(|| Err(unknown(&name)));
                    self.answer(call, arguments, answer);
                }
            }
        }
    }

    /// Notes a call that no handler was told of, and its answer.
    fn answer(&mut self, call: u64, arguments: Vec<u8>, answer: Result<Value, CallbackFailure>) {
        self.bytes += arguments.len();
        self.mailbox.expect(call);
        let in_flight = InFlight {
            id: 0,
            deadline: None,
            callback: usize::MAX,
            arguments,
            values: 0,
            blocks: false,
        };
        self.in_flight.insert(call, in_flight);
        Reply::new(call, &self.mailbox).send(answer);
    }

    /// Why the run is to be suspended, if a function asked for it and the guest has taken all answers that have arrived.
    pub(crate) fn suspended(&mut self) -> Option<&str> {
        if self.suspend.is_empty()
            && let Some(letter) = self.mailbox.take_only(LetterKind::Suspend)
        {
            self.set_aside(&letter);
        }
        self.suspend.first().map(|(_, reason)| reason.as_str())
    }

    /// Makes errors of functions' wishes to suspend the run, as it waits with a stack that is not empty. Below a synchronous
    /// call the wishes of others stay: the loop that waits for these may be one that can be suspended.
    pub(crate) fn refuse_suspension(&mut self) {
        while let Some(letter) = self.mailbox.take_only(LetterKind::Suspend) {
            self.set_aside(&letter);
        }
        if self.suspend.is_empty() {
            return;
        }
        let blocks = |call: &u64| self.in_flight.get(call).is_some_and(|call| call.blocks);
        let below_sync = self.in_flight.values().any(|call| call.blocks);
        let message = if below_sync { NOT_SYNC } else { NOT_HERE };
        let wishes = std::mem::take(&mut self.suspend);
        let (refused, kept): (Vec<_>, _) = wishes
            .into_iter()
            .partition(|(call, _)| !below_sync || blocks(call));
        self.suspend = kept;
        for (call, _) in refused {
            self.mailbox.expect(call);
            Reply::new(call, &self.mailbox).send(Err(CallbackFailure::Raised {
                name: "SuspendExecution".into(),
                message: message.into(),
            }));
        }
    }

    /// Keeps the reason. The call stays in flight.
    fn set_aside(&mut self, letter: &Letter) {
        let reason = match wire::decode(&letter.body) {
            Ok(Value::String(reason)) => reason,
            _ => String::new(),
        };
        self.suspend.push((letter.call, reason));
    }

    /// The next answer that the guest waits for. Its body becomes the current one.
    fn next(&mut self) -> Option<Letter> {
        self.expire();
        self.current = Vec::new();
        loop {
            let letter = self.mailbox.take()?;
            if letter.kind == LetterKind::Suspend {
                self.set_aside(&letter);
                continue;
            }
            self.forget(letter.call);
            return Some(letter);
        }
    }
}

fn over_the_limit() -> CallbackFailure {
    CallbackFailure::Raised {
        name: "CallbackLimitError".into(),
        message: "it was not called again: the limit of calls is reached".into(),
    }
}

fn unknown(name: &str) -> CallbackFailure {
    CallbackFailure::Raised {
        name: String::new(),
        message: format!("{name}() is not known to the host"),
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

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
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
    host.watch_timeouts();
    match started {
        Ok(call) => call.cast_signed(),
        Err(refusal) => refusal as i64,
    }
}

/// Does nothing if there is no such call in flight.
fn cancel(mut caller: Caller<'_, Host>, call: i64) {
    let call = call.cast_unsigned();
    let calls = &mut caller.data_mut().calls;
    calls.suspend.retain(|(suspending, _)| *suspending != call);
    if let Some(ended) = calls.forget(call)
        && calls.mailbox.withdraw(call)
    {
        calls.give_up(ended.id, GivenUp::Cancelled);
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
