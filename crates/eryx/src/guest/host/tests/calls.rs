//! The imports by which a guest calls the host's functions.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use wasmtime::Val;

use super::{Guest, run_state};
use crate::callback::{Call, CallbackFailure, CallbackHandler, CallbackTable, Reply};
use crate::caps::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, MAX_IN_FLIGHT_VALUES};
use crate::guest::host::Calls;
use crate::guest::interrupt::Interrupt;
use crate::threads::clock::clock;
use crate::{CancelHandle, Value};

/// Keeps what it is given.
struct Recorder {
    calls: Mutex<Vec<Call>>,
    cancelled: Mutex<Vec<u64>>,
    room: Semaphore,
}

impl CallbackHandler for Recorder {
    fn call(&self, call: Call) {
        self.calls.lock().expect("not poisoned").push(call);
    }

    fn cancel(&self, id: u64, _: crate::callback::GivenUp) {
        self.cancelled.lock().expect("not poisoned").push(id);
        self.room.add_permits(1);
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async { self.room.acquire().await.expect("never closed").forget() })
    }
}

impl Recorder {
    /// Room for so many calls.
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            cancelled: Mutex::default(),
            room: Semaphore::new(room),
        })
    }

    fn ids(&self) -> Vec<u64> {
        let calls = self.calls.lock().expect("not poisoned");
        calls.iter().map(|call| call.id).collect()
    }

    fn replies(&self) -> Vec<Reply> {
        let mut calls = self.calls.lock().expect("not poisoned");
        calls.drain(..).map(|call| call.reply).collect()
    }

    fn cancelled(&self) -> Vec<u64> {
        self.cancelled.lock().expect("not poisoned").clone()
    }
}

const PAGES: u32 = 1100;
/// One byte behind the memory.
const END: i32 = (PAGES << 16).cast_signed();
/// Arguments of a call: nothing.
const NOTHING: &[u8] = b"l\x02\0\0\0l\0\0\0\0m\0\0\0\0";
/// Where these are.
const AT: i32 = 4096;
const SIZE: i32 = 15;
/// Where answers are read to.
const INTO: i32 = 8192;

/// A guest with two callbacks.
fn guest(handler: &Arc<Recorder>, limit: Option<u64>, timeout: Option<Duration>) -> Guest {
    let definitions = vec!["first".into(), "second".into()];
    let table = CallbackTable::new(definitions, Some(Arc::clone(handler) as _), timeout);
    let calls = Calls::new(Arc::new(table.expect("good names")), None, limit);
    let mut run = run_state(calls);
    run.interrupt = Interrupt::new(Instant::now(), None, CancelHandle::new());
    let mut guest = Guest::new(run, PAGES);
    guest.put(4096, NOTHING);
    guest
}

impl Guest {
    async fn start(&mut self, callback: u32, at: i32, size: i32) -> i64 {
        let arguments = [
            Val::I32(callback.cast_signed()),
            Val::I32(at),
            Val::I32(size),
        ];
        let result = self.call("eryx.call", &arguments).await;
        result.expect("no trap").expect("a number").unwrap_i64()
    }

    async fn cancel(&mut self, call: i64) {
        let result = self.call("eryx.cancel", &[Val::I64(call)]).await;
        assert!(result.expect("no trap").is_none());
    }

    /// Whether there is an answer; its header is at `into`.
    async fn next(&mut self, into: i32) -> i32 {
        let result = self.call("eryx.next_answer", &[Val::I32(into)]).await;
        result.expect("no trap").expect("a number").unwrap_i32()
    }

    /// Call, kind and size of the next answer.
    async fn header(&mut self) -> Option<(i64, u32, u32)> {
        (self.next(INTO).await == 1).then(|| {
            let header = &self.bytes()[8192..8208];
            let word = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().expect("4"));
            let call = i64::from_le_bytes(*header.first_chunk().expect("8"));
            (call, word(8), word(12))
        })
    }

    async fn read(&mut self, into: i32) {
        let result = self.call("eryx.read_answer", &[Val::I32(into)]).await;
        assert!(result.expect("no trap").is_none());
    }

    async fn wait(&mut self, time: Duration) -> i32 {
        let nanoseconds = i64::try_from(time.as_nanos()).expect("short");
        let result = self.call("eryx.wait", &[Val::I64(nanoseconds)]).await;
        result.expect("no trap").expect("a number").unwrap_i32()
    }
}

#[tokio::test]
async fn refusals_have_numbers() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, Some(2), None);
    for callback in [2, 3, 1 << 31, u32::MAX] {
        assert_eq!(guest.start(callback, AT, SIZE).await, -1);
        assert_eq!(guest.start(callback, -1, -1).await, -4);
    }
    assert_eq!(guest.start(0, AT, SIZE - 1).await, -4);
    assert_eq!(guest.start(0, AT, SIZE + 1).await, -4);
    assert_eq!(guest.start(0, AT + 1, SIZE).await, -4);
    assert_eq!(guest.start(0, AT, SIZE).await, 1);
    assert_eq!(guest.start(1, AT, SIZE).await, 2);
    assert_eq!(guest.start(1, AT, SIZE).await, -2);
    assert_eq!(guest.start(1, AT, 0).await, -2);
    assert_eq!(guest.start(9, AT, SIZE).await, -1);
    let calls = handler.calls.lock().expect("not poisoned");
    let seen: Vec<_> = calls.iter().map(|call| call.callback).collect();
    assert_eq!(seen, [0, 1]);
    assert!(calls.iter().all(|call| call.arguments == NOTHING));
    assert_eq!(guest.host().calls.started(), 2);
}

#[tokio::test]
async fn without_callbacks_every_one_is_unknown() {
    let mut guest = Guest::new(run_state(Calls::default()), 1);
    guest.put(4096, NOTHING);
    assert_eq!(guest.start(0, AT, SIZE).await, -1);
    assert_eq!(guest.next(INTO).await, 0);
    guest.read(INTO).await;
    guest.cancel(1).await;
}

#[tokio::test]
async fn arguments_outside_of_memory_start_nothing() {
    let handler = Recorder::new(1000);
    let mut guest = guest(&handler, None, None);
    for at in [0, AT, END - 15, END - 1, END, i32::MAX, i32::MIN, -15, -1] {
        for size in [0, 1, 14, END, i32::MAX, i32::MIN, -1] {
            assert_eq!(guest.start(0, at, size).await, -4, "{at} {size}");
        }
    }
    assert!(handler.ids().is_empty());
    guest.put((PAGES as usize) << 16 >> 1, NOTHING);
    let last = (PAGES as usize) * 65_536 - 15;
    guest.put(last, NOTHING);
    assert_eq!(guest.start(0, END - 15, SIZE).await, 1);
}

#[tokio::test]
async fn arguments_that_are_no_call_start_nothing() {
    let handler = Recorder::new(1000);
    let mut guest = guest(&handler, None, None);
    let deep = [
        &b"l\x02\0\0\0"[..],
        &b"l\x01\0\0\0".repeat(300),
        b"nm\0\0\0\0",
    ]
    .concat();
    let many = [
        &b"l\x02\0\0\0l"[..],
        &2_000_000u32.to_le_bytes(),
        &vec![b'n'; 2_000_000],
        b"m\0\0\0\0",
    ]
    .concat();
    for bad in [
        &b"n"[..],
        b"l\x02\0\0\0nn",
        b"l\x02\0\0\0m\0\0\0\0l\0\0\0\0",
        b"l\x03\0\0\0l\0\0\0\0m\0\0\0\0n",
        b"l\x02\0\0\0l\xff\xff\xff\xffm\0\0\0\0",
        b"l\x02\0\0\0l\0\0\0\0m\xff\xff\xff\xff",
        b"l\x02\0\0\0l\x01\0\0\0s\xff\xff\xff\xffm\0\0\0\0",
        b"l\x02\0\0\0l\x01\0\0\0s\x01\0\0\0\xffm\0\0\0\0",
        b"l\x02\0\0\0l\x01\0\0\0?m\0\0\0\0",
        &deep,
        &many,
    ] {
        guest.put(1 << 20, bad);
        let size = i32::try_from(bad.len()).expect("small");
        assert_eq!(guest.start(0, 1 << 20, size).await, -4);
    }
    assert_eq!((handler.ids().len(), guest.host().calls.started()), (0, 0));
}

#[tokio::test]
async fn calls_in_flight_are_capped() {
    let handler = Recorder::new(3 * MAX_IN_FLIGHT);
    let mut guest = guest(&handler, None, None);
    let most = i64::try_from(MAX_IN_FLIGHT).expect("small");
    for call in 1..=most {
        assert_eq!(guest.start(0, AT, SIZE).await, call);
    }
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
    guest.cancel(7).await;
    assert_eq!(guest.start(0, AT, SIZE).await, most + 1);
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
    // Answered is not taken: as long as the answer waits it takes room.
    for reply in handler.replies() {
        reply.send(Ok(Value::Null));
    }
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
    assert_eq!(guest.header().await, Some((1, 0, 1)));
    assert_eq!(guest.start(0, AT, SIZE).await, most + 2);
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
}

#[tokio::test]
async fn bytes_in_flight_are_capped() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, None);
    let blob = |size: usize| {
        let count = u32::try_from(size).expect("small").to_le_bytes();
        [
            b"l\x02\0\0\0l\x01\0\0\0b",
            &count[..],
            &vec![1; size],
            b"m\0\0\0\0",
        ]
        .concat()
    };
    let large = blob(MAX_IN_FLIGHT_BYTES - 20);
    assert_eq!(large.len(), MAX_IN_FLIGHT_BYTES);
    let size = i32::try_from(large.len()).expect("64 MiB");
    guest.put(1 << 20, &large);
    assert_eq!(guest.start(0, 1 << 20, size).await, 1);
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
    guest.cancel(1).await;
    assert_eq!(guest.start(0, AT, SIZE).await, 2);
    assert_eq!(guest.start(0, 1 << 20, size).await, -3);
    guest.cancel(2).await;
    // More than a message may be is refused for good, and not for now.
    guest.put(1 << 20, &blob(MAX_IN_FLIGHT_BYTES - 19));
    assert_eq!(guest.start(0, 1 << 20, size + 1).await, -4);
}

#[tokio::test]
async fn values_in_flight_are_capped() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, None);
    let nulls = |values: usize| {
        let count = u32::try_from(values - 2).expect("small").to_le_bytes();
        let values = vec![b'n'; values - 2];
        [&b"l\x02\0\0\0l"[..], &count, &values, b"m\0\0\0\0"].concat()
    };
    let half = nulls(MAX_IN_FLIGHT_VALUES / 2);
    let size = i32::try_from(half.len()).expect("1 MiB");
    guest.put(1 << 20, &half);
    assert_eq!(guest.start(0, 1 << 20, size).await, 1);
    assert_eq!(guest.start(0, 1 << 20, size).await, 2);
    assert_eq!(guest.start(0, AT, SIZE).await, -3);
    guest.cancel(1).await;
    assert_eq!(guest.start(0, AT, SIZE).await, 3);
    assert_eq!(guest.start(0, 1 << 20, size).await, -3);
}

#[tokio::test]
async fn answers_come_once_and_in_order() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, None);
    for call in 1..=3 {
        assert_eq!(guest.start(0, AT, SIZE).await, call);
    }
    assert_eq!(guest.header().await, None);
    let mut replies = handler.replies();
    replies.pop().expect("3").send(Ok("three".into()));
    let failure = CallbackFailure::Raised {
        name: "E".into(),
        message: "m".into(),
    };
    replies.pop().expect("2").send(Err(failure));
    replies
        .pop()
        .expect("1")
        .send(Err(CallbackFailure::Arguments("no".into())));
    assert_eq!(guest.header().await, Some((3, 0, 10)));
    guest.read(INTO).await;
    assert_eq!(guest.bytes()[8192..8202], *b"s\x05\0\0\0three");
    // It is gone then.
    guest.bytes()[8192..8202].fill(0);
    guest.read(INTO).await;
    assert_eq!(guest.bytes()[8192..8202], [0; 10]);
    assert_eq!(guest.header().await, Some((2, 1, 17)));
    // Not read: the next one takes its place.
    assert_eq!(guest.header().await, Some((1, 2, 7)));
    guest.read(INTO).await;
    assert_eq!(guest.bytes()[8192..8199], *b"s\x02\0\0\0no");
    assert_eq!(guest.header().await, None);
    guest.read(INTO + 100).await;
    assert_eq!(guest.bytes()[8292..8299], [0; 7]);
}

#[tokio::test]
async fn bad_pointers_lose_no_answer_that_was_not_announced() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, None);
    guest.start(0, AT, SIZE).await;
    guest.start(0, AT, SIZE).await;
    for reply in handler.replies() {
        reply.send(Ok(vec![5u8; 100].into()));
    }
    for into in [END - 15, END - 1, END, i32::MAX, i32::MIN, -16, -1] {
        assert_eq!(guest.next(into).await, 0, "{into}");
    }
    assert_eq!(guest.next(END - 16).await, 1);
    for into in [END - 104, END, i32::MIN, -1] {
        let before = guest.bytes().to_vec();
        guest.read(into).await;
        assert!(guest.bytes() == before, "{into}");
    }
    assert_eq!(guest.header().await, Some((2, 0, 105)));
    guest.read(END - 105).await;
    assert!(guest.bytes().ends_with(&[5; 100]));
}

#[tokio::test]
async fn cancelling_tells_the_handler_once() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, None);
    for _ in 0..3 {
        guest.start(0, AT, SIZE).await;
    }
    let ids = handler.ids();
    for call in [0, -1, 4, i64::MAX, i64::MIN, 2, 2, 2] {
        guest.cancel(call).await;
    }
    assert_eq!(handler.cancelled(), ids[1..2]);
    // One that is answered needs no cancelling, and its answer is gone too.
    let mut replies = handler.replies();
    replies.remove(0).send(Ok(1.into()));
    guest.cancel(1).await;
    assert_eq!(handler.cancelled(), ids[1..2]);
    assert_eq!(guest.header().await, None);
    guest.host().calls.finish();
    assert_eq!(handler.cancelled(), ids[1..3]);
}

#[tokio::test]
async fn late_answers_are_not_kept() {
    let handler = Recorder::new(10_000);
    let mut guest = guest(&handler, None, None);
    for call in 1..=10_000 {
        assert_eq!(guest.start(0, AT, SIZE).await, call);
        guest.cancel(call).await;
        for reply in handler.replies() {
            reply.send(Ok(vec![0u8; 1000].into()));
        }
    }
    assert!(!guest.host().calls.has_answers());
    // So a wait is not ended by them.
    let started = Instant::now();
    assert_eq!(guest.wait(Duration::from_millis(20)).await, 1);
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn a_call_that_timed_out_is_answered_once() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, Some(Duration::from_millis(30)));
    guest.start(0, AT, SIZE).await;
    guest.start(0, AT, SIZE).await;
    let ids = handler.ids();
    let mut replies = handler.replies();
    // In time, though it is taken later.
    replies.pop().expect("2").send(Ok(Value::Null));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(guest.header().await, Some((2, 0, 1)));
    assert_eq!(guest.wait(Duration::from_secs(5)).await, 1);
    assert_eq!(handler.cancelled(), ids[..1]);
    replies.pop().expect("1").send(Ok(Value::Null));
    assert_eq!(guest.header().await, Some((1, 3, 9)));
    guest.read(INTO).await;
    let milliseconds = 30f64.to_le_bytes();
    assert_eq!(
        guest.bytes()[8192..8201],
        *[&b"d"[..], &milliseconds].concat()
    );
    assert_eq!(guest.header().await, None);
    guest.host().calls.finish();
    assert_eq!(handler.cancelled(), ids[..1]);
}

#[tokio::test]
async fn answers_nobody_takes_are_as_many_as_calls_in_flight() {
    let handler = Recorder::new(3 * MAX_IN_FLIGHT);
    let mut guest = guest(&handler, None, Some(Duration::ZERO));
    let mut refused = 0;
    for _ in 0..2 * MAX_IN_FLIGHT {
        refused += i32::from(guest.start(0, AT, SIZE).await == -3);
        guest.host().calls.expire();
        drop(handler.replies());
    }
    assert_eq!(refused, i32::try_from(MAX_IN_FLIGHT).expect("small"));
    assert_eq!(handler.cancelled().len(), MAX_IN_FLIGHT);
}

#[tokio::test]
async fn the_end_cancels_what_is_open() {
    let handler = Recorder::new(100);
    let mut guest = guest(&handler, None, Some(Duration::from_mins(1)));
    for _ in 0..3 {
        guest.start(0, AT, SIZE).await;
    }
    let ids = handler.ids();
    let mut replies = handler.replies();
    replies.remove(1).send(Ok(Value::Null));
    guest.host().calls.finish();
    let mut told = handler.cancelled();
    told.sort_unstable();
    assert_eq!(told, [ids[0], ids[2]]);
    for reply in replies {
        reply.send(Ok(Value::Null));
    }
    assert!(!guest.host().calls.has_answers());
}

#[tokio::test]
async fn a_handler_without_room_holds_the_guest_back() {
    let handler = Recorder::new(1);
    let mut guest = guest(&handler, None, None);
    assert_eq!(guest.start(0, AT, SIZE).await, 1);
    let soon = tokio::time::timeout(Duration::from_millis(30), guest.start(0, AT, SIZE)).await;
    assert!(soon.is_err(), "{soon:?}");
    let later = Arc::clone(&handler);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        later.room.add_permits(1);
    });
    assert_eq!(guest.start(0, AT, SIZE).await, 2);
    // The end of the run comes through.
    let cancel = CancelHandle::new();
    guest.host().interrupt = Interrupt::new(Instant::now(), None, cancel.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        cancel.cancel();
    });
    assert_eq!(guest.start(0, AT, SIZE).await, 3);
    assert!(guest.host().interrupt.stopped());
}

#[tokio::test]
async fn timeouts_pass_while_the_guest_is_held_back() {
    let handler = Recorder::new(1);
    let mut guest = guest(&handler, None, Some(Duration::from_millis(30)));
    assert_eq!(guest.start(0, AT, SIZE).await, 1);
    // Room is made by the end of the first call.
    let second = tokio::time::timeout(Duration::from_mins(1), guest.start(0, AT, SIZE)).await;
    assert_eq!(second, Ok(2));
    assert_eq!(handler.cancelled(), handler.ids()[..1]);
}

/// One test for all: what computes is counted for the whole process.
#[tokio::test]
async fn a_guest_that_waits_below_an_import_does_not_compute() {
    let computing = || clock().count();
    let handler = Recorder::new(0);
    let mut guest = guest(&handler, None, None);
    guest.host().brake = eryx_memory::Brake::of_nothing().ok();
    guest.host().set_computing(true);
    assert_eq!(computing(), 1);

    // `time.sleep`: one clock, far away.
    guest.put(0, &[0; 48]);
    guest.put(24, &u64::MAX.to_le_bytes());
    let arguments = [0, 64, 1, 128].map(Val::I32);
    let name = "wasi_snapshot_preview1.poll_oneoff";
    assert!(pends(&mut pin!(guest.call(name, &arguments)), || computing() == 0).await);
    guest.host().set_computing(true);

    // A loop below a function waits for an answer.
    let forever = Duration::from_hours(1);
    assert!(pends(&mut pin!(guest.wait(forever)), || computing() == 0).await);
    guest.host().set_computing(true);

    // A call for which the handler has no room; then it has, and the guest computes again.
    let mut call = Box::pin(guest.start(0, AT, SIZE));
    assert!(pends(&mut call, || computing() == 0).await);
    handler.room.add_permits(1);
    assert_eq!(call.await, 1);
    assert_eq!(computing(), 1);
    guest.host().set_computing(false);
    assert_eq!(computing(), 0);
}

/// Polls `future` once, which must wait, and asks `then`.
async fn pends<T>(future: &mut (impl Future<Output = T> + Unpin), then: impl Fn() -> bool) -> bool {
    std::future::poll_fn(|context| {
        Poll::Ready(Pin::new(&mut *future).poll(context).is_pending() && then())
    })
    .await
}
