//! Events for the JavaScript thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eryx::{Error, MAX_QUEUED_BYTES, Outcome, OutputSink, QUEUED_EVENT_BYTES, Stream, TraceEvent};
use napi::bindgen_prelude::{Either6, FnArgs, Function, Null, Result, Status, Uint8Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use tokio::sync::Notify;

use crate::options::Streams;
use crate::outcome::{ErrorObject, OutcomeObject, encoded_trace};
use crate::session::Session;

/// `dispatch(kind, id, payload, call, callback)`: something happened in the run `id`. The kinds are in [`arguments`].
pub(crate) type Arguments = FnArgs<(u32, u32, Payload, f64, u32)>;

/// Something that happened in the run `id`, on a worker thread.
pub(crate) struct Event {
    id: u32,
    what: What,
    /// Given back when the JavaScript thread is done with the event.
    share: Option<Share>,
}

pub(crate) enum What {
    Done(Box<Outcome>),
    Output(Stream, String),
    Call {
        call: u64,
        callback: usize,
        arguments: Vec<u8>,
    },
    Abort {
        call: u64,
        timed_out: bool,
    },
    Trace(Uint8Array),
    /// The end of a request to a session.
    Answered(Answer),
    Refused(Box<Error>),
}

/// What a session answers.
pub(crate) enum Answer {
    Nothing,
    Bytes(Vec<u8>),
    Sessions(Vec<Session>),
}

/// What an event carries, converted on the JavaScript thread.
pub(crate) type Payload =
    Either6<OutcomeObject, String, Uint8Array, Null, Vec<Session>, ErrorObject>;

type Raw = ThreadsafeFunction<Event, (), Arguments, Status, false, true, 0>;

/// Where the events of one environment go. Does not keep the process alive: `js/events.js` does that.
pub(crate) struct Dispatch {
    raw: Raw,
    closed: AtomicBool,
}

pub(crate) fn build(function: Function<'_, Arguments, ()>) -> Result<Dispatch> {
    let raw = function
        .build_threadsafe_function::<Event>()
        .weak::<true>()
        .callee_handled::<false>()
        .build_callback(|context| Ok(arguments(context.value)))?;
    Ok(Dispatch {
        raw,
        closed: AtomicBool::new(false),
    })
}

/// The kinds are those of `js/events.js`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of calls and callbacks stay far below the limits"
)]
fn arguments(event: Event) -> Arguments {
    let Event { id, what, share } = event;
    if let Some(share) = share {
        share.taken();
    }
    let plain = |kind, payload| (kind, id, payload, 0.0, 0).into();
    match what {
        What::Done(outcome) => plain(0, Payload::A((*outcome).into())),
        What::Output(Stream::Stdout, text) => plain(1, Payload::B(text)),
        What::Output(Stream::Stderr, text) => plain(2, Payload::B(text)),
        What::Call {
            call,
            callback,
            arguments,
        } => {
            let payload = Payload::C(arguments.into());
            (3, id, payload, call as f64, callback as u32).into()
        }
        What::Abort { call, timed_out } => {
            (4, id, Payload::D(Null), call as f64, timed_out.into()).into()
        }
        What::Trace(events) => plain(5, Payload::C(events)),
        What::Answered(Answer::Nothing) => plain(6, Payload::D(Null)),
        What::Answered(Answer::Bytes(bytes)) => plain(6, Payload::C(bytes.into())),
        What::Answered(Answer::Sessions(sessions)) => plain(6, Payload::E(sessions)),
        What::Refused(error) => plain(7, Payload::F((*error).into())),
    }
}

impl Dispatch {
    /// Reports the end of a run.
    pub(crate) fn done(&self, id: u32, outcome: Outcome) {
        self.report(id, What::Done(Box::new(outcome)));
    }

    /// Sends an event that does not count towards a run's queue.
    pub(crate) fn report(&self, id: u32, what: What) {
        self.send(Event {
            id,
            what,
            share: None,
        });
    }

    /// `false`: nobody is there any more to whom it could be sent.
    fn send(&self, event: Event) -> bool {
        let sent = catch_unwind(AssertUnwindSafe(|| {
            self.raw
                .call(event, ThreadsafeFunctionCallMode::NonBlocking)
        }));
        let sent = matches!(sent, Ok(Status::Ok));
        if !sent {
            // The environment is gone, and with it everybody who could want the event.
            self.closed.store(true, Ordering::Relaxed);
        }
        sent
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.raw.aborted()
    }
}

/// How much of a run's events waits for the JavaScript thread, or for a handler there.
#[derive(Default)]
pub(crate) struct Queue {
    bytes: AtomicUsize,
    changed: Notify,
    /// Shares of events that JavaScript has put off until a handler is done, in order. `None`: it puts none off.
    held: Mutex<Option<VecDeque<usize>>>,
}

impl Queue {
    fn held(&self) -> MutexGuard<'_, Option<VecDeque<usize>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// From now on the JavaScript thread puts off what it takes.
    pub(crate) fn hold(&self) {
        self.held().get_or_insert_default();
    }

    /// It has come to the first event that it had put off. There is none: it puts off no more.
    pub(crate) fn release(&self) {
        let mut held = self.held();
        match held.as_mut().and_then(VecDeque::pop_front) {
            Some(bytes) => self.give_back(bytes),
            None => *held = None,
        }
    }
}

/// One event's share of the queue, until it is dropped.
struct Share {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Share {
    /// The JavaScript thread has taken the event.
    fn taken(mut self) {
        if let Some(held) = self.queue.held().as_mut() {
            held.push_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.queue.give_back(self.bytes);
    }
}

/// The way of one run's events to JavaScript.
pub(crate) struct Line {
    dispatch: Arc<Dispatch>,
    id: u32,
    queue: Arc<Queue>,
}

impl Line {
    pub(crate) fn new(dispatch: Arc<Dispatch>, id: u32, queue: Arc<Queue>) -> Self {
        Self {
            dispatch,
            id,
            queue,
        }
    }

    /// Sends an event that carries so many bytes. `false`: nobody can get it any more.
    pub(crate) fn send(&self, what: What, bytes: usize) -> bool {
        let bytes = bytes + QUEUED_EVENT_BYTES;
        self.queue.bytes.fetch_add(bytes, Ordering::AcqRel);
        let queue = Arc::clone(&self.queue);
        self.dispatch.send(Event {
            id: self.id,
            what,
            share: Some(Share { queue, bytes }),
        })
    }

    /// Resolves when there is room.
    pub(crate) async fn ready(&self) {
        while self.queue.bytes.load(Ordering::Acquire) > MAX_QUEUED_BYTES
            && !self.dispatch.is_closed()
        {
            self.queue.changed.notified().await;
        }
    }
}

/// Sends a run's output to its handlers.
pub(crate) struct Sink {
    pub(crate) line: Arc<Line>,
    pub(crate) streams: Streams,
}

impl OutputSink for Sink {
    fn write(&self, stream: Stream, text: &str) {
        self.line
            .send(What::Output(stream, text.to_owned()), text.len());
    }

    fn wants(&self, stream: Stream) -> bool {
        self.streams.wants(stream)
    }

    fn trace(&self, events: &[TraceEvent]) {
        let events = encoded_trace(events);
        let bytes = events.len();
        self.line.send(What::Trace(events), bytes);
    }

    fn wants_trace(&self) -> bool {
        self.streams.trace
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.line.ready())
    }
}
