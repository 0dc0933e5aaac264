import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  type CallbackContext,
  Sandbox,
  type SandboxOptions,
  Session,
  SuspendedError,
  SuspendExecution,
} from "../index.js";
import { rejection } from "./helpers.js";
import { never, resumed, stop, suspended } from "./suspend-support.js";

describe("the error", () => {
  it("says why, and what waits with which arguments", async () => {
    const code =
      "print('out')\nimport sys\nprint('err', file=sys.stderr)\nx = await ns.stop(1, -2**70, 1.5, b'\\x00\\xff', None, [True, {'k': 'v'}], a='\\U0001f600', b=[b''])";
    const error = await suspended(code, { "ns.stop": stop });
    expect(error).toMatchObject({
      name: "SuspendedError",
      code: "ERYX_SUSPENDED",
      message: "execution was suspended: stop",
      reason: "stop",
      stdout: "out",
      stderr: "err",
      stateLost: false,
    });
    expect(error.pending).toEqual([
      {
        id: expect.any(Number),
        name: "ns.stop",
        args: [
          1,
          -(2n ** 70n),
          1.5,
          new Uint8Array([0, 255]),
          null,
          [true, { k: "v" }],
        ],
        kwargs: { a: "\u{1f600}", b: [new Uint8Array(0)] },
      },
    ]);
    expect(error.checkpoint).toBeInstanceOf(Uint8Array);
    expect(error.checkpoint.length).toBeLessThan(1_000_000);
  });

  it.each<[string, () => unknown, string]>([
    [
      "no reason",
      () => {
        throw new SuspendExecution();
      },
      "",
    ],
    [
      "a subclass",
      () => {
        throw new (class Mine extends SuspendExecution {})("mine");
      },
      "mine",
    ],
    [
      "a rejection",
      async () => {
        throw new SuspendExecution("late");
      },
      "late",
    ],
    ["a rejection after a while", () => sleep(50).then(stop), "stop"],
    [
      "a lone surrogate",
      () => {
        throw new SuspendExecution("a\ud800");
      },
      "a\ufffd",
    ],
  ])("of %s", async (_, fn, reason) => {
    const error = await suspended("await fn()", { fn });
    expect(error.reason).toBe(reason);
    expect(error.message).toBe(
      reason === ""
        ? "execution was suspended"
        : `execution was suspended: ${reason}`,
    );
  });

  it("comes of a returned SuspendExecution no more than of any object", async () => {
    const fn = () => new SuspendExecution("x");
    const error = await rejection(
      new Sandbox({ callbacks: { fn } }).execute("await fn()"),
    );
    expect(error.code).toBe("ERYX_EXECUTION");
  });

  it("lists the calls oldest first, with the arguments that were bound", async () => {
    const callbacks = {
      stop: () => sleep(30).then(stop),
      never,
      named: { fn: never, parameters: ["a", "b"] },
    };
    const error = await suspended(
      "import asyncio\nawait asyncio.gather(never(1), named(2, b=3), stop(), never(n=4))",
      callbacks,
    );
    const calls = error.pending.map(({ name, args, kwargs }) => [
      name,
      args,
      kwargs,
    ]);
    expect(calls).toEqual([
      ["never", [1], {}],
      ["named", [], { a: 2, b: 3 }],
      ["stop", [], {}],
      ["never", [], { n: 4 }],
    ]);
    const ids = error.pending.map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });

  it("has the trace so far", async () => {
    const error = await suspended("x = 1\nawait stop()", undefined, {
      trace: true,
    });
    expect(
      error.trace
        ?.filter(({ kind }) => kind === "line")
        .map(({ line }) => line),
    ).toEqual([1, 2]);
  });

  it("lets answers that came before be taken first", async () => {
    const callbacks = { now: () => 5, stop };
    const code =
      "import asyncio\nseen = []\nasync def note(): seen.append(await now())\nasync def wait(): return await stop()\n_, s = await asyncio.gather(note(), wait())\n[seen, s]";
    const error = await suspended(code, callbacks);
    expect(error.pending.map(({ name }) => name)).toEqual(["stop"]);
    expect(
      await resumed(error, { results: { [error.pending[0].id]: 1 } }),
    ).toEqual([[5], 1]);
  });

  it("aborts the signals of other calls", async () => {
    let signal: AbortSignal | undefined;
    const other = (_: object, context: CallbackContext) => {
      ({ signal } = context);
      return never();
    };
    await suspended("import asyncio\nawait asyncio.gather(other(), stop())", {
      other: { fn: other },
      stop: () => sleep(20).then(stop),
    });
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason.name).toBe("AbortError");
  });
});

describe("where", () => {
  const TWICE =
    "async def twice():\n    for n in range(2):\n        yield await stop(n)\n";
  it.each<[string, string, number, unknown]>([
    ["the top level", "x = await stop()\nx + 1", 1, 11],
    ["a function", "async def f(): return await stop()\nawait f()", 1, 10],
    [
      "gather",
      "import asyncio\nawait asyncio.gather(stop(), asyncio.sleep(0, 'x'), stop())",
      2,
      [10, "x", 20],
    ],
    [
      "a task group",
      "import asyncio\nasync with asyncio.TaskGroup() as g:\n    a, b = g.create_task(stop()), g.create_task(stop())\n[a.result(), b.result()]",
      2,
      [10, 20],
    ],
    [
      "asyncio.timeout",
      "import asyncio\nasync with asyncio.timeout(20): x = await stop()\nx",
      1,
      10,
    ],
    [
      "asyncio.wait_for",
      "import asyncio\nawait asyncio.wait_for(stop(), 20)",
      1,
      10,
    ],
    [
      "an async generator",
      `${TWICE}a = twice()\nx = await anext(a)\nawait a.aclose()\nx`,
      1,
      10,
    ],
    [
      "an async with, for and comprehension",
      "import contextlib\n@contextlib.asynccontextmanager\nasync def c():\n    yield await stop()\nasync with c() as x: pass\n[y async for y in aiter_of(x)]"
        .replace("aiter_of(x)", "(z async for z in g(x))")
        .replace("async with", "async def g(n):\n    yield n\nasync with"),
      1,
      [10],
    ],
    [
      "a generator-based library",
      "import types\n@types.coroutine\ndef lib(c): return (yield from c.__await__())\nawait lib(stop())",
      1,
      10,
    ],
    [
      "a lock that others wait for",
      "import asyncio\nlock = asyncio.Lock()\nasync def f(n):\n    async with lock: return [n, await stop() if n == 0 else None]\nawait asyncio.gather(f(0), f(1))",
      1,
      [
        [0, 10],
        [1, null],
      ],
    ],
    [
      "a try with finally",
      "seen = []\ntry: seen.append(await stop())\nfinally: seen.append('f')\nseen",
      1,
      [10, "f"],
    ],
  ])("%s", async (_, code, count, expected) => {
    const error = await suspended(code);
    expect(error.pending).toHaveLength(count);
    const results = Object.fromEntries(
      error.pending.map(({ id }, n) => [id, (n + 1) * 10]),
    );
    expect(await resumed(error, { results })).toEqual(expected);
  });

  it("below asyncio.run it is a CallbackError", async () => {
    const code =
      "import asyncio\nasync def f():\n    try: await stop()\n    except CallbackError as e: return [e.name, str(e)]\nasyncio.run(f())";
    const { value } = await new Sandbox({ callbacks: { stop } }).execute(code);
    expect(value).toEqual([
      "SuspendExecution",
      "SuspendExecution: a run can be suspended where top-level code awaits, not below asyncio.run()",
    ]);
  });

  it("a call that Python has given up does not suspend", async () => {
    const callbacks = {
      stop: () => sleep(20).then(stop),
      other: () => sleep(50, 5),
    };
    const code =
      "import asyncio, time\nt = asyncio.create_task(stop())\nawait asyncio.sleep(0)\ntime.sleep(0.2)\nt.cancel()\nawait other()";
    expect((await new Sandbox({ callbacks }).execute(code)).value).toBe(5);
  });
});

describe("a session", () => {
  it("is in the state before, and works at once", async () => {
    const options: SandboxOptions = { callbacks: { stop } };
    await using session = new Session(options);
    await session.execute("x = 1\ndef f(): return x");
    for (let round = 0; round < 3; round++) {
      const error = await rejection<SuspendedError>(
        session.execute("x = 2\nx += await stop()\nf()"),
      );
      expect(error).toMatchObject({ code: "ERYX_SUSPENDED", stateLost: false });
      expect((await session.execute("x")).value).toBe(1);
      expect(
        await resumed(error, { results: { [error.pending[0].id]: 40 } }),
      ).toBe(42);
    }
    expect((await session.execute("f()")).value).toBe(1);
    expect(session.executionCount).toBe(8);
  });

  it("may be suspended in a fork, and after a restore", async () => {
    await using session = new Session({ callbacks: { stop } });
    await session.execute("x = 1");
    const fork = await session.fork();
    await fork.restoreState(await session.snapshotState());
    const error = await rejection<SuspendedError>(
      fork.execute("x + await stop()"),
    );
    expect(
      await resumed(error, { results: { [error.pending[0].id]: 4 } }),
    ).toBe(5);
  });
});
