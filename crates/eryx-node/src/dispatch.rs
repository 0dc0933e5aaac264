//! Events for the JavaScript thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use eryx::{Outcome, OutputSink, Stream};
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use tokio::sync::Notify;

use crate::options::Streams;
use crate::to_js::OutcomeObject;

/// `dispatch(kind, id, payload)`: kind 0 is the end of a run, 1 is text of stdout, 2 of stderr.
pub(crate) type Arguments = FnArgs<(u32, u32, Payload)>;

/// Text on its way to handlers, per run. A guest that prints faster than they read waits.
const MAX_QUEUED_BYTES: usize = 256 << 10;

/// Something that happened on a worker thread.
pub(crate) enum Event {
    Done(u32, Box<Outcome>),
    Output {
        id: u32,
        stream: Stream,
        text: String,
        queue: Arc<Queue>,
    },
}

/// What an event carries, converted on the JavaScript thread.
pub(crate) type Payload = Either<OutcomeObject, String>;

type Raw = ThreadsafeFunction<Event, (), Arguments, Status, false, true, 0>;

/// Where the events of one environment go. Does not keep the process alive: `js/pending.js` does that.
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

fn arguments(event: Event) -> Arguments {
    match event {
        Event::Done(id, outcome) => (0, id, Either::A((*outcome).into())).into(),
        Event::Output {
            id,
            stream,
            text,
            queue,
        } => {
            queue.left(text.len());
            let kind = if stream == Stream::Stdout { 1 } else { 2 };
            (kind, id, Either::B(text)).into()
        }
    }
}

impl Dispatch {
    pub(crate) fn send(&self, event: Event) {
        let sent = catch_unwind(AssertUnwindSafe(|| {
            self.raw
                .call(event, ThreadsafeFunctionCallMode::NonBlocking)
        }));
        if !matches!(sent, Ok(Status::Ok)) {
            // The environment is gone, and with it everybody who could want the event.
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.raw.aborted()
    }
}

/// How much text of a run waits for its handlers.
#[derive(Default)]
pub(crate) struct Queue {
    bytes: AtomicUsize,
    changed: Notify,
}

impl Queue {
    fn left(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

/// Sends a run's output to its handlers.
pub(crate) struct Sink {
    dispatch: Arc<Dispatch>,
    id: u32,
    streams: Streams,
    queue: Arc<Queue>,
}

impl Sink {
    pub(crate) fn new(dispatch: Arc<Dispatch>, id: u32, streams: Streams) -> Self {
        Self {
            dispatch,
            id,
            streams,
            queue: Arc::default(),
        }
    }
}

impl OutputSink for Sink {
    fn write(&self, stream: Stream, text: &str) {
        self.queue.bytes.fetch_add(text.len(), Ordering::AcqRel);
        let queue = Arc::clone(&self.queue);
        self.dispatch.send(Event::Output {
            id: self.id,
            stream,
            text: text.to_owned(),
            queue,
        });
    }

    fn wants(&self, stream: Stream) -> bool {
        self.streams.wants(stream)
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            while self.queue.bytes.load(Ordering::Acquire) > MAX_QUEUED_BYTES
                && !self.dispatch.is_closed()
            {
                self.queue.changed.notified().await;
            }
        })
    }
}
