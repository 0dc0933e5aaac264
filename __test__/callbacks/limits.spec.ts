import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import {
  type CallbackContext,
  type Callbacks,
  type ResourceLimits,
  Sandbox,
} from "../../index.js";
import {
  catchRejection,
  getNodeStdout,
  PROMPT,
  tryUntilPrompt,
} from "../helpers.js";

function sandboxed(callbacks: Callbacks, resourceLimits: ResourceLimits = {}) {
  return new Sandbox({ callbacks, resourceLimits });
}

const never = () => new Promise(() => {});

describe("maxCallbackInvocations", () => {
  const CATCH = `done = 0
for _ in range(20):
    try: await f()
    except CallbackLimitError as e: error = e
    else: done += 1
`;

  it.each([1, 7, 19])("of %i is exact, and the code goes on", async (limit) => {
    let called = 0;
    const f = () => ++called;
    const sandbox = sandboxed({ f }, { maxCallbackInvocations: limit });
    const { stdout, callbackInvocations } = await sandbox.execute(
      `${CATCH}print(done, error)`,
    );
    expect(stdout).toBe(
      `${limit} f() was not called: the limit of callbacks (maxCallbackInvocations) is used up`,
    );
    expect([called, callbackInvocations]).toEqual([limit, limit]);
  });

  it("of 20 lets 20 pass", async () => {
    const sandbox = sandboxed({ f: () => 1 }, { maxCallbackInvocations: 20 });
    expect((await sandbox.execute(`${CATCH}done`)).value).toBe(20);
  });

  it("is 1000 by default", async () => {
    const sandbox = sandboxed({ f: () => 1 });
    const code = `import asyncio
ends = await asyncio.gather(*[f() for _ in range(1010)], return_exceptions=True)
result = [ends.count(1), {type(e).__name__ for e in ends if e != 1}]`;
    const { result, callbackInvocations } = await sandbox.execute(code);
    expect([result, callbackInvocations]).toEqual([
      [1000, ["CallbackLimitError"]],
      1000,
    ]);
  });

  it("of null is none", async () => {
    const sandbox = sandboxed(
      { f: () => 1 },
      { maxCallbackInvocations: null, executionTimeoutMs: null },
    );
    const code = "for _ in range(3000): await f()";
    expect((await sandbox.execute(code)).callbackInvocations).toBe(3000);
  });

  it("counts all callbacks together, and each run apart", async () => {
    const callbacks = { f: () => 1, "ns.g": () => 2 };
    const sandbox = sandboxed(callbacks, { maxCallbackInvocations: 2 });
    expect((await sandbox.execute("await f() + await ns.g()")).value).toBe(3);
    expect((await sandbox.execute("await f() + await ns.g()")).value).toBe(3);
    const code = "await f()\nawait f()\nawait ns.g()";
    expect(await catchRejection(sandbox.execute(code))).toMatchObject({
      code: "ERYX_EXECUTION",
      pythonType: "CallbackLimitError",
    });
  });

  it("counts a call that is cancelled before it was answered", async () => {
    const sandbox = sandboxed({ f: never }, { maxCallbackInvocations: 3 });
    const code = `import asyncio
for _ in range(3):
    try: await asyncio.wait_for(f(), 0.005)
    except TimeoutError: pass
try: await f()
except CallbackLimitError: print('limit')`;
    expect((await sandbox.execute(code)).stdout).toBe("limit");
  });
});

describe("a callback that takes too long", () => {
  const CATCH =
    "try: await f()\nexcept TimeoutError as e: print(type(e).__name__, e)\nprint(await g())";
  const g = () => "on";

  it.each<[string, Callbacks, ResourceLimits, string]>([
    ["callbackTimeoutMs", { f: never, g }, { callbackTimeoutMs: 40 }, "40"],
    ["a fraction", { f: never, g }, { callbackTimeoutMs: 7.5 }, "7.5"],
    ["timeoutMs", { f: { fn: never, timeoutMs: 30 }, g }, {}, "30"],
    [
      "timeoutMs before callbackTimeoutMs",
      { f: { fn: never, timeoutMs: 30 }, g },
      { callbackTimeoutMs: 9000 },
      "30",
    ],
    [
      "timeoutMs without callbackTimeoutMs",
      { f: { fn: never, timeoutMs: 30 }, g },
      { callbackTimeoutMs: null },
      "30",
    ],
  ])("is a TimeoutError by %s", async (_, callbacks, limits, limit) => {
    const { stdout } = await sandboxed(callbacks, limits).execute(CATCH);
    expect(stdout).toBe(`TimeoutError f() took longer than ${limit} ms\non`);
  });

  it.each<[string, Callbacks, ResourceLimits]>([
    [
      "timeoutMs: null",
      { f: { fn: () => sleep(150, 5), timeoutMs: null } },
      { callbackTimeoutMs: 20 },
    ],
    [
      "callbackTimeoutMs: null",
      { f: () => sleep(150, 5) },
      { callbackTimeoutMs: null },
    ],
    [
      "a longer timeoutMs",
      { f: { fn: () => sleep(150, 5), timeoutMs: 9000 } },
      { callbackTimeoutMs: 20 },
    ],
    [
      "timeoutMs: undefined",
      { f: { fn: () => sleep(20, 5), timeoutMs: undefined } },
      {},
    ],
  ])("has the time of %s", async (_, callbacks, limits) => {
    const { value } = await sandboxed(callbacks, limits).execute("await f()");
    expect(value).toBe(5);
  });

  it("ends a run that does not catch it", async () => {
    const sandbox = sandboxed({ f: never }, { callbackTimeoutMs: 20 });
    expect(await catchRejection(sandbox.execute("await f()"))).toMatchObject({
      name: "ExecutionError",
      pythonType: "TimeoutError",
      message: "TimeoutError: f() took longer than 20 ms",
    });
  });

  it("is told from others, each by its own time", async () => {
    const callbacks = [10, 60, 120].map((timeoutMs) => ({
      name: `f${timeoutMs}`,
      fn: never,
      timeoutMs,
    }));
    const code = `import asyncio, time
start = time.monotonic()
async def one(f):
    try: await f()
    except TimeoutError: return time.monotonic() - start
ends = await asyncio.gather(one(f10), one(f60), one(f120))
result = ends == sorted(ends) and ends[2] > 0.1`;
    expect((await sandboxed(callbacks).execute(code)).result).toBe(true);
  });

  it("ends near the execution's deadline too", async () => {
    const sandbox = sandboxed({ f: never }, { executionTimeoutMs: 500 });
    const error = await catchRejection(sandbox.execute("print(1)\nawait f()"));
    expect(error).toMatchObject({
      name: "TimeoutError",
      code: "ERYX_TIMEOUT",
      stdout: "1",
    });
  });

  it("in code that catches everything, too", async () => {
    const sandbox = sandboxed({ f: never }, { executionTimeoutMs: 100 });
    const code = `while True:
    try: await f()
    except BaseException: pass`;
    const error = await tryUntilPrompt(100 + PROMPT, () =>
      catchRejection(sandbox.execute(code)),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
  });

  it("may be answered while Python computes beyond its deadline", async () => {
    const f = { fn: () => 5, timeoutMs: 1000 };
    const code = `import asyncio, time
task = asyncio.create_task(f())
await asyncio.sleep(0)
time.sleep(1.1)
print(await task)`;
    expect((await sandboxed({ f }).execute(code)).stdout).toBe("5");
  });
});

/** What happens to the signal of a call that is never answered, in a run of `code`. */
async function observed(
  code: string,
  act: (sandbox: Sandbox, run: AbortController) => unknown = () => {},
) {
  const events: string[] = [];
  let signal: AbortSignal | undefined;
  const controller = new AbortController();
  const sandbox: Sandbox = sandboxed({
    f: {
      timeoutMs: code.includes("TimeoutError") ? 30 : null,
      fn(_: unknown, context: CallbackContext) {
        const { signal: given } = context;
        signal = given;
        events.push(`${given.aborted}`);
        given.addEventListener("abort", () => events.push("listener"));
        given.onabort = () => events.push("onabort");
        setTimeout(() => act(sandbox, controller), 10);
        return never();
      },
    },
  });
  const run = sandbox.execute(`import asyncio\n${code}`, {
    signal: controller.signal,
    timeoutMs: code.includes("# slow") ? 100 : 20_000,
  });
  const outcome = await run.then(
    () => "ok",
    (error: { code: string }) => error.code,
  );
  await sleep(1);
  return { events, signal: signal!, outcome };
}

describe("the signal of a call is aborted", () => {
  it.each<[string, string, string, Parameters<typeof observed>[1]?]>([
    [
      "by its task's cancel()",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)\nt.cancel()\nawait asyncio.sleep(0.03)",
      "ok",
    ],
    [
      "by wait_for",
      "try: await asyncio.wait_for(f(), 0.02)\nexcept asyncio.TimeoutError: pass".replace(
        "TimeoutError",
        "exceptions.TimeoutError",
      ),
      "ok",
    ],
    ["by its own timeout", "try: await f()\nexcept TimeoutError: pass", "ok"],
    ["by the execution's timeout", "await f() # slow", "ERYX_TIMEOUT"],
    [
      "by the run's AbortSignal",
      "await f()",
      "ERYX_CANCELLED",
      (_, run) => run.abort(),
    ],
    [
      "by sandbox.close()",
      "await f()",
      "ERYX_CANCELLED",
      (sandbox) => sandbox.close(),
    ],
    [
      "by the end of the run",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)",
      "ok",
    ],
    [
      "by the run's exception",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)\n1/0",
      "ERYX_EXECUTION",
    ],
    [
      "by sys.exit()",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)\nimport sys\nsys.exit()",
      "ok",
    ],
    [
      "by os._exit()",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)\nimport os\nos._exit(0)",
      "ok",
    ],
    [
      "by a run that is cut off",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass # slow",
      "ERYX_TIMEOUT",
    ],
  ])("%s", async (name, code, expected, act) => {
    const { events, signal, outcome } = await observed(code, act);
    expect(outcome).toBe(expected);
    expect(events).toEqual(["false", "listener", "onabort"]);
    expect(signal.aborted).toBe(true);
    expect((signal.reason as DOMException).name).toBe(
      name === "by its own timeout" ? "TimeoutError" : "AbortError",
    );
  });

  it("by ExecutionHandle.cancel()", async () => {
    let handle: ReturnType<Sandbox["executeCancellable"]>;
    let signal: AbortSignal | undefined;
    const fn = (_: unknown, context: CallbackContext) => {
      ({ signal } = context);
      handle.cancel();
      return never();
    };
    handle = sandboxed({ f: { fn } }).executeCancellable("await f()");
    expect((await catchRejection(handle.wait())).code).toBe("ERYX_CANCELLED");
    expect(signal?.aborted).toBe(true);
  });

  it("before the run's promise settles", async () => {
    const order: string[] = [];
    const fn = (_: unknown, { signal }: CallbackContext) => {
      signal.onabort = () => order.push("abort");
      return never();
    };
    const sandbox = sandboxed({ f: { fn } }, { executionTimeoutMs: 50 });
    await catchRejection(sandbox.execute("await f()"));
    order.push("settled");
    expect(order).toEqual(["abort", "settled"]);
  });

  it("which may end what a callback does", async () => {
    let ended: unknown;
    const fn = async (_: unknown, { signal }: CallbackContext) => {
      try {
        return await sleep(20_000, 1, { signal });
      } catch (error) {
        ended = (error as Error).name;
        throw error;
      }
    };
    const sandbox = sandboxed({ f: { fn, timeoutMs: 20 } });
    const code = "try: await f()\nexcept TimeoutError as e: print(e)";
    expect((await sandbox.execute(code)).stdout).toBe(
      "f() took longer than 20 ms",
    );
    expect(ended).toBe("AbortError");
  });
});

describe("the signal of a call is not aborted", () => {
  it.each<[string, (signal: AbortSignal) => unknown, string]>([
    ["after an answer", () => 1, "await f()"],
    ["after an answer that came later", () => sleep(5), "await f()"],
    [
      "after an error",
      () => {
        throw new Error("x");
      },
      "try: await f()\nexcept CallbackError: pass",
    ],
    [
      "by another call's cancellation",
      () => sleep(50, 1),
      "import asyncio\nother = asyncio.create_task(g())\nawait asyncio.sleep(0)\nother.cancel()\nawait f()",
    ],
  ])("%s", async (_, act, code) => {
    let signal: AbortSignal | undefined;
    const fn = (_args: unknown, context: CallbackContext) => {
      signal = context.signal;
      return act(context.signal);
    };
    await sandboxed({ f: { fn }, g: never }).execute(code);
    await sleep(5);
    expect(signal?.aborted).toBe(false);
  });

  it("shared with another call's", async () => {
    const signals = new Set<AbortSignal>();
    const fn = (_: unknown, { signal }: CallbackContext) =>
      void signals.add(signal);
    await sandboxed({ f: { fn } }).execute("await f()\nawait f()");
    expect(signals.size).toBe(2);
  });
});

it("a function is not called once its call is given up during validation", async () => {
  let called = false;
  const schema = z.object({}).refine(async () => (await sleep(50), true));
  const fn = () => (called = true);
  const sandbox = sandboxed({ f: { fn, schema, timeoutMs: 10 } });
  const code = "try: await f()\nexcept TimeoutError: pass";
  await sandbox.execute(code);
  await sleep(80);
  expect(called).toBe(false);
});

it("waits for answers consume no fuel", async () => {
  const f = (n: number) => sleep(Math.random() * 8, n);
  const sandbox = sandboxed({ f }, { maxFuel: 10 ** 9 });
  const consumed = new Set<bigint | undefined>();
  for (let n = 0; n < 3; n++) {
    const code = "for n in range(4): await f(n)";
    consumed.add((await sandbox.execute(code)).fuelConsumed);
  }
  expect(consumed.size).toBe(1);
});

it("answers after the end are dropped", async () => {
  const source = `
    import { Sandbox } from "@bsull/eryx";
    const late = [];
    const fn = () => new Promise((resolve, reject) => late.push(resolve, reject));
    const sandbox = new Sandbox({ callbacks: { f: { fn, timeoutMs: 5 }, g: fn } });
    await sandbox.execute("import asyncio\\ntry: await f()\\nexcept TimeoutError: pass\\nt = asyncio.create_task(g())\\nawait asyncio.sleep(0)");
    for (const settle of late) settle(new Error("late"));
    await new Promise(setImmediate);
    console.log(late.length, (await sandbox.execute("1")).value);`;
  expect(await getNodeStdout(source)).toBe("4 1");
});
