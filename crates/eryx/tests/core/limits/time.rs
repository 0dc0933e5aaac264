//! What a run may use: time, memory, recursion, files.

use std::time::{Duration, Instant};

use eryx::{Error, ExecutionOptions, Sandbox, SandboxOptions, Value};

use crate::support::{
    PROMPT, SLACK, alone, list, promptly, python_error, raised, runtime, sandbox, sandbox_with,
    succeed, text, within,
};

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
    let message = format!(
        "maxMemoryBytes: {} bytes are less than the {floor} that the interpreter itself takes",
        floor - 1
    );
    assert_eq!(error, Error::Initialization(message));
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
    if !alone("limits::time::a_memory_bomb_takes_no_more_of_the_host_than_its_limit") {
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
    if !alone("limits::time::values_take_no_more_of_the_host_than_the_limit") {
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
async fn python_recursion_is_a_recursion_error() {
    for code in [
        "def f(): return f()\nf()",
        "class A:\n    def __repr__(self): return repr(self)\nrepr(A())",
        "class A:\n    def __getattr__(self, name): return getattr(self, name)\nA().x",
        "class A:\n    def __eq__(self, other): return self == other\nA() == A()",
        "def g(n):\n    if n: yield from g(n - 1)\n    yield n\nlist(g(100_000))",
        "async def f(n): return await f(n - 1) if n else 0\nawait f(100_000)",
        "f = lambda x: x\nfor i in range(100_000): f = (lambda g: lambda x: g(x))(f)\nf(1)",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return sorted([1, 2], key=lambda _: f(n + 1))\nf(0)",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr([self])\nrepr(A())",
    ] {
        let error = raised(code).await;
        assert_eq!(error.python_type, "RecursionError", "{code}");
        assert!(!error.interpreter_lost);
    }
}

#[tokio::test]
async fn deep_recursion_without_a_limit_is_an_exception() {
    let code = "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)";
    let outcome = sandbox()
        .execute(code, within(Duration::from_secs(90)))
        .await;
    assert_eq!(python_error(outcome).python_type, "MemoryError");
}

/// What each of these does on other platforms: an exception that can be caught, or the right answer.
#[tokio::test]
async fn recursion_in_c_is_an_exception() {
    let nested = "
import ast, copy, json, marshal, operator, pickle, re, sys
x = []
for _ in range(100_000): x = [x]
t = ()
for _ in range(100_000): t = (t,)
d = {}
for _ in range(100_000): d = {'a': d}
";
    let mut crashed = Vec::new();
    for step in [
        "repr(x)",
        "repr(t)",
        "repr(d)",
        "str(d)",
        "json.dumps(x)",
        "json.dumps(d)",
        "json.loads('[' * 100_000)",
        "json.loads('{\"a\":' * 100_000)",
        "json.loads('[' * 100_000 + ']' * 100_000)",
        "copy.deepcopy(x)",
        "pickle.dumps(x)",
        "pickle._dumps(x)",
        "pickle.loads(b'(' * 100_000 + b't' * 100_000 + b'.')",
        "pickle.loads(b']' * 100_000 + b'a' * 99_999 + b'.')",
        "marshal.dumps(x)",
        "hash(t)",
        "x == copy.copy(x)",
        "x == [[y] for y in x][0]",
        "eval('[' * 100_000 + ']' * 100_000)",
        "eval('+'.join(['1'] * 100_000))",
        "eval('-' * 100_000 + '1')",
        "eval('x' + '.a' * 100_000)",
        "eval('x' + '[0]' * 100_000)",
        "eval('1 if 1 else ' * 100_000 + '1')",
        "eval('lambda: ' * 100_000 + '1')",
        "eval('not ' * 100_000 + '1')",
        "exec('if 1:\\n' + ''.join(' ' * i + 'if 1:\\n' for i in range(1, 99)) + ' ' * 99 + 'pass')",
        "exec('x=' * 100_000 + '1')",
        "exec('if x: pass\\n' + 'elif x: pass\\n' * 100_000)",
        "ast.parse('+'.join(['1'] * 100_000))",
        "ast.parse('(' * 100_000)",
        "ast.literal_eval('[' * 5000 + ']' * 5000)",
        "ast.dump(ast.parse('-' * 2000 + '1'))",
        "compile(ast.Expression(__import__('functools').reduce(lambda n, _: ast.UnaryOp(ast.Not(), n, lineno=1, col_offset=0), range(100_000), ast.Constant(1, lineno=1, col_offset=0))), 'x', 'eval')",
        "re.compile('(' * 20_000 + ')' * 20_000)",
        "re.match('(?:(?:a|b)*?c?)*?d', 'ab' * 10_000)",
        "isinstance('', t)",
        "''.startswith(t)",
        "exec('try: raise x\\nexcept t: pass', {'x': ValueError, 't': t})",
        "operator.attrgetter('.'.join(['__class__'] * 100_000))(1)",
        "__import__('functools').reduce(lambda f, _: __import__('functools').partial(f), range(100_000), len)([])",
        "next(__import__('functools').reduce(lambda i, _: map(int, i), range(1000), iter([1])))",
        "next(__import__('functools').reduce(lambda i, _: __import__('itertools').chain(i, [1]), range(100_000), iter([])))",
        "list(zip(__import__('functools').reduce(lambda i, _: zip(i), range(100_000), [1])))",
        "memoryview(b'x')[__import__('functools').reduce(lambda i, _: (i,), range(100_000), ())]",
        "type('A', (), {'__class_getitem__': classmethod(lambda c, k: c)})[t]",
        "__import__('functools').reduce(lambda a, _: list[a], range(100_000), int)[int]",
        "repr(__import__('functools').reduce(lambda a, _: list[a], range(100_000), int))",
        "repr(__import__('functools').reduce(lambda a, i: a | list[i], range(2000), int | str))",
        "__import__('functools').reduce(lambda e, _: ExceptionGroup('e', [e]), range(100_000), ValueError()).split(ValueError)",
        "__import__('xml.etree.ElementTree').etree.ElementTree.tostring(__import__('xml.etree.ElementTree').etree.ElementTree.fromstring('<a>' * 50_000 + '</a>' * 50_000))",
        "__import__('collections').OrderedDict(a=d) == __import__('collections').OrderedDict(a=copy.copy(d))",
        "__import__('functools').reduce(lambda c, i: type('C', (c,), {}), range(20_000), object)",
        "format(1, '{' * 100)",
        "f'{x!r}'",
        "'%r' % (x,)",
        "print(x)",
        "x.__reduce_ex__(4)",
        "__import__('sqlite3').connect(':memory:').execute('select ' + '(' * 50_000 + '1' + ')' * 50_000)",
        "__import__('sqlite3').connect(':memory:').execute('select ' + '-' * 50_000 + '1')",
        "__import__('sqlite3').connect(':memory:').execute('select json(?)', ['[' * 100_000 + ']' * 100_000])",
    ] {
        let code = format!(
            "{nested}\ntry:\n    {step}\nexcept Exception as error:\n    print(type(error).__name__)\n'survived'"
        );
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(512 << 20));
        match sandbox.execute(code, within(Duration::from_secs(20))).await {
            Ok(result) if result.value == Some("survived".into()) => {}
            // Long, but in hand.
            Err(failure) if matches!(failure.error, Error::Timeout { .. }) => {}
            Ok(result) => crashed.push(format!("{step}: {:?}", result.value)),
            Err(failure) => crashed.push(format!("{step}: {}", failure.error)),
        }
    }
    assert!(crashed.is_empty(), "{}", crashed.join("\n"));
}

#[tokio::test]
async fn deep_values_are_dropped() {
    for code in [
        "x = []\nfor _ in range(200_000): x = [x]\ndel x",
        "x = ()\nfor _ in range(200_000): x = (x,)\ndel x",
        "x = {}\nfor _ in range(200_000): x = {0: x}\ndel x",
        "x = None\nfor _ in range(200_000):\n    e = ValueError(); e.__context__ = x; x = e\ndel x, e",
        "class A: pass\nx = None\nfor _ in range(200_000):\n    a = A(); a.x = x; x = a\ndel x, a",
        "x = iter([])\nfor _ in range(200_000): x = map(int, x)\ndel x",
        "import collections\nx = None\nfor _ in range(200_000): x = collections.deque([x])\ndel x",
        "x = None\nfor _ in range(100_000):\n    f = lambda: x\n    x = (lambda y: lambda: y)(x)\ndel x, f",
        "x = None\nfor _ in range(100_000): x = (i for i in [x])\ndel x",
    ] {
        let sandbox = sandbox_with(|limits| limits.max_memory_bytes = Some(512 << 20));
        let code = format!("{code}\nimport gc; gc.collect()\n'dropped'");
        match sandbox.execute(&code, ExecutionOptions::default()).await {
            Ok(result) => assert_eq!(result.value, Some("dropped".into()), "{code}"),
            Err(failure) => panic!("{code}: {}", failure.error),
        }
    }
}

#[tokio::test]
async fn a_long_chain_of_exceptions_is_reported() {
    let code = "
e = None
for _ in range(100_000):
    n = ValueError('link')
    n.__cause__ = e
    e = n
raise e";
    assert_eq!(raised(code).await.message, "ValueError: link");
}

#[tokio::test]
async fn files_are_limited() {
    let code = "
import errno
caught = []
def attempt(step):
    try:
        step()
    except OSError as error:
        caught.append(errno.errorcode[error.errno])
def fill():
    with open('/data/big', 'wb', buffering=0) as file:
        while True: file.write(bytes(range(256)) * 4096)
def directories():
    import os
    for i in range(10**7): os.mkdir(f'/data/{i}')
attempt(fill)
attempt(directories)
attempt(lambda: open('/data/big', 'r+b').truncate(2**62))
import os
os.unlink('/data/big')
open('/data/small', 'wb').write(b'x' * 1000)
result = caught";
    let result = succeed(code).await.result;
    assert_eq!(
        result,
        Some(list(["ENOSPC".into(), "ENOSPC".into(), "EFBIG".into()]))
    );
}

#[tokio::test]
async fn the_limit_of_files_can_be_zero() {
    let sandbox = sandbox_with(|limits| limits.max_vfs_bytes = Some(0));
    let error = python_error(
        sandbox
            .execute("open('/data/x', 'w')", ExecutionOptions::default())
            .await,
    );
    assert!(
        error.message.contains("No space left on device"),
        "{}",
        error.message
    );
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
    if !alone("limits::time::no_more_guests_are_kept_than_there_may_be") {
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
