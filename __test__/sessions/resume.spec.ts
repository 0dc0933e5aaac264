import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Session, SuspendedError } from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";
import {
  never,
  type ResumeOptions,
  resumeToValue,
  runToSuspension,
  stop,
} from "./suspending.js";

describe("resume", () => {
  it("answers with any value", async () => {
    const error = await runToSuspension(
      "x = await stop()\n[type(x).__name__, x]",
    );
    const [{ id }] = error.pending;
    for (const [given, type] of [
      [null, "NoneType"],
      [true, "bool"],
      [2n ** 70n, "int"],
      [new Uint8Array([1]), "bytes"],
      [{ a: [1] }, "dict"],
      ["", "str"],
    ] as const)
      expect(
        await resumeToValue(error, { results: { [id]: given as never } }),
      ).toEqual([type, given]);
  });

  it("fails a call with a CallbackError", async () => {
    const error = await runToSuspension(
      "try: await stop()\nexcept CallbackError as e: x = [type(e).__name__, str(e), e.name, e.callback]\nx",
    );
    expect(
      await resumeToValue(error, {
        errors: { [error.pending[0].id]: "not today" },
      }),
    ).toEqual(["CallbackError", "not today", "", "stop"]);
  });

  it("calls again what has no answer", async () => {
    const error = await runToSuspension("await stop(1, b=b'x')");
    const calls: unknown[] = [];
    const again = (...args: unknown[]) => calls.push(args);
    expect(await resumeToValue(error, { callbacks: { stop: again } })).toBe(1);
    expect(calls).toEqual([[1, { b: new Uint8Array([120]) }]]);
  });

  it("mixes results, errors and calls", async () => {
    const error = await runToSuspension(
      "import asyncio\nends = await asyncio.gather(stop(1), stop(2), stop(3), return_exceptions=True)\n[str(e) for e in ends]",
    );
    const [a, b] = error.pending.map(({ id }) => id);
    const options = {
      results: { [a]: "r" },
      errors: { [b]: "e" },
      callbacks: { stop: async (n: number) => `again ${n}` },
    };
    expect(await resumeToValue(error, options)).toEqual(["r", "e", "again 3"]);
  });

  it("without the callback is a CallbackError", async () => {
    const error = await runToSuspension(
      "try: await stop()\nexcept CallbackError as e: x = str(e)\nx",
    );
    expect(await resumeToValue(error)).toBe("stop() is not known to the host");
  });

  it("works in another process, and twice from the same checkpoint", async () => {
    const { runElsewhere: elsewhere } = await import("../snapshots/support.js");
    const error = await runToSuspension(
      "import asyncio, random\nprint('before')\nx = [random.random()]\na, b = await asyncio.gather(stop(1), stop(2))\nprint('after')\nresult = {'sum': a + b}\nawait stop(a)",
      { stop },
    );
    const [first] = error.pending;
    const source = `
      const resume = () => Session.resume(bytes, { results: { ${first.id}: 5 }, callbacks: { stop: async (n) => n * 10 } });
      const { session, result } = await resume();
      console.log(JSON.stringify([result.stdout, result.result, result.value, (await session.execute("len(x)")).value]));`;
    const expected = ["after", { sum: 25 }, 50, 1];
    expect(JSON.parse(await elsewhere(error.checkpoint, source))).toEqual(
      expected,
    );
    for (let round = 0; round < 2; round++) {
      const { session, result } = await Session.resume(error.checkpoint, {
        results: { [first.id]: 5 },
        callbacks: { stop: async (n: number) => n * 10 },
      });
      expect([
        result.stdout,
        result.result,
        result.value,
        (await session.execute("len(x)")).value,
      ]).toEqual(expected);
    }
  });

  it("may suspend again, many times", async () => {
    let error = await runToSuspension(
      "seen = []\nfor n in range(5): seen.append(await stop(n))\nseen",
    );
    for (let n = 0; n < 4; n++) {
      expect(error.pending).toMatchObject([{ name: "stop", args: [n] }]);
      const next = Session.resume(error.checkpoint, {
        callbacks: { stop },
        results: { [error.pending[0].id]: n * 10 },
      });
      error = await catchRejection<SuspendedError>(next);
      expect(error).toBeInstanceOf(SuspendedError);
    }
    expect(
      await resumeToValue(error, { results: { [error.pending[0].id]: 40 } }),
    ).toEqual([0, 10, 20, 30, 40]);
  });

  it("by a call that suspends again keeps its arguments", async () => {
    const error = await runToSuspension("await stop('a')");
    const again = await catchRejection<SuspendedError>(
      Session.resume(error.checkpoint, { callbacks: { stop } }),
    );
    expect(again.pending).toMatchObject([
      { name: "stop", args: ["a"], kwargs: {} },
    ]);
    expect(
      await resumeToValue(again, { results: { [again.pending[0].id]: 1 } }),
    ).toBe(1);
  });

  it("leaves timers the time that they had", async () => {
    const code =
      "import asyncio, time\nbegan = time.monotonic()\nslept, _ = await asyncio.gather(asyncio.sleep(2, 'slept'), stop())\n[slept, time.monotonic() - began]";
    const error = await runToSuspension(code);
    await sleep(1500);
    const start = performance.now();
    const [slept, took] = (await resumeToValue(error, {
      results: { [error.pending[0].id]: 1 },
    })) as [string, number];
    expect(slept).toBe("slept");
    expect(took).toBeGreaterThan(1.95);
    expect(performance.now() - start).toBeGreaterThan(1000);
  });

  it("leaves asyncio.timeout the time that it had", async () => {
    const code =
      "import asyncio\ntry:\n    async with asyncio.timeout(1.5): await stop()\nexcept TimeoutError: x = 'late'\nx";
    const error = await runToSuspension(code);
    expect(await resumeToValue(error, { callbacks: { stop: never } })).toBe(
      "late",
    );
    await sleep(1600);
    expect(
      await resumeToValue(error, {
        results: { [error.pending[0].id]: 1 },
        callbacks: {},
      }).catch((reason) => reason.message),
    ).toBe("NameError: name 'x' is not defined");
  });

  it("has its own limits, output, trace and signal", async () => {
    const error = await runToSuspension(
      "print('a' * 50)\nx = await stop()\nprint('b' * 50)\nwhile x: pass\nx",
    );
    const [{ id }] = error.pending;
    const chunks: string[] = [];
    const options = {
      resourceLimits: { maxOutputBytes: 20 },
      onStdout: (chunk: string) => chunks.push(chunk),
    };
    const { result, session } = await Session.resume(error.checkpoint, {
      ...options,
      results: { [id]: 0 },
    });
    expect(result).toMatchObject({
      stdout: "b".repeat(20),
      outputTruncated: true,
      value: 0,
    });
    expect(chunks.join("")).toBe("b".repeat(20));
    await session.close();
    const late = await catchRejection(
      Session.resume(error.checkpoint, {
        timeoutMs: 500,
        results: { [id]: 1 },
      }),
    );
    expect(late).toMatchObject({
      code: "ERYX_TIMEOUT",
      message: "execution timed out after 500 ms",
      stdout: "b".repeat(50),
    });
    const signal = AbortSignal.timeout(100);
    expect(
      (
        await catchRejection(
          Session.resume(error.checkpoint, { signal, results: { [id]: 1 } }),
        )
      ).code,
    ).toBe("ERYX_CANCELLED");
    const aborted = AbortSignal.abort();
    expect(
      (
        await catchRejection(
          Session.resume(error.checkpoint, {
            signal: aborted,
            results: { [id]: 1 },
          }),
        )
      ).code,
    ).toBe("ERYX_CANCELLED");
  });

  it("reports what Python raises, with its lines", async () => {
    const error = await runToSuspension(
      "x = await stop()\n\nraise ValueError(x)",
      undefined,
      { filename: "mine.py" },
    );
    const failed = await catchRejection(
      Session.resume(error.checkpoint, {
        results: { [error.pending[0].id]: "oops" },
      }),
    );
    expect(failed).toMatchObject({
      code: "ERYX_EXECUTION",
      message: "ValueError: oops",
      frames: [{ filename: "mine.py", line: 3, function: "<module>" }],
    });
    expect((failed as unknown as { traceback: string }).traceback).toContain(
      "    raise ValueError(x)",
    );
  });

  it("gives a session that goes on", async () => {
    const error = await runToSuspension("y = 1\nx = await stop()");
    const { session } = await Session.resume(error.checkpoint, {
      results: { [error.pending[0].id]: 2 },
      callbacks: { f: () => 7 },
      resourceLimits: { executionTimeoutMs: 5000 },
    });
    expect(session).toBeInstanceOf(Session);
    expect((await session.execute("[x, y, await f()]")).value).toEqual([
      2, 1, 7,
    ]);
    expect(session.executionTimeoutMs).toBe(5000);
    await catchRejection(session.execute("x = 9\nimport os\nos.abort()"));
    const fork = await session.fork();
    await session.restoreState(await fork.snapshotState());
    expect((await session.execute("x")).value).toBe(2);
    await session.close();
    expect((await fork.execute("x")).value).toBe(2);
  });

  it("gives sessions whose later random numbers and names differ", async () => {
    const error = await runToSuspension(
      "import random, tempfile\nx = await stop()",
    );
    const drawn: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      const { session } = await Session.resume(error.checkpoint, {
        results: { [error.pending[0].id]: 1 },
      });
      const { value } = await session.execute(
        "[random.random(), tempfile.mktemp()]",
      );
      drawn.push(...(value as unknown[]));
    }
    expect(new Set(drawn).size).toBe(6);
  });

  it("goes on tracing, or stops, and the session may trace later", async () => {
    const code = "x = await stop()\ny = 2";
    const error = await runToSuspension(code, undefined, { trace: true });
    const results = { [error.pending[0].id]: 1 };
    const traced = await Session.resume(error.checkpoint, {
      results,
      trace: true,
    });
    const lines = traced.result.trace
      ?.filter(({ kind }) => kind === "line")
      .map(({ line }) => line);
    expect(lines).toEqual([2]);
    const { session, result } = await Session.resume(error.checkpoint, {
      results,
    });
    expect(result).not.toHaveProperty("trace");
    expect((await session.execute("1", { trace: true })).trace).toHaveLength(3);
  });

  it("takes a new stdin", async () => {
    const error = await runToSuspension("x = await stop()\ninput()");
    expect(
      await resumeToValue(error, {
        stdin: "new",
        results: { [error.pending[0].id]: 1 },
      }),
    ).toBe("new");
  });

  it("keeps the environment and the libraries of the checkpoint until a reset, the result variable until the next execute", async () => {
    const look =
      "import os\n[os.environ.get('A'), globals().get('helper', 'no')]";
    const error = await runToSuspension(
      `x = out = result = await stop()\n${look}`,
    );
    const { session, result } = await Session.resume(error.checkpoint, {
      env: { A: "1" },
      libraries: [new RuntimeLibrary({ python: "helper = 'yes'" })],
      resultVariable: "out",
      results: { [error.pending[0].id]: "first" },
    });
    expect([result.result, result.value]).toEqual(["first", [null, "no"]]);
    const next = await session.execute(`out = "next"\n${look}`);
    expect([next.result, next.value]).toEqual(["next", [null, "no"]]);
    await session.reset();
    expect((await session.execute(look)).value).toEqual(["1", "yes"]);
    await session.close();
  });

  it.each(["inputs", "filename"])("refuses %s", async (name) => {
    const { checkpoint } = await runToSuspension("await stop()");
    const given = { inputs: { a: 1 }, filename: "f.py" };
    const options = { [name]: given[name as keyof typeof given] };
    expect(
      await catchArgumentError(() => Session.resume(checkpoint, options)),
    ).toBe(`options.${name}: the execution has begun with its own`);
  });
});

describe("arguments", () => {
  it.each<[ResumeOptions | null, string]>([
    [null, "options: expected an object, got null"],
    [[] as never, "options: expected an object, got an array"],
    [{ bogus: 1 } as never, "options.bogus: unknown option, expected one of "],
    [
      { results: [] as never },
      "options.results: expected an object of answers by id, got an array",
    ],
    [
      { results: null as never },
      "options.results: expected an object of answers by id, got null",
    ],
    [
      { results: new Map([[1, 1]]) as never },
      "options.results: expected an object of answers by id, got an object (Map)",
    ],
    [
      { errors: new Map() as never },
      "options.errors: expected an object of answers by id, got an object (Map)",
    ],
    [
      { results: { a: 1 } as never },
      'options.results: expected ids of pending calls, got "a"',
    ],
    [
      { results: { "-1": 1 } as never },
      'options.results: expected ids of pending calls, got "-1"',
    ],
    [
      { results: { "01": 1 } as never },
      'options.results: expected ids of pending calls, got "01"',
    ],
    [
      { results: { "+1": 1 } as never },
      'options.results: expected ids of pending calls, got "+1"',
    ],
    [
      { results: { 1e21: 1 } },
      'options.results: expected ids of pending calls, got "1e+21"',
    ],
    [
      { errors: { "01": "x" } as never },
      'options.errors: expected ids of pending calls, got "01"',
    ],
    [
      { errors: { "1.0": "x" } as never },
      'options.errors: expected ids of pending calls, got "1.0"',
    ],
    [
      { errors: null as never },
      "options.errors: expected an object of answers by id, got null",
    ],
    [
      { results: null as never, errors: { 1: "x" } },
      "options.results: expected an object of answers by id, got null",
    ],
    [
      { errors: { 1: new Date(0) as never } },
      "options.errors[1]: expected a string, got an object (Date)",
    ],
    [
      { results: { 1: new Date(0) as never } },
      "results[1]: Date is not transferable",
    ],
    [
      { errors: "text" as never },
      'options.errors: expected an object of answers by id, got "text"',
    ],
    [
      { errors: { 1: 5 as never } },
      "options.errors[1]: expected a string, got 5",
    ],
    [
      { results: { 99: 1 } },
      "options.results: expected ids of pending calls, got ",
    ],
    [
      { errors: { 99: "x" } },
      "options.errors: expected ids of pending calls, got ",
    ],
    [{ results: { 1: 1 }, errors: { 1: "x" } }, "options.errors"],
    [{ timeoutMs: 0 }, "options.timeoutMs: expected a number of milliseconds"],
    [{ callbacks: 5 as never }, "options.callbacks: "],
  ])("%j are refused", async (options, message) => {
    const { checkpoint } = await runToSuspension("await stop()");
    const error = await catchRejection<TypeError & { code: string }>(
      Session.resume(checkpoint, options as never),
    );
    expect(error.message).toContain(message);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe("ERYX_INVALID_ARGUMENT");
  });

  it.each([undefined, null, "text", 5, [1], new ArrayBuffer(8)])(
    "a checkpoint of %o is a wrong type",
    async (bad) => {
      const error = await catchRejection(Session.resume(bad as never));
      expect(error.message).toMatch(/^checkpoint: expected a Uint8Array, got /);
    },
  );

  it("a damaged checkpoint is a SnapshotError", async () => {
    const { checkpoint } = await runToSuspension("await stop()");
    const cut = [0, 7, 8, 72, 200, checkpoint.length - 1].map((length) =>
      checkpoint.slice(0, length),
    );
    const flipped = [0, 9, 13, 50, 90, 5000, checkpoint.length - 5].map((at) =>
      checkpoint.with(at, checkpoint[at] ^ 1),
    );
    for (const bytes of [...cut, ...flipped]) {
      const error = await catchRejection(
        Session.resume(bytes, { callbacks: { stop } }),
      );
      expect(error.code).toBe("ERYX_SNAPSHOT");
      expect(error.message).toMatch(
        /^the snapshot cannot be restored: (it is damaged|these bytes are no snapshot)$/,
      );
    }
  });
});
