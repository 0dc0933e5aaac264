import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  type CallbackContext,
  RuntimeLibrary,
  Sandbox,
  type SandboxOptions,
  Session,
  SuspendedError,
  SuspendExecution,
} from "../../index.js";
import { catchRejection } from "../helpers.js";
import { never, resumeToValue, runToSuspension, stop } from "./suspending.js";

describe("the error", () => {
  it("says why, and what waits with which arguments", async () => {
    const code =
      "print('out')\nimport sys\nprint('err', file=sys.stderr)\nx = await ns.stop(1, -2**70, 1.5, b'\\x00\\xff', None, [True, {'k': 'v'}], a='\\U0001f600', b=[b''])";
    const error = await runToSuspension(code, { "ns.stop": stop });
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
    const error = await runToSuspension("await fn()", { fn });
    expect(error.reason).toBe(reason);
    expect(error.message).toBe(
      reason === ""
        ? "execution was suspended"
        : `execution was suspended: ${reason}`,
    );
  });

  it("comes of a returned SuspendExecution no more than of any object", async () => {
    const fn = () => new SuspendExecution("x");
    const error = await catchRejection(
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
    const error = await runToSuspension(
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
    const error = await runToSuspension("x = 1\nawait stop()", undefined, {
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
    const error = await runToSuspension(code, callbacks);
    expect(error.pending.map(({ name }) => name)).toEqual(["stop"]);
    expect(
      await resumeToValue(error, { results: { [error.pending[0].id]: 1 } }),
    ).toEqual([[5], 1]);
  });

  it("aborts the signals of other calls", async () => {
    let signal: AbortSignal | undefined;
    const other = (_: object, context: CallbackContext) => {
      ({ signal } = context);
      return never();
    };
    await runToSuspension(
      "import asyncio\nawait asyncio.gather(other(), stop())",
      {
        other: { fn: other },
        stop: () => sleep(20).then(stop),
      },
    );
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
    const error = await runToSuspension(code);
    expect(error.pending).toHaveLength(count);
    const results = Object.fromEntries(
      error.pending.map(({ id }, n) => [id, (n + 1) * 10]),
    );
    expect(await resumeToValue(error, { results })).toEqual(expected);
  });

  it.each([
    ["a function", "def run(): return asyncio.run(f())\nrun()"],
    ["a method", "class A:\n    run = staticmethod(asyncio.run)\nA.run(f())"],
    ["a class body", "class A: x = asyncio.run(f())\nA.x"],
    ["a generator expression", "next(asyncio.run(f()) for _ in [1])"],
    ["exec", "exec('x = asyncio.run(f())')\nx"],
    [
      "asyncio.run itself",
      "async def main(): return asyncio.run(f())\nasyncio.run(main())",
    ],
  ])("below a loop run in %s it is a CallbackError", async (_, code) => {
    const { value } = await new Sandbox({ callbacks: { stop } }).execute(
      `import asyncio\nasync def f():\n    try: await stop()\n    except CallbackError as e: return [e.name, str(e)]\n${code}`,
    );
    expect(value).toEqual([
      "SuspendExecution",
      expect.stringMatching(
        /^SuspendExecution: a run can be suspended where top-level code awaits/,
      ),
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

describe("a loop that top-level code runs", () => {
  const MAIN = `
import asyncio, sys
async def main(n=1):
    print("ask", n)
    answer = await stop(n)
    print("got", answer)
    return answer
async def both():
    async with asyncio.TaskGroup() as g:
        tasks = [g.create_task(main(n)) for n in (1, 2)]
    return [task.result() for task in tasks]
`;

  /** Resumes until it ends; the n-th call is answered with n * 10. */
  async function ended(error: SuspendedError, options: SandboxOptions = {}) {
    for (;;) {
      const results = Object.fromEntries(
        error.pending.map(({ id }) => [id, id * 10]),
      );
      const resuming = Session.resume(error.checkpoint, {
        callbacks: { stop },
        results,
        ...options,
      });
      try {
        const { session, result } = await resuming;
        await session.close();
        return result;
      } catch (again) {
        if (!(again instanceof SuspendedError)) throw again;
        error = again;
      }
    }
  }

  it.each<[string, string, unknown]>([
    ["by asyncio.run", "asyncio.run(main())", 10],
    [
      "below if __name__",
      'if __name__ == "__main__":\n    x = asyncio.run(main())\nx',
      10,
    ],
    [
      "to exit",
      "try: sys.exit(asyncio.run(main()))\nexcept SystemExit as e: x = e.code\nx",
      10,
    ],
    [
      "with gather",
      "async def f(): return await asyncio.gather(main(1), main(2), asyncio.sleep(0, 3))\nasyncio.run(f())",
      [10, 20, 3],
    ],
    ["with a TaskGroup", "asyncio.run(both())", [10, 20]],
    [
      "with a timeout",
      "async def f():\n    async with asyncio.timeout(20): return await main()\nasyncio.run(f())",
      10,
    ],
    [
      "again and again",
      "x = [asyncio.run(main(n)) for n in range(3)]\nfor n in range(2): x.append(asyncio.run(main(n)))\nx",
      [10, 20, 30, 40, 50],
    ],
    [
      "in except and finally",
      "x = []\ntry: 1 / 0\nexcept ZeroDivisionError: x += [asyncio.run(main()), repr(sys.exception())]\nfinally: x.append(asyncio.run(main()))\nx",
      [10, "ZeroDivisionError('division by zero')", 20],
    ],
    [
      "where a left task cleans up",
      "async def left():\n    try: await asyncio.sleep(60)\n    finally: x.append(await stop())\nasync def f():\n    asyncio.create_task(left())\n    await asyncio.sleep(0)\nx = []\nasyncio.run(f())\nx",
      [10],
    ],
    [
      "by a Runner",
      "with asyncio.Runner() as runner: x = [runner.run(main(n)) for n in range(2)]\nx",
      [10, 20],
    ],
    [
      "by hand",
      "loop = asyncio.new_event_loop()\nx = loop.run_until_complete(main())\nloop.close()\nx",
      10,
    ],
    [
      "in code that awaits as well",
      "task = asyncio.create_task(asyncio.sleep(0.01, 'task'))\nx = [await main(), asyncio.run(main()), await task, await main(), asyncio.run(both())]\nx",
      [10, 20, "task", 30, [40, 50]],
    ],
    [
      "in a source of several parts",
      `${"x = 1\n".repeat(12_000)}x = asyncio.run(main())\n${"y = 1\n".repeat(12_000)}[x, y, asyncio.run(main())]`,
      [10, 1, 20],
    ],
  ])("%s", async (_, code, expected) => {
    const error = await runToSuspension(MAIN + code);
    expect((await ended(error)).value).toEqual(expected);
  });

  it("in a library, and below one that awaits", async () => {
    const python = `${MAIN}made = asyncio.run(main("library"))`;
    for (const source of [python, `${python}\nmade += await stop()`]) {
      const libraries = [new RuntimeLibrary({ python: source })];
      const sandbox = new Sandbox({ callbacks: { stop }, libraries });
      const run = sandbox.execute("[made, asyncio.run(main())]");
      const error = await catchRejection<SuspendedError>(run);
      const { value } = await ended(error, { libraries });
      expect(value).toEqual(source === python ? [10, 20] : [30, 30]);
    }
  });

  it("goes on in another process, with results, errors and calls", async () => {
    const { runElsewhere: elsewhere } = await import("../snapshots/support.js");
    const code = `${MAIN}
async def f():
    return await asyncio.gather(main("a"), main("b"), main("c"), return_exceptions=True)
if __name__ == "__main__":
    result = [str(answer) for answer in asyncio.run(f())]
    try: asyncio.get_running_loop()
    except RuntimeError as e: print(e)`;
    const error = await runToSuspension(code);
    expect(error.stdout).toBe("ask a\nask b\nask c");
    const [a, b] = error.pending.map(({ id }) => id);
    const source = `
      const options = { results: { ${a}: 1 }, errors: { ${b}: "no" }, callbacks: { stop: async (n) => n + "!" } };
      const { session, result } = await Session.resume(bytes, options);
      const later = await session.execute("asyncio.run(main('d'))");
      console.log(JSON.stringify([result.stdout, result.result, later.value]));`;
    expect(JSON.parse(await elsewhere(error.checkpoint, source))).toEqual([
      "got 1\ngot c!\nno running event loop",
      ["1", "no", "c!"],
      "d!",
    ]);
  });

  it("suspends a session, which is in the state before", async () => {
    await using session = new Session({ callbacks: { stop } });
    await session.execute(`${MAIN}x = 1`);
    for (let round = 1; round <= 2; round++) {
      const run = session.execute("x += asyncio.run(main())\nx");
      const error = await catchRejection<SuspendedError>(run);
      expect((await session.execute("x")).value).toBe(1);
      expect((await ended(error)).value).toBe(1 + 10 * error.pending[0].id);
    }
  });

  it("is ended where it waits by the deadline of the resumed run", async () => {
    const code = `${MAIN}
async def f():
    try:
        await stop()
        await asyncio.sleep(60)
    finally: print("inner")
try: asyncio.run(f())
finally: print("outer")`;
    const { checkpoint, pending } = await runToSuspension(code);
    const resuming = Session.resume(checkpoint, {
      results: { [pending[0].id]: 1 },
      timeoutMs: 200,
    });
    expect(await catchRejection(resuming)).toMatchObject({
      code: "ERYX_TIMEOUT",
      stdout: "inner\nouter",
    });
  });
});

describe("a session", () => {
  it("is in the state before, and works at once", async () => {
    const options: SandboxOptions = { callbacks: { stop } };
    await using session = new Session(options);
    await session.execute("x = 1\ndef f(): return x");
    for (let round = 0; round < 3; round++) {
      const error = await catchRejection<SuspendedError>(
        session.execute("x = 2\nx += await stop()\nf()"),
      );
      expect(error).toMatchObject({ code: "ERYX_SUSPENDED", stateLost: false });
      expect((await session.execute("x")).value).toBe(1);
      expect(
        await resumeToValue(error, { results: { [error.pending[0].id]: 40 } }),
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
    const error = await catchRejection<SuspendedError>(
      fork.execute("x + await stop()"),
    );
    expect(
      await resumeToValue(error, { results: { [error.pending[0].id]: 4 } }),
    ).toBe(5);
  });
});
