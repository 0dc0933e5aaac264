//! Snapshots whose host's part was made by somebody else: more than a guest could have, and what it could not open.

use std::sync::{Arc, Mutex};

use eryx::{
    Answers, Call, CallbackHandler, Error, ExecutionOptions, Outcome, SandboxOptions, Session,
    Storage, Value,
};

use crate::support::layout::{FILES, LAST_CALL, Layout, MEMORY_AT, OPEN_CALLS, PAGE, XORED};
use crate::support::sessions::{
    execute, refusal, session, session_of, started, suspended, suspending_session, value,
};
use crate::support::{list, runtime};

/// Changes the list that the host's part is.
fn forged(bytes: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let mut layout = Layout::parse(bytes);
    let Ok(Value::List(mut host)) = Value::from_bytes(&layout.host) else {
        panic!("the host's part is a list");
    };
    change(&mut host);
    layout.host = Value::List(host).to_bytes().expect("it is not too much");
    layout.assembled()
}

/// Keeps calls and answers none.
#[derive(Default)]
struct Keeper(Mutex<Vec<Call>>);

impl CallbackHandler for Keeper {
    fn call(&self, call: Call) {
        self.0.lock().expect("no panic").push(call);
    }
}

async fn checkpoint() -> Vec<u8> {
    let session = suspending_session(runtime());
    let outcome = session.execute("await stop(1)", ExecutionOptions::default());
    suspended(outcome.await).checkpoint
}

/// Goes on with a checkpoint whose pending calls are these. Also how many calls were made.
async fn resumed_with(last: i64, numbers: impl Iterator<Item = i64>) -> (Outcome, usize) {
    let arguments = [&b"l\x02\0\0\0"[..], b"l\0\0\0\0", b"m\0\0\0\0"].concat();
    let call = |number: i64| list([number.into(), "stop".into(), arguments.clone().into()]);
    let bytes = forged(&checkpoint().await, |host| {
        host[LAST_CALL] = last.into();
        host[OPEN_CALLS] = Value::List(numbers.map(call).collect());
    });
    resumed(bytes).await
}

/// Goes on with a checkpoint whose calls nobody answers. Also how many calls were made.
async fn resumed(bytes: Vec<u8>) -> (Outcome, usize) {
    let keeper = Arc::new(Keeper::default());
    let mut options = SandboxOptions::default();
    options.callbacks = vec!["stop".into()];
    options.callback_handler = Some(Arc::clone(&keeper) as _);
    options.limits.execution_timeout = Some(std::time::Duration::from_millis(300));
    options.limits.max_callback_invocations = None;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let execution = ExecutionOptions::default();
    let done = |outcome| drop(sender.send(outcome));
    let session = Session::resume(
        runtime(),
        options,
        bytes,
        Answers::default(),
        execution,
        done,
    );
    drop(session.expect("the options are good"));
    let outcome = receiver.await.expect("called");
    let calls = keeper.0.lock().expect("no panic").len();
    (outcome, calls)
}

#[tokio::test]
async fn no_more_calls_wait_than_a_run_can_have_in_flight() {
    let (outcome, calls) = resumed_with(4096, 1..=4096).await;
    let error = outcome.expect_err("nobody answers").error;
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(calls, 4096);
    let (outcome, calls) = resumed_with(1 << 40, 1..=4097).await;
    let refused = refusal(outcome.expect_err("too many").error);
    assert_eq!((refused.as_str(), calls), ("it is damaged", 0));
}

#[tokio::test]
async fn no_more_values_wait_than_a_run_can_have_in_flight() {
    // Each is little as bytes; what is made of them would not be.
    let half = 1_usize << 19;
    let nulls = |values: usize| {
        let count = u32::try_from(values - 2).expect("small").to_le_bytes();
        let values = vec![b'n'; values - 2];
        [&b"l\x02\0\0\0l"[..], &count, &values, b"m\0\0\0\0"].concat()
    };
    for (sizes, fits) in [([half, half], true), ([half, half + 1], false)] {
        let bytes = forged(&checkpoint().await, |host| {
            host[LAST_CALL] = 2.into();
            let call = |(number, size)| list([number, "stop".into(), nulls(size).into()]);
            let numbers = [1.into(), 2.into()];
            host[OPEN_CALLS] = Value::List(numbers.into_iter().zip(sizes).map(call).collect());
        });
        let (outcome, calls) = resumed(bytes).await;
        assert_eq!(calls, if fits { 2 } else { 0 });
        let error = outcome.expect_err("nobody answers").error;
        assert_eq!(matches!(error, Error::Timeout { .. }), fits, "{error:?}");
    }
}

#[tokio::test]
async fn each_call_that_waits_has_a_number_of_its_own_in_order() {
    for numbers in [&[1, 1][..], &[2, 1], &[0, 1], &[1, 6], &[-1], &[i64::MAX]] {
        let (outcome, calls) = resumed_with(5, numbers.iter().copied()).await;
        let refused = refusal(outcome.expect_err("contradictory").error);
        assert_eq!(
            (refused.as_str(), calls),
            ("it is damaged", 0),
            "{numbers:?}"
        );
    }
}

/// `[descriptor, path, offset, flags, readable, writable, mount, node]`
fn file(fd: i32, path: &str, offset: i64, writable: bool, mount: i32, node: i64) -> Value {
    list([
        fd.into(),
        path.into(),
        offset.into(),
        0.into(),
        true.into(),
        writable.into(),
        mount.into(),
        node.into(),
    ])
}

/// What descriptors 0 to 12 are good for, in a session with these open files.
async fn opened(session: &Session, files: Vec<Value>) -> Value {
    let source = started(runtime(), "n = open('/tmp/t', 'w').write('t')").await;
    let bytes = source.snapshot().await.expect("a snapshot");
    let bytes = forged(&bytes, |host| host[FILES] = Value::List(files));
    session.restore(bytes).await.expect("it is good");
    let code = "
import os
def tried(*call):
    try: return str(call[0](*call[1:]))
    except OSError as error: return os.strerror(error.errno)
[[fd, tried(os.read, fd, 9), tried(os.write, fd, b'x')] for fd in range(4, 13) if tried(os.fstat, fd) != 'Bad file descriptor']";
    value(session, code).await
}

#[tokio::test]
async fn the_first_descriptors_are_not_replaced() {
    let session = session(runtime());
    let files = (-1..4).map(|fd| file(fd, "/tmp/t", 0, true, 0, 9));
    let files = files.chain([file(1024, "/tmp/t", 0, true, 0, 9)]);
    assert_eq!(opened(&session, files.collect()).await, list([]));
    let result = execute(&session, "import sys\nprint('out')\nsys.stdin.read()").await;
    assert_eq!(result.output.stdout, b"out\n");
}

#[tokio::test]
async fn what_is_not_there_or_may_not_be_written_stays_closed() {
    let session = session(runtime());
    let library = "/usr/lib/python3.14/os.py";
    let files = vec![
        file(5, library, 0, true, 1, 2),
        file(6, library, 0, true, 9, 2),
        file(7, "/nowhere", 0, false, 1, 2),
        file(8, "/tmp/t", 0, true, 0, 1 << 40),
        file(9, "/tmp/t", 0, true, 0, -1),
        file(10, "/tmp/t", -1, true, 9, 2),
        file(11, library, 0, false, 1, 2),
    ];
    let found = opened(&session, files).await;
    let read = value(
        &session,
        "str(open('/usr/lib/python3.14/os.py', 'rb').read(9))",
    )
    .await;
    let closed = "Bad file descriptor";
    assert_eq!(found, list([list([11.into(), read, closed.into()])]));
}

#[tokio::test]
async fn directories_and_places_behind_every_end() {
    let session = session(runtime());
    let files = vec![
        file(5, "/tmp", 0, true, 9, 2),
        file(6, "/tmp/t", i64::MAX, true, 9, 2),
    ];
    let expected = list([
        list([5.into(), "Is a directory".into(), "Is a directory".into()]),
        list([6.into(), "b''".into(), "File too large".into()]),
    ]);
    assert_eq!(opened(&session, files).await, expected);
    execute(
        &session,
        "import os\nos.lseek(6, 0, 2), os.write(6, b'more')",
    )
    .await;
    assert_eq!(
        value(&session, "open('/tmp/t').read()").await,
        "tmore".into()
    );
}

#[tokio::test]
async fn a_storage_of_the_options_is_reached_by_path_only() {
    let files = Storage::new(1 << 20);
    files.write_file("secret", b"secret").expect("room");
    let session = session_of(runtime(), |options| options.files = Some(files.clone()));
    // Node 2 of mount 2 is the file.
    let found = opened(&session, vec![file(5, "/tmp/t", 0, true, 2, 2)]).await;
    let expected = list([5.into(), "b't'".into(), "1".into()]);
    assert_eq!(found, list([expected]));
    assert_eq!(files.read_file("secret").expect("there"), b"secret");
}

/// Bytes of the runtime's image.
async fn image_size() -> usize {
    let unused = session(runtime()).snapshot().await.expect("a snapshot");
    let size = Layout::parse(&unused).memory_size();
    usize::try_from(size).expect("it is in memory")
}

#[tokio::test]
async fn behind_the_image_what_differs_is_the_page() {
    let source = started(runtime(), "x = bytes(range(256)) * 100_000").await;
    let bytes = source.snapshot().await.expect("a snapshot");
    let end = u32::try_from(image_size().await / PAGE).expect("small");
    let mut layout = Layout::parse(&bytes);
    let mut marked = 0;
    for (first, count) in &mut layout.runs {
        if *first >= end {
            assert_eq!(*count & XORED, 0, "there is nothing to differ from");
            *count |= XORED;
            marked += 1;
        }
    }
    assert!(marked > 0, "{layout:?}");
    let session = session(runtime());
    session.restore(layout.assembled()).await.expect("good");
    let same = value(&session, "x == bytes(range(256)) * 100_000").await;
    assert_eq!(same, true.into());
}

#[tokio::test]
async fn a_run_may_be_in_pieces_and_go_beyond_the_image() {
    let source = started(runtime(), "x = [1, 2]").await;
    let mut layout = Layout::parse(&source.snapshot().await.expect("a snapshot"));
    let runs = std::mem::take(&mut layout.runs);
    for (first, count) in runs {
        let pages = count & !XORED;
        let single = |page| (first + page, (count & XORED) + 1);
        layout.runs.extend((0..pages).map(single));
    }
    // The image's last page as it is there, and pages of zeros behind it, in one run.
    let end = u32::try_from(image_size().await / PAGE).expect("small");
    layout.runs.retain(|(first, _)| *first < end - 1);
    let count = layout.count() as usize;
    let mut pages = layout.pages();
    pages.truncate(count * PAGE);
    layout.runs.push((end - 1, XORED + 17));
    pages.resize((count + 17) * PAGE, 0);
    layout.set_pages(&pages);
    let memory = (u64::from(end) + 16) * PAGE as u64;
    layout.header[MEMORY_AT..][..8].copy_from_slice(&memory.to_le_bytes());
    let session = session(runtime());
    session.restore(layout.assembled()).await.expect("good");
    assert_eq!(value(&session, "x").await, list([1.into(), 2.into()]));
}

#[tokio::test]
async fn a_run_has_pages_inside_the_memory_however_they_are_saved() {
    let bytes = session(runtime()).snapshot().await.expect("a snapshot");
    let end = u32::try_from(image_size().await / PAGE).expect("small");
    let session = session(runtime());
    for runs in [
        &[(5, XORED)][..],
        &[(end, XORED | 1)],
        &[(end - 1, XORED | 2)],
        &[(0, u32::MAX)],
        &[(u32::MAX, u32::MAX)],
        &[(5, XORED | 2), (6, 1)],
        &[(5, 2), (6, XORED | 1)],
    ] {
        let mut layout = Layout::parse(&bytes);
        layout.runs = runs.to_vec();
        layout.set_pages(&[0; 3 * PAGE]);
        let refused = session.restore(layout.assembled()).await;
        let message = refusal(refused.expect_err("no such run"));
        assert_eq!(message, "it is damaged", "{runs:?}");
    }
}
