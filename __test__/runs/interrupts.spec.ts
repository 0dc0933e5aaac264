import { describe, expect, it } from "vitest";
import { Sandbox, TimeoutError } from "../../index.js";
import {
  catchRejection,
  getStdout,
  PROMPT,
  run,
  tryUntilPrompt,
} from "../helpers.js";

function timesOut(code: string, timeoutMs = 200): Promise<TimeoutError> {
  return tryUntilPrompt(timeoutMs + PROMPT, async () => {
    const start = performance.now();
    const error = await catchRejection<TimeoutError>(run(code, { timeoutMs }));
    expect(performance.now() - start).toBeGreaterThanOrEqual(timeoutMs - 5);
    expect(error, error.message).toBeInstanceOf(TimeoutError);
    expect(error.code).toBe("ERYX_TIMEOUT");
    expect(error.message).toBe(`execution timed out after ${timeoutMs} ms`);
    return error;
  });
}

describe("ends at its deadline:", () => {
  it.each([
    ["a loop", "while True: pass"],
    ["a loop in a function", "def f():\n    while True: pass\nf()"],
    ["calls", "def f(): pass\nwhile True: f()"],
    ["time.sleep", "import time\ntime.sleep(60)"],
    ["sum of a range", "sum(range(10**12))"],
    ["max of an iterator", "max(iter(int, 1))"],
    ["any of an iterator", "any(iter(int, 1))"],
    [
      "a search in a range",
      "(x for x in range(10**12)).__contains__(-1) if 0 else -1.5 in range(10**12)",
    ],
    ["a list comprehension", "[None for x in range(10**12) if x < 0]"],
    ["a catastrophic regex", 'import re\nre.match(r"(a+)+$", "a" * 40 + "b")'],
    ["a power", "10**10**8"],
    ["a modular power", "pow(3, 10**7, 10**10**7)"],
    ["a factorial", "import math\nmath.factorial(10**7)"],
    [
      "text of a huge int",
      "import sys\nsys.set_int_max_str_digits(0)\nstr(10**3_000_000)",
    ],
    [
      "int of a huge text",
      'import sys\nsys.set_int_max_str_digits(0)\nint("7" * 10**7)',
    ],
    [
      "a deque over repeat",
      "import collections, itertools\ncollections.deque(itertools.repeat(1), maxlen=1)",
    ],
    [
      "dropwhile over count",
      "import itertools\nnext(itertools.dropwhile(lambda x: True, itertools.count()))",
    ],
    ["a join over an endless iterator", 'b"".join(iter(lambda: b"", 1))'],
    [
      "a decimal root",
      "import decimal\ndecimal.getcontext().prec = 10**6\ndecimal.Decimal(2).sqrt()",
    ],
    [
      "a recursive query",
      'import sqlite3\nsqlite3.connect(":memory:").execute("with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c").fetchall()',
    ],
    [
      "hashes",
      "import hashlib\n[hashlib.sha256(bytes(50_000_000)) for _ in range(1000)]",
    ],
    ["print without end", "while True: print('x' * 1000)"],
    ["exponential recursion", "def f():\n    try: f()\n    finally: f()\nf()"],
    [
      "a deallocator",
      "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a",
    ],
    [
      "the repr of the last value",
      "class A:\n    def __repr__(self):\n        while True: pass\nA()",
    ],
    [
      "an import hook",
      "import sys\nclass F:\n    def find_spec(*a):\n        while True: pass\nsys.meta_path.insert(0, F())\nimport nope",
    ],
    [
      "a metaclass",
      "class M(type):\n    def __new__(*a):\n        while True: pass\nclass A(metaclass=M): pass",
    ],
    [
      "a trace function",
      "import sys\ndef t(*a):\n    while True: pass\nsys.settrace(t)\ndef f(): pass\nf()",
    ],
    [
      "eval of a huge source",
      'while True: compile("x = 1\\n" * 100, "f", "exec")',
    ],
    ["asyncio.sleep", "import asyncio\nawait asyncio.sleep(60)"],
    [
      "asyncio.sleep in asyncio.run",
      "import asyncio\nasyncio.run(asyncio.sleep(60))",
    ],
    [
      "a loop in a coroutine",
      "async def f():\n    while True: pass\nawait f()",
    ],
    [
      "tasks that never stop",
      "import asyncio\nasync def f():\n    while True: await asyncio.sleep(0)\nawait asyncio.gather(f(), f())",
    ],
    [
      "tasks that wait",
      "import asyncio\nasync with asyncio.TaskGroup() as g:\n    for _ in range(10): g.create_task(asyncio.sleep(60))",
    ],
    [
      "an async generator",
      "async def g():\n    while True: yield 1\nasync for _ in g(): pass",
    ],
  ])("%s", async (_, code) => {
    await timesOut(code);
  });
});

describe("code that does not want to end", () => {
  it.each([
    [
      "swallows BaseException in a loop",
      "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ],
    [
      "swallows it around sleep",
      "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
    ],
    [
      "loops in finally",
      "try:\n    while True: pass\nfinally:\n    while True: pass",
    ],
    [
      "swallows it in a coroutine",
      "import asyncio\nwhile True:\n    try: await asyncio.sleep(60)\n    except BaseException: pass",
    ],
    [
      "swallows it in __exit__",
      "class C:\n    def __enter__(self): pass\n    def __exit__(self, *a): return True\nwhile True:\n    with C():\n        while True: pass",
    ],
    [
      "overrides the exception hooks",
      "import sys, builtins\nsys.excepthook = sys.unraisablehook = print\nbuiltins.BaseException = int\nwhile True: pass",
    ],
    [
      "ignores signals",
      "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    ],
    [
      "runs its own interpreter loop",
      "import code\nwhile True:\n    try: exec('while True: pass')\n    except: pass",
    ],
  ])("%s", async (_, code) => {
    await timesOut(code);
  });
});

describe("decent code", () => {
  it.each([
    ["sync", "try:\n    while True: pass\nfinally:\n    print('bye')"],
    [
      "in time.sleep",
      "import time\ntry:\n    time.sleep(60)\nfinally:\n    print('bye')",
    ],
    [
      "async",
      "import asyncio\nasync def f():\n    try: await asyncio.sleep(60)\n    finally: print('bye')\nawait f()",
    ],
    [
      "async with tasks that do not rest",
      "import asyncio\nasync def f():\n    try:\n        while True: await asyncio.sleep(0)\n    finally: print('bye')\nawait f()",
    ],
    [
      "in asyncio.run",
      "import asyncio\nasync def f():\n    try: await asyncio.sleep(60)\n    finally: print('bye')\nasyncio.run(f())",
    ],
    [
      "of a context manager",
      "import contextlib\n@contextlib.contextmanager\ndef c():\n    try: yield\n    finally: print('bye')\nwith c():\n    while True: pass",
    ],
  ])("%s runs its finally blocks first", async (_, code) => {
    expect((await timesOut(code)).stdout).toBe("bye");
  });

  it("does not see the interrupt as an Exception", async () => {
    const code =
      "try:\n    while True: pass\nexcept Exception:\n    print('caught')";
    expect((await timesOut(code)).stdout).toBe("");
  });

  it("has what it printed before on the error", async () => {
    const code =
      "import sys\nprint('out')\nprint('err', file=sys.stderr)\nwhile True: pass";
    expect(await timesOut(code)).toMatchObject({
      stdout: "out",
      stderr: "err",
      stateLost: false,
    });
  });

  it("shows no names of the sandbox's own on stderr", async () => {
    const code =
      "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a";
    expect((await timesOut(code)).stderr).not.toMatch(/eryx/i);
  });

  it("has its own timeouts in asyncio", async () => {
    const code = `
import asyncio
try:
    async with asyncio.timeout(0.05):
        await asyncio.sleep(60)
except TimeoutError:
    print("timeout")
try:
    await asyncio.wait_for(asyncio.sleep(60), 0.05)
except TimeoutError:
    print("wait_for")`;
    expect(await getStdout(code)).toBe("timeout\nwait_for");
  });
});

describe("the deadline", () => {
  it("of the sandbox holds without the option", async () => {
    const sandbox = new Sandbox({
      resourceLimits: { executionTimeoutMs: 100 },
    });
    const error = await catchRejection(sandbox.execute("while True: pass"));
    expect(error.message).toBe("execution timed out after 100 ms");
  });

  it("of the option comes first, null included", async () => {
    const sandbox = new Sandbox({ resourceLimits: { executionTimeoutMs: 50 } });
    const code = "import time\ntime.sleep(0.2)\nprint(1)";
    for (const timeoutMs of [null, 5000])
      expect((await sandbox.execute(code, { timeoutMs })).stdout).toBe("1");
  });

  it("of 1 ms ends the run", async () => {
    const error = await catchRejection(
      run("while True: pass", { timeoutMs: 1 }),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
  });

  it("of a fraction of a millisecond ends the run", async () => {
    const error = await catchRejection(
      run("while True: pass", { timeoutMs: 0.01 }),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
  });

  it("leaves nothing behind for the next run", async () => {
    for (let round = 0; round < 10; round++) {
      await catchRejection(run("while True: pass", { timeoutMs: 20 }));
      expect(await getStdout("print(sum(range(1000)))")).toBe("499500");
    }
  });

  it("holds for each of 50 loops at once", async () => {
    await tryUntilPrompt(200 + 2 * PROMPT, async () => {
      const start = performance.now();
      const ends = await Promise.all(
        Array.from({ length: 50 }, async () => {
          const error = await catchRejection(
            run("while True: pass", { timeoutMs: 200 }),
          );
          expect(error.code).toBe("ERYX_TIMEOUT");
          return performance.now() - start;
        }),
      );
      expect(Math.min(...ends)).toBeGreaterThanOrEqual(195);
    });
  });

  it("does not hold up the event loop", async () => {
    let ticks = 0;
    const controller = new AbortController();
    const timer = setInterval(() => ++ticks === 10 && controller.abort(), 10);
    const { signal } = controller;
    const error = await catchRejection(run("while True: pass", { signal }));
    clearInterval(timer);
    expect(error.code).toBe("ERYX_CANCELLED");
  });
});
