import { describe, expect, it } from "vitest";
import {
  type ExecutionError,
  type ExecutionOptions,
  RuntimeLibrary,
  type SandboxOptions,
  Session,
  type TraceEvent,
} from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";

/** The value of the last step, all of them run in one session. */
async function value(steps: string[], options?: SandboxOptions) {
  await using session = new Session(options);
  let last;
  for (const code of steps) last = await session.execute(code);
  return last?.value;
}

describe("what persists", () => {
  it.each<[string, string[], unknown]>([
    ["variables", ["x = [1, 2]", "x.append(3)", "x"], [1, 2, 3]],
    ["deletions", ["x = 1", "del x", "'x' in globals()"], false],
    ["functions", ["def f(n): return n * k", "k = 3", "f(2)"], 6],
    [
      "classes",
      ["class A:\n    n = 0", "a = A()\na.n = 4", "A().n, a.n"],
      [0, 4],
    ],
    [
      "imports",
      ["import math as m\nfrom json import dumps", "dumps(m.floor(1.5))"],
      "1",
    ],
    [
      "patched modules",
      ["import math\nmath.mine = 5", "import math", "math.mine"],
      5,
    ],
    [
      "half-run generators",
      [
        "g = (n * n for n in range(9))\nnext(g), next(g)",
        "next(g)",
        "list(g)[:2]",
      ],
      [9, 16],
    ],
    [
      "closures",
      [
        "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n    return up",
        "up = make()\nup()",
        "up()",
      ],
      2,
    ],
    [
      "asyncio locks",
      [
        "import asyncio\nlock = asyncio.Lock()\nawait lock.acquire()",
        "held = lock.locked()\nlock.release()",
        "async with lock: pass",
        "[held, lock.locked()]",
      ],
      [true, false],
    ],
    [
      "asyncio queues",
      [
        "import asyncio\nq = asyncio.Queue(2)\nawait q.put('a')",
        "await q.put('b')",
        "[await q.get(), await q.get(), q.empty()]",
      ],
      ["a", "b", true],
    ],
    [
      "asyncio events",
      [
        "import asyncio\ne = asyncio.Event()\nawait asyncio.sleep(0)",
        "e.set()",
        "await e.wait()",
      ],
      true,
    ],
    [
      "async generators",
      [
        "async def g():\n    for n in range(9): yield n\na = g()\nx = await anext(a)",
        "x",
      ],
      0,
    ],
    [
      "os.environ and the directory",
      [
        "import os\nos.environ['A'] = '1'\nos.mkdir('/tmp/d')\nos.chdir('/tmp/d')",
        "[os.environ['A'], os.getcwd()]",
      ],
      ["1", "/tmp/d"],
    ],
    [
      "files",
      ["f = open('/tmp/a', 'w+')\nn = f.write('abc')", "f.seek(1)\nf.read()"],
      "bc",
    ],
    [
      "the last exception's variables",
      [
        "try: 1/0\nexcept ZeroDivisionError as e: kept = e",
        "type(kept).__name__",
      ],
      "ZeroDivisionError",
    ],
    [
      "contextvars",
      [
        "import contextvars\nv = contextvars.ContextVar('v', default=1)",
        "v.get()",
      ],
      1,
    ],
  ])("%s", async (_, steps, expected) => {
    expect(await value(steps)).toEqual(expected);
  });

  it.each([
    ["an exception", "x += 1\nraise ValueError('oops')", "ValueError: oops"],
    [
      "an exception in a task",
      "x += 1\nimport asyncio\nasync def f(): raise ValueError('oops')\nawait asyncio.create_task(f())",
      "ValueError: oops",
    ],
    ["sys.exit", "x += 1\nimport sys\nsys.exit(3)", "SystemExit: 3"],
    [
      "a recursion",
      "x += 1\ndef f(): return f()\nf()",
      "RecursionError: maximum recursion depth exceeded",
    ],
    ["a memory limit", "x += 1\n'a' * 2**30", "MemoryError"],
  ])("the state that %s has reached", async (_, code, message) => {
    await using session = new Session();
    await session.execute("x = 1");
    const error = await catchRejection<ExecutionError>(session.execute(code));
    expect(error).toMatchObject({ code: "ERYX_EXECUTION", stateLost: false });
    expect(error.message).toContain(message);
    expect((await session.execute("x")).value).toBe(2);
  });

  it("a syntax error changes nothing", async () => {
    await using session = new Session();
    await session.execute("x = 1");
    const error = await catchRejection(session.execute("x = 2\nx = ="));
    expect(error.message).toBe(
      "SyntaxError: invalid syntax (<sandbox>, line 2)",
    );
    expect((await session.execute("x")).value).toBe(1);
  });

  it("random numbers go on, and differ between sessions", async () => {
    const draw = "[random.random(), random.random()]";
    const whole = await value(["import random\nrandom.seed(1)", draw]);
    const parts = [
      "import random\nrandom.seed(1)\na = random.random()",
      "[a, random.random()]",
    ];
    expect(await value(parts)).toEqual(whole);
    const steps = ["import random", draw];
    expect(await value(steps)).not.toEqual(await value(steps));
  });

  it("tracebacks of functions show their own source and lines", async () => {
    await using session = new Session();
    await session.execute("\ndef f():\n    raise ValueError('first')");
    const error = await catchRejection<ExecutionError>(
      session.execute("x = 1\ny = 2\nz = 3\nf()"),
    );
    const frames = error.frames.map(({ function: name, line }) => [name, line]);
    expect(frames).toEqual([
      ["<module>", 4],
      ["f", 3],
    ]);
    expect(error.traceback).toContain("raise ValueError('first')");
    expect(error.traceback).not.toContain("z = 3");
  });

  it("file names keep the sources of each execute apart", async () => {
    await using session = new Session();
    await session.execute("def f():\n    raise ValueError(1)", {
      filename: "a.py",
    });
    const error = await catchRejection<ExecutionError>(
      session.execute("x = 1\nf()", { filename: "b.py" }),
    );
    expect(error.traceback).toContain(
      'File "a.py", line 2, in f\n    raise ValueError(1)',
    );
    expect(error.traceback).toContain(
      'File "b.py", line 2, in <module>\n    f()',
    );
  });
});

describe("per execute", () => {
  it("the result variable stays, and is not delivered again", async () => {
    await using session = new Session({ resultVariable: "out" });
    expect((await session.execute("out = 1")).result).toBe(1);
    const next = await session.execute("x = 'out' in globals()\nx");
    expect([next.result, next.value]).toEqual([undefined, true]);
  });

  it("the result variable of an execute that failed is not that of the next", async () => {
    await using session = new Session();
    await catchRejection(session.execute("result = 'old'\n1/0"));
    expect(await session.execute("x = 1")).not.toHaveProperty("result");
  });

  it("inputs are set anew and stay", async () => {
    await using session = new Session();
    const run = (code: string, options?: ExecutionOptions) =>
      session.execute(code, options);
    await run("n += 1", { inputs: { n: 1 } });
    expect((await run("n")).value).toBe(2);
    expect((await run("n", { inputs: { n: "a" } })).value).toBe("a");
  });

  it("stdin is its own", async () => {
    await using session = new Session();
    const line = async (stdin?: string) =>
      (await session.execute("import sys\nsys.stdin.readline()", { stdin }))
        .value;
    expect([await line("a\nb\n"), await line("c\n"), await line()]).toEqual([
      "a\n",
      "c\n",
      "",
    ]);
    expect(
      (await catchRejection(session.execute("input()"))).message,
    ).toContain("EOFError");
    expect((await session.execute("input()", { stdin: "d" })).value).toBe("d");
  });

  it("env is set once: what the code changes stays", async () => {
    const options = { env: { A: "1", B: "1" } };
    const steps = [
      "import os\nos.environ['A'] = '2'\ndel os.environ['B']",
      "[os.environ['A'], os.environ.get('B')]",
    ];
    expect(await value(steps, options)).toEqual(["2", null]);
  });

  it("output is its own, with its own limit", async () => {
    await using session = new Session({
      resourceLimits: { maxOutputBytes: 10 },
    });
    const first = await session.execute("print('a' * 50)");
    expect([first.stdout, first.outputTruncated]).toEqual([
      "a".repeat(10),
      true,
    ]);
    expect(await session.execute("print('b')")).toMatchObject({
      stdout: "b",
      outputTruncated: false,
    });
  });

  it("streams, with the session's handlers or its own", async () => {
    const chunks: string[] = [];
    const note = (prefix: string) => (chunk: string) =>
      chunks.push(prefix + chunk);
    await using session = new Session({ onStdout: note("s:") });
    await session.execute("print(1)");
    await session.execute("print(2)", { onStdout: note("e:") });
    await session.execute("print(3)");
    expect(chunks).toEqual(["s:1\n", "e:2\n", "s:3\n"]);
  });

  it("traces", async () => {
    const events: TraceEvent[] = [];
    await using session = new Session();
    await session.execute("def f():\n    return 1");
    const { trace } = await session.execute("f()", { trace: true });
    expect(trace).toContainEqual({ kind: "call", line: 1, function: "f" });
    expect(await session.execute("f()")).not.toHaveProperty("trace");
    await session.execute("f()", { onTrace: (event) => events.push(event) });
    expect(events).toEqual(trace);
  });

  it("traces as often as asked for", async () => {
    await using session = new Session({ trace: true });
    const lines = async (code: string) =>
      (await session.execute(code)).trace?.length;
    expect([await lines("1"), await lines("1"), await lines("1")]).toEqual([
      3, 3, 3,
    ]);
  });

  it("callbacks count anew and stay callable through old references", async () => {
    const seen: unknown[] = [];
    const callbacks = { f: (n: number) => seen.push(n) };
    await using session = new Session({
      callbacks,
      resourceLimits: { maxCallbackInvocations: 2 },
    });
    await session.execute(
      "g = f\nasync def twice():\n    await g(1)\n    await f(2)\nawait twice()",
    );
    const { callbackInvocations } = await session.execute("del f\nawait g(3)");
    expect([seen, callbackInvocations]).toEqual([[1, 2, 3], 1]);
  });

  it("arguments are checked before anything is queued", async () => {
    await using session = new Session();
    expect(await catchArgumentError(() => session.execute(1 as never))).toBe(
      "code: expected a string, got 1",
    );
    expect(
      await catchArgumentError(() =>
        session.execute("1", { inputs: { "a b": 1 } }),
      ),
    ).toContain("a b");
    expect(session.executionCount).toBe(0);
  });
});

describe("libraries", () => {
  const python =
    "loaded = globals().get('loaded', 0) + 1\ndef helper(): return loaded";
  const options = () => ({
    libraries: [new RuntimeLibrary({ python })],
    callbacks: { f: () => 7 },
    env: { A: "1" },
  });
  const ALL = "import os\n[helper(), await f(), os.environ['A']]";

  it("run once", async () => {
    expect(await value(["1", "2", ALL], options())).toEqual([1, 7, "1"]);
  });

  it("are there after a first execute that is a syntax error", async () => {
    await using session = new Session(options());
    await catchRejection(session.execute("a b"));
    expect((await session.execute(ALL)).value).toEqual([1, 7, "1"]);
  });

  it.each([
    ["a trap", "import os\nos.abort()"],
    ["an exception", "1/0"],
    ["os._exit", "import os\nos._exit(1)"],
  ])("are there after a first execute that ends by %s", async (_, code) => {
    await using session = new Session(options());
    await catchRejection(session.execute(code));
    expect((await session.execute(ALL)).value).toEqual([1, 7, "1"]);
  });

  it.each(["clearState", "snapshotState"] as const)(
    "are there after a %s before the first execute",
    async (name) => {
      await using session = new Session(options());
      await session.snapshotState();
      await session[name]();
      expect((await session.execute(ALL)).value).toEqual([1, 7, "1"]);
    },
  );

  it("are there in a session restored from one that ran nothing", async () => {
    await using session = new Session(options());
    await session.restoreState(await session.snapshotState());
    expect((await session.execute(ALL)).value).toEqual([1, 7, "1"]);
  });
});
