//! When a run ends that takes too long.

use std::time::{Duration, Instant};

use eryx::{Error, ExecutionOptions};

use crate::support::{PROMPT, SLACK, promptly, sandbox, sandbox_with, text, within};

const DEADLINE: Duration = Duration::from_millis(400);

/// Runs code under [`DEADLINE`], which it must meet. Returns whether it had to be cut off, and what it printed.
async fn overrun(code: &str) -> (bool, String) {
    let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(1 << 30));
    let outcome = promptly(DEADLINE + PROMPT, async || {
        let started = Instant::now();
        let outcome = sandbox.execute(code, within(DEADLINE)).await;
        assert!(outcome.is_ok() || started.elapsed() >= DEADLINE, "{code}");
        outcome
    })
    .await;
    let printed = match &outcome {
        Ok(result) => text(&result.output.stdout),
        Err(failure) => text(&failure.output.stdout),
    };
    match outcome.map_err(|failure| failure.error) {
        Err(Error::Timeout { limit, hard }) if limit == DEADLINE => (hard, printed),
        other => panic!("{code}: not a timeout: {other:?}"),
    }
}

#[tokio::test]
async fn python_loops_end_at_the_deadline() {
    for code in [
        "while True: pass",
        "while True: print(end='')",
        "def f():\n    while True: yield\nfor _ in f(): pass",
        "import threading\nthreading.Event().wait()",
        "import queue\nqueue.Queue().get()",
        "import asyncio\nasync def f():\n    while True: await asyncio.sleep(0)\nawait f()",
        "import asyncio\nasyncio.run(asyncio.sleep(60))",
        "import asyncio\nawait asyncio.gather(*[asyncio.sleep(60) for _ in range(100)])",
        "import asyncio\nawait asyncio.shield(asyncio.sleep(60))",
        "import time\ntime.sleep(60)",
        "import time\ntime.sleep(1e9)",
        "import time\nwhile True: time.sleep(0.001)",
    ] {
        let (hard, _) = overrun(code).await;
        assert!(!hard, "cut off: {code}");
    }
}

#[tokio::test]
async fn loops_in_c_end_at_the_deadline() {
    for code in [
        "sum(range(10**12))",
        "10**10**8",
        "int('7' * 10**7)",
        "import sys\nsys.set_int_max_str_digits(0)\nstr(7 << 10**8)",
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        "import collections, itertools\ncollections.deque(itertools.repeat(1), maxlen=1)",
        "import itertools\nall(itertools.count(1))",
        "'a' in iter(lambda: 1, 2)",
        "max(iter(int, 1))",
        "import hashlib\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)",
        "import zlib\nwhile True: zlib.compress(bytes(50_000_000), 9)",
        "import sqlite3\nsqlite3.connect(':memory:').execute('with recursive t(x) as (select 1 union all select x from t) select count(*) from t').fetchall()",
    ] {
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(1 << 30));
        // Some of them need less time than there is.
        let _ = promptly(DEADLINE + PROMPT, async || {
            sandbox.execute(code, within(DEADLINE)).await
        })
        .await;
    }
}

/// One instruction fills or copies hundreds of MB of them, which takes its time before anybody can look at the clock.
#[tokio::test]
async fn long_instructions_end_soon_behind_the_deadline() {
    for code in [
        "b'a' * 10**8 in b'a' * (2 * 10**8) + b'b'",
        "sorted([3, 1, 2] * 10**8)",
        "while True: bytearray(10**9)",
    ] {
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(1 << 30));
        let run = sandbox.execute(code, within(DEADLINE));
        let ended = tokio::time::timeout(DEADLINE + SLACK, run).await;
        assert!(ended.is_ok(), "{code}");
    }
}

#[tokio::test]
async fn code_that_ignores_the_interrupt_is_cut_off() {
    for code in [
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "import _eryx\n_eryx.SandboxInterrupt = ValueError\ntry:\n    while True: pass\nfinally:\n    while True: pass",
        "import asyncio\nasync def f():\n    while True:\n        try: await asyncio.sleep(60)\n        except BaseException: pass\nawait f()",
        "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
        "class A:\n    def __del__(self):\n        while True: pass\nA()",
        "import atexit\natexit.register(print)\nclass A:\n    def __str__(self):\n        while True: pass\nprint(A())",
        "class A(Exception):\n    def __str__(self):\n        while True:\n            try:\n                while True: pass\n            except BaseException: pass\nraise A",
    ] {
        overrun(code).await;
    }
}

/// Jumps and handlers that CPython's compiler does not make, in loops that never look whether a signal came.
#[tokio::test]
async fn bytecode_that_never_looks_is_cut_off() {
    const MAKE: &str = "
import dis, types
op = dis.opmap
def run(code, table=b''):
    def f(): pass
    code = bytes([op['RESUME'], 0, *code])
    types.FunctionType(f.__code__.replace(co_code=code, co_exceptiontable=table, co_stacksize=20), {})()
";
    for loop_of in [
        // Back to itself.
        "run([op['JUMP_BACKWARD_NO_INTERRUPT'], 1])",
        "run([op['NOP'], 0] * 1000 + [op['EXTENDED_ARG'], 3, op['JUMP_BACKWARD_NO_INTERRUPT'], 200])",
        // Forwards by a negative number.
        "run([op['NOP'], 0, op['EXTENDED_ARG'], 255, op['EXTENDED_ARG'], 255, op['EXTENDED_ARG'], 255, op['JUMP_FORWARD'], 251])",
        // What fails is its own handler.
        "run([op['LOAD_CONST'], 0, op['RAISE_VARARGS'], 1], bytes([0x81, 2, 1, 0]))",
    ] {
        let code = format!("{MAKE}{loop_of}");
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(64 << 20));
        let ended = promptly(DEADLINE + PROMPT, async || {
            sandbox.execute(code.clone(), within(DEADLINE)).await
        });
        // Or it crashes, or is an error.
        let ended = ended.await.map_err(|failure| failure.error);
        assert!(ended.is_err(), "{loop_of}");
        eprintln!("{loop_of}: {ended:?}");
    }
}

/// A loop in C for each module that takes an iterator or a long input.
#[tokio::test]
async fn loops_in_c_of_every_module_end_at_the_deadline() {
    const ENDLESS: &str = "
import itertools
class Long:
    def __len__(self): return 2**40
    def __getitem__(self, i): return 1
endless = itertools.repeat(1)
";
    for code in [
        "import array; array.array('b', endless)",
        "import bisect; bisect.bisect(Long(), 2, 0, 2**62, key=lambda x: x)\nwhile True: bisect.bisect_left(Long(), 2)",
        "import collections; collections.Counter(endless)",
        "import csv; list(csv.reader(itertools.repeat('a')))",
        "import functools; functools.reduce(lambda a, b: b, endless)",
        "import heapq; heapq.nlargest(3, endless)",
        "import itertools; next(itertools.dropwhile(bool, endless))",
        "import itertools; next(itertools.filterfalse(bool, endless))",
        "import itertools; next(itertools.islice(endless, 2**62, None))",
        "import json; json.loads('[' * 5_000_000 + ']')\nwhile True: json.dumps('x' * 10**7)",
        "import math; math.fsum(endless)",
        "import math; math.prod(endless)",
        "import math; math.comb(10**7, 5 * 10**6)",
        "import operator; operator.countOf(endless, 2)",
        "import operator; operator.indexOf(endless, 2)",
        "import struct; s = struct.Struct('b' * 10**6)\nwhile True: s.pack(*[1] * 10**6)",
        "import random; random.getrandbits(2**31 - 1)\nwhile True: random.randbytes(10**7)",
        "import unicodedata\nwhile True: unicodedata.normalize('NFKD', '\\u0344' * 10**6)",
        "import zlib\nwhile True: zlib.crc32(bytes(10**8))",
        "import hashlib\nwhile True: hashlib.sha3_512(bytes(10**7))",
        "import binascii\nwhile True: binascii.hexlify(bytes(10**7))",
        "import xml.etree.ElementTree as x\nwhile True: x.fromstring('<a>' + '<b/>' * 10**6 + '</a>')",
        "import re; re.search('(x+x+)+y', 'x' * 50)",
        "import datetime\nwhile True: datetime.date.fromordinal(5).strftime('%Y' * 100_000)",
        "import decimal; decimal.getcontext().prec = 10**6; decimal.Decimal(2).sqrt().exp()",
        "' '.join(itertools.repeat('a'))",
        "'%s' % (2 in endless,)",
        "dict.fromkeys(endless)",
        "set().update(endless)",
        "list(zip(endless, endless))",
        "min(endless)",
        "any(map(lambda x: 0, endless))",
        "tuple(endless)",
        "bytes(endless)",
        "bytearray().extend(endless)",
        "[].extend(endless)",
        "x, *y = endless",
        "print(*endless)",
        "sum(endless)",
        "1 in filter(lambda x: 0, endless)",
        "t = ()\nfor i in range(60): t = (t, t)\nt == eval('t') and 0\nu = ()\nfor i in range(60): u = (u, u)\nt == u",
        "t = ()\nfor i in range(60): t = (t, t)\nhash(t)",
        "t = []\nfor i in range(60): t = [t, t]\nrepr(t)",
        "import copy; t = ()\nfor i in range(60): t = (t, t)\nimport marshal; marshal.dumps(t, 2)",
    ] {
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(256 << 20));
        let code = format!("{ENDLESS}{code}");
        // Some of them have too little memory, or need less time than there is.
        let _ = promptly(DEADLINE + PROMPT, async || {
            sandbox.execute(code.clone(), within(DEADLINE)).await
        })
        .await;
    }
}

#[tokio::test]
async fn finally_blocks_run_before_the_end() {
    for wait in [
        "while True: pass",
        "time.sleep(60)",
        "await asyncio.sleep(60)",
        "asyncio.run(asyncio.sleep(60))",
        "await asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))",
    ] {
        let code = format!(
            "import asyncio, time\nprint('started')\ntry:\n    {wait}\nfinally:\n    print('cleaned up')"
        );
        let (hard, printed) = overrun(&code).await;
        assert_eq!(
            (hard, printed.as_str()),
            (false, "started\ncleaned up\n"),
            "{wait}"
        );
    }
}

#[tokio::test]
async fn except_exception_does_not_catch_the_interrupt() {
    let code = "
while True:
    try:
        while True: pass
    except Exception:
        print('caught')";
    let (hard, printed) = overrun(code).await;
    assert_eq!((hard, printed.as_str()), (false, ""));
}

#[tokio::test]
async fn output_before_a_cut_is_kept() {
    let code = "
import sys
print('out', flush=True)
print('err', file=sys.stderr, flush=True)
while True:
    try:
        while True: pass
    except BaseException: pass";
    // Long enough to get to the loop on a busy machine.
    let failure = sandbox()
        .execute(code, within(4 * DEADLINE))
        .await
        .expect_err("it never ends");
    assert!(matches!(failure.error, Error::Timeout { hard: true, .. }));
    assert_eq!(text(&failure.output.stdout), "out\n");
    assert_eq!(text(&failure.output.stderr), "err\n");
}

#[tokio::test]
async fn a_run_without_time_does_not_run() {
    let outcome = sandbox()
        .execute("print('ran')\nwhile True: pass", within(Duration::ZERO))
        .await;
    let failure = outcome.expect_err("there was no time");
    assert!(
        matches!(failure.error, Error::Timeout { .. }),
        "{:?}",
        failure.error
    );
}

#[tokio::test]
async fn a_deadline_beyond_the_clock_is_none() {
    for timeout in [None, Some(Duration::MAX)] {
        let mut options = ExecutionOptions::default();
        options.timeout = Some(timeout);
        let result = sandbox().execute("1", options).await.expect("runs");
        assert_eq!(result.value, Some(1.into()));
    }
}

#[tokio::test]
async fn the_timeout_of_an_execution_replaces_the_sandboxs() {
    let sandbox = sandbox_with(|limits| limits.execution_timeout = Some(Duration::from_millis(50)));
    let code = "import time\ntime.sleep(0.3)\n'slept'";
    let outcome = sandbox.execute(code, ExecutionOptions::default()).await;
    let error = outcome.expect_err("too long").error;
    assert_eq!(error.to_string(), "execution timed out after 50 ms");
    let result = sandbox
        .execute(code, within(Duration::from_secs(20)))
        .await
        .expect("long enough");
    assert_eq!(result.value, Some("slept".into()));
}

#[tokio::test]
async fn exact_deadlines_of_many_runs() {
    let sandbox = sandbox();
    promptly(Duration::from_millis(300) + 2 * PROMPT, async || {
        let runs: Vec<_> = (0..100u64)
            .map(|index| {
                let (sandbox, limit) = (sandbox.clone(), Duration::from_millis(200 + index));
                tokio::spawn(async move {
                    let sleep = "import time\ntime.sleep(60)";
                    let outcome = sandbox.execute(sleep, within(limit)).await;
                    let error = outcome.expect_err("it sleeps").error;
                    let Error::Timeout { limit: named, .. } = error else {
                        panic!("{error:?}");
                    };
                    assert_eq!(named, limit);
                })
            })
            .collect();
        for run in runs {
            run.await.expect("checked");
        }
    })
    .await;
}
