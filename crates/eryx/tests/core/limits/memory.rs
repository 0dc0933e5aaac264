//! What a run may have of the host's memory, and what runs leave of it.

use std::time::Duration;

use eryx::{Error, ExecutionOptions, Sandbox, SandboxOptions, Value};

use crate::support::{alone, raised, runtime, sandbox, sandbox_with, succeed, within};

#[tokio::test]
async fn too_much_memory_is_a_memory_error() {
    let error = raised("held = []\nwhile True: held.append(bytearray(1 << 20))").await;
    assert_eq!(error.python_type, "MemoryError");
    assert!(!error.interpreter_lost);
    assert_eq!(error.frames.len(), 1);
}

#[tokio::test]
async fn memory_errors_can_be_caught() {
    let code = "
caught = []
for attempt in (lambda: bytearray(10**9), lambda: 'x' * 10**9, lambda: [None] * 10**9, lambda: list(range(10**9)),
                lambda: b''.join([bytes(10**7)] * 100), lambda: 1 << 10**10, lambda: {i: i for i in range(10**9)},
                lambda: bytes(2**31 - 1), lambda: ' ' * (2**31 - 2)):
    try:
        attempt()
    except MemoryError:
        caught.append(True)
    except OverflowError:
        caught.append('overflow')
held = bytearray(1 << 20)
result = caught.count(True) + caught.count('overflow')";
    assert_eq!(succeed(code).await.result, Some(9.into()));
}

#[tokio::test]
async fn small_allocations_end_in_memory_error_too() {
    for code in [
        "held = []\nwhile True: held.append([0])",
        "held = None\nwhile True: held = [held]",
        "held = None\ntry:\n    while True: held = [held]\nexcept MemoryError: pass\nother = None\nwhile True: other = [other]",
        "held = None\nwhile True: held = {'next': held}",
        "held = ''\nwhile True: held += 'x' * 1000",
        "class A: pass\nheld = []\nwhile True: held.append(A())",
        "held = [0]\nwhile True: held += held",
    ] {
        let limit = runtime().memory_floor() + (16 << 20);
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(limit));
        let outcome = sandbox.execute(code, ExecutionOptions::default()).await;
        match outcome.map_err(|failure| failure.error) {
            Err(Error::Python(error)) if error.python_type == "MemoryError" => {}
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_limit_below_the_interpreter_names_the_floor() {
    let floor = runtime().memory_floor();
    let mut options = SandboxOptions::default();
    options.limits.max_memory_bytes = Some(floor - 1);
    let error = Sandbox::new(runtime(), options.clone()).expect_err("too little");
    let limit = floor - 1;
    assert_eq!(error, Error::MemoryLimit { limit, floor });
    assert_eq!(
        error.to_string(),
        format!(
            "max_memory_bytes: {limit} bytes are less than the {floor} that the interpreter itself takes"
        )
    );
    options.limits.max_memory_bytes = Some(floor);
    let sandbox = Sandbox::new(runtime(), options).expect("just enough");
    let result = sandbox
        .execute("print('fits')", ExecutionOptions::default())
        .await
        .expect("runs");
    assert_eq!(result.output.stdout, b"fits\n");
    assert_eq!(result.output.usage.peak_memory_bytes, floor);
}

#[tokio::test]
async fn peak_memory_counts_what_was_grown() {
    let result = succeed("held = bytearray(50 << 20)\ndel held").await;
    let floor = runtime().memory_floor();
    assert!(result.output.usage.peak_memory_bytes > floor + (40 << 20));
    assert!(result.output.usage.peak_memory_bytes <= 128 << 20);
    assert_eq!(succeed("1").await.output.usage.peak_memory_bytes, floor);
}

#[tokio::test]
async fn four_gibibytes_are_the_most() {
    let sandbox = sandbox_with(|limits| limits.max_memory_bytes = None);
    let code = "
held = []
try:
    while True: held.append(bytearray(256 << 20))
except MemoryError:
    pass
len(held)";
    let result = sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("it catches");
    // Whatever is left after the interpreter; the pages are never written, so the host does not hold them.
    assert!(
        matches!(result.value, Some(Value::Int(14..=15))),
        "{:?}",
        result.value
    );
    assert!(result.output.usage.peak_memory_bytes <= 4 << 30);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_memory_bomb_takes_no_more_of_the_host_than_its_limit() {
    use crate::support::process_kibibytes;
    if !alone("limits::memory::a_memory_bomb_takes_no_more_of_the_host_than_its_limit") {
        return;
    }
    succeed("1").await;
    let before = process_kibibytes("VmHWM");
    for code in [
        "held = []\nwhile True: held.append(b'\\xee' * (1 << 20))",
        "import os\nwhile True: os.write(1, b'x' * (1 << 20))",
        "import os\nfd = os.open('/data/x', os.O_CREAT | os.O_WRONLY)\nwhile True: os.write(fd, b'x' * (1 << 20))",
        "result = [{'a': None}] * 4_000_000\n1/0",
        "import os\nfor i in range(10**9): os.mkdir(f'/data/{i}')",
        "for i in range(10**9): open(f'/data/{i}', 'x')",
        "import sys\nwhile True: sys.stderr.write('x' * 100)",
    ] {
        let outcome = sandbox()
            .execute(code, within(Duration::from_secs(3)))
            .await;
        assert!(outcome.is_err(), "{code}");
        let peak = process_kibibytes("VmHWM").saturating_sub(before);
        // The limits of memory and of files, and 64 MiB.
        assert!(peak < (128 + 64 + 64) << 10, "{code}: {peak} KiB");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn values_take_no_more_of_the_host_than_the_limit() {
    use crate::support::process_kibibytes;
    if !alone("limits::memory::values_take_no_more_of_the_host_than_the_limit") {
        return;
    }
    succeed("1").await;
    for code in [
        "import _eryx\nfor kind in (0, 1, 2): _eryx.deliver(kind, [None] * 4_000_000, 'x')",
        "import _eryx\nfor kind in (0, 1, 2): _eryx.deliver(kind, [{}] * 4_000_000, 'x')",
        "import _eryx\nfor kind in (0, 1, 2): _eryx.deliver(kind, [dict.fromkeys('abcdefgh')] * 450_000, 'x')",
        "import _eryx\nfor kind in (0, 1, 2): _eryx.deliver(kind, ['x'] * 4_000_000, 'x')",
    ] {
        let before = process_kibibytes("VmHWM");
        let _ = sandbox()
            .execute(code, within(Duration::from_secs(20)))
            .await;
        let peak = process_kibibytes("VmHWM").saturating_sub(before);
        assert!(peak < (128 + 64) << 10, "{code}: {peak} KiB");
    }
}

#[tokio::test]
async fn no_limits_at_all() {
    let mut options = SandboxOptions::default();
    options.limits = eryx::ResourceLimits::UNLIMITED;
    let sandbox = Sandbox::new(runtime(), options).expect("good options");
    let code = "
import os
open('/data/x', 'wb').write(bytes(80 << 20))
os.write(1, b'x' * (12 << 20))
len(bytearray(200 << 20))";
    let result = sandbox
        .execute(code, ExecutionOptions::default())
        .await
        .expect("nothing stops it");
    assert_eq!(result.value, Some((200 << 20).into()));
    assert_eq!(result.output.stdout.len(), 12 << 20);
    assert!(!result.output.truncated);
}

/// Each guest reserves 4 GiB of addresses.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_more_guests_are_kept_than_there_may_be() {
    use crate::support::{process_kibibytes, until};
    if !alone("limits::memory::no_more_guests_are_kept_than_there_may_be") {
        return;
    }
    let cores = std::thread::available_parallelism().expect("cores").get();
    let kept = 4 * cores as u64;
    let guests = || process_kibibytes("VmSize") >> 22;
    succeed("1").await;
    let before = guests();
    let sandbox = sandbox();
    let many = (0..kept + 12).map(|_| {
        let sandbox = sandbox.clone();
        let code = "import asyncio\nawait asyncio.sleep(1)";
        tokio::spawn(async move { sandbox.execute(code, ExecutionOptions::default()).await })
    });
    for run in many.collect::<Vec<_>>() {
        run.await.expect("no panic").expect("runs");
    }
    // They are cleaned after their results are there.
    until(|| guests() <= before + kept).await;
}
