//! Captured and streamed output.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eryx::{ExecutionOptions, OutputSink, Stream};

use crate::support::{printed, said_alone, sandbox, sandbox_with, succeed, text, within};

#[tokio::test]
async fn streams_are_apart_and_exact() {
    let result = succeed(
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.stdout.write('no newline')",
    )
    .await;
    assert_eq!(result.output.stdout, b"out\nno newline");
    assert_eq!(result.output.stderr, b"err\n");
    assert!(!result.output.truncated);
}

#[tokio::test]
async fn every_way_to_write() {
    let out = printed(
        "
import os, sys
print('print')
sys.stdout.write('write\\n')
sys.stdout.writelines(['lines\\n'])
sys.stdout.flush()
sys.stdout.buffer.write(b'buffer\\n')
sys.stdout.flush()
os.write(1, b'os.write\\n')
os.write(sys.stdout.fileno(), b'fileno\\n')
open(1, 'w', closefd=False).write('open\\n')
sys.__stdout__.write('__stdout__\\n')
sys.stdout.reconfigure(line_buffering=True)
print(sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.line_buffering)",
    )
    .await;
    assert_eq!(
        out,
        "print\nwrite\nlines\nbuffer\nos.write\nfileno\nopen\n__stdout__\nFalse utf-8 True\n"
    );
}

#[tokio::test]
async fn nothing_reaches_the_hosts_own_output() {
    // The test harness captures prints of this process, not its descriptors: a child's are read whole.
    let test = "runs::output::nothing_reaches_the_hosts_own_output";
    if let Some(said) = said_alone("env", &[], test) {
        assert!(!said.contains("leaked"), "{said}");
        return;
    }
    let result = succeed("import os, sys\nfor fd in range(1, 64):\n    try: os.write(fd, b'leaked')\n    except OSError: pass\nprint('leaked', file=sys.__stderr__)").await;
    assert_eq!(result.output.stdout, b"leaked");
}

#[tokio::test]
async fn bytes_that_are_no_text() {
    let result =
        succeed("import os\nos.write(1, bytes(range(256)))\nprint('\\udcff', end='')").await;
    let expected: Vec<u8> = (0..=255).chain([255]).collect();
    assert_eq!(result.output.stdout, expected);
}

#[tokio::test]
async fn fifty_megabytes_are_cut() {
    let result =
        succeed("for _ in range(50): print('x' * (1 << 20))\nprint('went on')\n'done'").await;
    assert_eq!(result.output.stdout.len(), 10 << 20);
    assert!(result.output.truncated);
    assert_eq!(result.value, Some("done".into()));
}

#[tokio::test]
async fn a_gigabyte_is_cut() {
    let code = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(1024): assert os.write(1, block) == len(block)\n'done'";
    let result = sandbox()
        .execute(code, within(Duration::from_mins(1)))
        .await
        .expect("it goes on");
    assert_eq!(result.output.stdout.len(), 10 << 20);
    assert!(result.output.truncated);
}

#[tokio::test]
async fn the_limit_counts_both_streams() {
    let sandbox = sandbox_with(|limits| limits.max_output_bytes = Some(10));
    let code = "import os\nos.write(1, b'123456')\nos.write(2, b'abcdef')\nos.write(1, b'7')";
    let result = sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(
        (text(&result.output.stdout), text(&result.output.stderr)),
        ("123456".into(), "abcd".into())
    );
    assert!(result.output.truncated);
    let result = sandbox
        .execute("print('12345678')", ExecutionOptions::default())
        .await
        .expect("runs");
    assert!(!result.output.truncated);
    let none = sandbox_with(|limits| limits.max_output_bytes = Some(0));
    let result = none
        .execute("print('x')", ExecutionOptions::default())
        .await
        .expect("runs");
    assert!(result.output.truncated && result.output.stdout.is_empty());
}

/// Remembers what it gets.
#[derive(Default)]
struct Recorder {
    pieces: Mutex<Vec<(bool, String, Instant)>>,
    only_stderr: bool,
    never_ready: bool,
    delay: Option<Duration>,
}

impl OutputSink for Recorder {
    fn write(&self, stream: Stream, text: &str) {
        let piece = (stream == Stream::Stderr, text.to_owned(), Instant::now());
        self.pieces.lock().expect("no panic").push(piece);
    }

    fn wants(&self, stream: Stream) -> bool {
        !self.only_stderr || stream == Stream::Stderr
    }

    fn ready(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.never_ready {
                std::future::pending::<()>().await;
            }
            if let Some(delay) = self.delay {
                tokio::time::sleep(delay).await;
            }
        })
    }
}

impl Recorder {
    fn text(&self, stderr: bool) -> String {
        let pieces = self.pieces.lock().expect("no panic");
        pieces
            .iter()
            .filter(|piece| piece.0 == stderr)
            .map(|piece| piece.1.as_str())
            .collect()
    }
}

fn streamed_to(recorder: &Arc<Recorder>, timeout: Duration) -> ExecutionOptions {
    let mut options = within(timeout);
    options.sink = Some(Arc::clone(recorder) as _);
    options
}

#[tokio::test]
async fn output_arrives_while_the_code_runs() {
    let recorder = Arc::new(Recorder::default());
    let code = "import sys, time\nprint('first')\nprint('error', file=sys.stderr)\ntime.sleep(0.5)\nprint('second')\nprint('no newline', end='')";
    let result = sandbox()
        .execute(code, streamed_to(&recorder, Duration::from_secs(20)))
        .await
        .expect("runs");
    assert_eq!(recorder.text(false), "first\nsecond\nno newline");
    assert_eq!(recorder.text(true), "error\n");
    assert_eq!(result.output.stdout, b"first\nsecond\nno newline");
    let pieces = recorder.pieces.lock().expect("no panic");
    let time = |text: &str| {
        pieces
            .iter()
            .find(|piece| piece.1.contains(text))
            .expect("arrived")
            .2
    };
    assert!(time("second") - time("first") >= Duration::from_millis(400));
    assert!(pieces.iter().all(|piece| !piece.1.is_empty()));
}

#[tokio::test]
async fn characters_are_not_torn() {
    let recorder = Arc::new(Recorder::default());
    let code = "
import os
for byte in 'aé€😀'.encode(): os.write(1, bytes([byte]))
os.write(1, b'\\xe2\\x82')
os.write(2, b'\\xff|')";
    sandbox()
        .execute(code, streamed_to(&recorder, Duration::from_secs(20)))
        .await
        .expect("runs");
    assert_eq!(recorder.text(false), "aé€😀\u{FFFD}");
    assert_eq!(recorder.text(true), "\u{FFFD}|");
}

#[tokio::test]
async fn only_the_wanted_stream_is_forwarded() {
    let recorder = Arc::new(Recorder {
        only_stderr: true,
        ..Recorder::default()
    });
    let code = "import os\nos.write(1, b'out\\xe2')\nos.write(2, b'err\\xe2')";
    let result = sandbox()
        .execute(code, streamed_to(&recorder, Duration::from_secs(20)))
        .await
        .expect("runs");
    assert_eq!(recorder.text(false), "");
    assert_eq!(recorder.text(true), "err\u{FFFD}");
    assert_eq!(result.output.stdout, b"out\xe2");
}

#[tokio::test]
async fn a_slow_sink_holds_the_guest_back() {
    let recorder = Arc::new(Recorder {
        delay: Some(Duration::from_millis(20)),
        ..Recorder::default()
    });
    let started = Instant::now();
    let result = sandbox()
        .execute(
            "for i in range(10): print(i)",
            streamed_to(&recorder, Duration::from_secs(20)),
        )
        .await
        .expect("runs");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(result.output.stdout, recorder.text(false).into_bytes());
}

#[tokio::test]
async fn a_sink_that_is_never_ready_does_not_outlast_the_deadline() {
    let recorder = Arc::new(Recorder {
        never_ready: true,
        ..Recorder::default()
    });
    let limit = Duration::from_millis(400);
    let started = Instant::now();
    let run = sandbox();
    let run = run.execute("print('x')", streamed_to(&recorder, limit));
    let outcome = tokio::time::timeout(limit + crate::support::SLACK, run)
        .await
        .expect("the deadline counts while the sink is waited for");
    crate::support::assert_timed_out(outcome, started, limit);
}

#[tokio::test]
async fn ten_thousand_prints() {
    let result = succeed("for i in range(10_000): print(i)").await;
    assert_eq!(text(&result.output.stdout).lines().count(), 10_000);
}
