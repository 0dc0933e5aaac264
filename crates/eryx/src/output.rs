//! Captured stdout and stderr.

pub(crate) mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::caps::{MAX_EVENT_BYTES, MAX_EVENTS};
use crate::output::trace::TraceEvent;

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// Receives output while the code runs, decoded, in order, from the thread that runs it.
///
/// [`ready`](OutputSink::ready) is awaited before each write of the guest, and so holds the guest back.
pub trait OutputSink: Send + Sync {
    /// One piece of text. Called with at least one character.
    fn write(&self, stream: Stream, text: &str);
    /// Whether this stream is wanted at all.
    fn wants(&self, stream: Stream) -> bool;
    /// Events of a traced run, in order.
    fn trace(&self, _events: &[TraceEvent]) {}
    /// Whether events are wanted: the run is traced.
    fn wants_trace(&self) -> bool {
        false
    }
    /// Resolves when the sink has room.
    fn ready(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What a run put out and used, however it ended. Empty and zero if nothing was started.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ExecutionOutput {
    /// Exactly the bytes written to file descriptor 1.
    pub stdout: Vec<u8>,
    /// Exactly the bytes written to file descriptor 2.
    pub stderr: Vec<u8>,
    /// Whether something was dropped because of `max_output_bytes`.
    pub truncated: bool,
    /// What it did, if events were to be collected.
    pub trace: Vec<TraceEvent>,
    /// Whether events were dropped: there were more than 100,000, or than 16 MiB of them.
    pub trace_truncated: bool,
    /// What went wrong without ending the run, 100 of them at most.
    pub warnings: Vec<Warning>,
    /// What it took.
    pub usage: Usage,
}

/// What a run took.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// Calls of callbacks that it made.
    pub callback_invocations: u64,
    /// From the start of the run to its end.
    pub duration: Duration,
    /// Bytes of linear memory at the end. It never shrinks during a run.
    pub peak_memory_bytes: u64,
    /// Wasm instructions, if they were counted.
    pub fuel_consumed: Option<u64>,
}

/// Something that is probably a mistake in the code, though the run went on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// For people, and for who wrote the code.
    pub message: String,
    /// The callback that it is about.
    pub callback: Option<String>,
}

/// What a [`Warning`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A coroutine was made and never awaited: nothing of it ran.
    NeverAwaited,
    /// The result, or the value of the last expression, could not cross.
    NotTransferable,
}

impl WarningKind {
    /// As the npm package names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverAwaited => "never-awaited",
            Self::NotTransferable => "not-transferable",
        }
    }
}

/// Collects and forwards output under a limit.
pub(crate) struct Output {
    collected: ExecutionOutput,
    remaining: u64,
    /// Room for collected events: their number and bytes. `None`: nobody collects.
    trace_room: Option<(usize, usize)>,
    sink: Option<Arc<dyn OutputSink>>,
    /// Bytes of a character whose end has not arrived, per stream.
    partial: [Vec<u8>; 2],
}

impl Output {
    pub(crate) fn new(limit: Option<u64>, sink: Option<Arc<dyn OutputSink>>) -> Self {
        Self {
            trace_room: None,
            collected: ExecutionOutput::default(),
            remaining: limit.unwrap_or(u64::MAX),
            sink,
            partial: [Vec::new(), Vec::new()],
        }
    }

    /// What comes is only collected from now on: the sink panicked.
    pub(crate) fn silence(&mut self) {
        self.sink = None;
    }

    pub(crate) fn sink(&self) -> Option<Arc<dyn OutputSink>> {
        self.sink.clone()
    }

    /// Takes what the limit lets in. The rest counts as written: a guest that prints too much goes on.
    pub(crate) fn write(&mut self, stream: Stream, data: &[u8]) {
        let room = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(data.len());
        let kept = &data[..room];
        self.remaining -= room as u64;
        self.collected.truncated |= room < data.len();
        match stream {
            Stream::Stdout => self.collected.stdout.extend_from_slice(kept),
            Stream::Stderr => self.collected.stderr.extend_from_slice(kept),
        }
        self.forward(stream, kept);
    }

    /// From now on events are collected.
    pub(crate) fn collect_trace(&mut self) {
        self.trace_room = Some((MAX_EVENTS, MAX_EVENT_BYTES));
    }

    /// Takes events, as far as they are wanted and fit.
    pub(crate) fn trace(&mut self, events: Vec<TraceEvent>) {
        if let Some(sink) = self.sink.as_ref().filter(|sink| sink.wants_trace()) {
            sink.trace(&events);
        }
        for event in events {
            let Some((count, bytes)) = self.trace_room else {
                continue;
            };
            let left = count.checked_sub(1).zip(bytes.checked_sub(event.size()));
            // Nothing after a gap.
            self.trace_room = left.or(Some((0, 0)));
            if left.is_some() {
                self.collected.trace.push(event);
            } else {
                self.collected.trace_truncated = true;
            }
        }
    }

    fn forward(&mut self, stream: Stream, data: &[u8]) {
        let Some(sink) = self.sink.as_ref().filter(|sink| sink.wants(stream)) else {
            return;
        };
        let partial = &mut self.partial[stream as usize];
        partial.extend_from_slice(data);
        let complete = partial.len() - incomplete_suffix(partial);
        if complete > 0 {
            sink.write(stream, &String::from_utf8_lossy(&partial[..complete]));
            partial.drain(..complete);
        }
    }

    /// Ends the run's output: forwards what was held back and hands out what was collected.
    pub(crate) fn finish(&mut self) -> ExecutionOutput {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.partial[stream as usize]);
            if let Some(sink) = self.sink.as_ref().filter(|_| !rest.is_empty()) {
                sink.write(stream, &String::from_utf8_lossy(&rest));
            }
        }
        self.sink = None;
        std::mem::take(&mut self.collected)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

/// How many bytes at the end may be the beginning of a character: 0 to 3.
fn incomplete_suffix(bytes: &[u8]) -> usize {
    let lead = bytes
        .iter()
        .rev()
        .take(3)
        .position(|byte| byte & 0xC0 == 0xC0);
    let length = lead.map_or(0, |back| back + 1);
    if length > 0 && length < utf8_length(bytes[bytes.len() - length]) {
        length
    } else {
        0
    }
}

fn utf8_length(lead: u8) -> usize {
    match lead {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_of_a_split_character() {
        let text = "aé€😀".as_bytes();
        assert_eq!(incomplete_suffix(text), 0);
        for cut in 1..4 {
            assert_eq!(
                incomplete_suffix(&text[..text.len() - cut]),
                4 - cut,
                "cut {cut}"
            );
        }
        assert_eq!(incomplete_suffix(b"\xff\xff\xff\xff"), 0);
        assert_eq!(incomplete_suffix(b"ab\x80\x80\x80"), 0);
    }

    #[test]
    fn limit_is_shared_and_flagged() {
        let mut output = Output::new(Some(5), None);
        output.write(Stream::Stdout, b"abc");
        output.write(Stream::Stderr, b"defg");
        let collected = output.finish();
        assert_eq!(
            (
                &collected.stdout[..],
                &collected.stderr[..],
                collected.truncated
            ),
            (&b"abc"[..], &b"de"[..], true)
        );
    }
}
