import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import {
  type Callbacks,
  type ExecutionError,
  RuntimeLibrary,
  Sandbox,
  type SandboxOptions,
  Session,
  SuspendExecution,
} from "../../index.js";
import { getStdout } from "./support.js";
import { catchRejection } from "../helpers.js";
import { runToSuspension } from "../sessions/suspending.js";

const PRICES = new Map([["tea", 3]]);
const price = {
  sync: true,
  parameters: ["what"],
  fn: ({ what }: { what: string }) => PRICES.get(what) ?? null,
};
const later = {
  sync: true,
  parameters: ["value"],
  fn: async ({ value }: { value: unknown }) => {
    await pause(5);
    return value;
  },
};
/** Awaited; answers after so many milliseconds. */
const slow = async (ms: number, value: unknown) => {
  await pause(ms);
  return value;
};
const never = { sync: true, fn: () => new Promise(() => {}) };

async function result(
  code: string,
  callbacks: Callbacks,
  options: SandboxOptions = {},
): Promise<unknown> {
  return (await new Sandbox({ callbacks, ...options }).execute(code)).result;
}

describe("a synchronous callback", () => {
  it.each<[string, string, unknown]>([
    ["at the top level", "result = price('tea')", 3],
    ["by keyword", "result = price(what='tea')", 3],
    [
      "in an expression",
      "result = [price(w) or 0 for w in ('x', 'tea')]",
      [0, 3],
    ],
    ["in a function", "def f():\n    return price('tea') + 1\nresult = f()", 4],
    [
      "in sorted, map, a class body and a default",
      "class A:\n    x = price('tea')\ndef g(y=price('tea')): return y\nresult = [*map(price, ['tea']), A.x, g(), max(['a', 'tea'], key=lambda w: price(w) or 0)]",
      [3, 3, 3, "tea"],
    ],
    ["whose function is async", "result = [later(1), later([2])]", [1, [2]]],
    [
      "in an async function",
      "async def f(): return price('tea')\nresult = await f()",
      3,
    ],
    [
      "below asyncio.run in a function",
      "import asyncio\nasync def f(): return later(5)\ndef main(): return asyncio.run(f())\nresult = main()",
      5,
    ],
    [
      "in asyncio.run at the top level",
      "import asyncio\nasync def main():\n    global result\n    result = later(6)\nasyncio.run(main())",
      6,
    ],
    [
      "by to_thread",
      "import asyncio\nresult = await asyncio.to_thread(price, 'tea')",
      3,
    ],
    [
      "in a generator",
      "def g():\n    yield price('tea')\nresult = list(g())",
      [3],
    ],
    [
      "in __del__",
      "class A:\n    def __del__(self): globals()['result'] = price('tea')\nA()\npass",
      3,
    ],
    [
      "in a module",
      "open('shop.py', 'w').write('def buy(f): return f(\"tea\")')\nimport shop\nresult = shop.buy(price)",
      3,
    ],
  ])("is called %s", async (_, code, expected) => {
    expect(await result(code, { price, later })).toEqual(expected);
  });

  it("is called a thousand times in order, and counted", async () => {
    const seen: number[] = [];
    const note = {
      sync: true,
      parameters: ["n"],
      fn: ({ n }: { n: number }) => void seen.push(n),
    };
    const sandbox = new Sandbox({ callbacks: { note } });
    const code = "for n in range(1000): note(n)";
    const { callbackInvocations } = await sandbox.execute(code);
    expect(callbackInvocations).toBe(1000);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  });

  it("gives a value, not a coroutine, and is no coroutine function", async () => {
    const code = `import inspect, asyncio
print(type(price('tea')).__name__, inspect.iscoroutinefunction(price), asyncio.iscoroutinefunction(price), callable(price))
print(price, inspect.signature(price), price.__name__)
try: await price('tea')
except TypeError as e: print(e)`;
    expect((await getStdout({ price }, code)).split("\n")).toEqual([
      "int False False True",
      "<callback price> (what) price",
      expect.stringContaining("int"),
    ]);
  });

  it("stays apart from async ones in namespaces, and both may have one name", async () => {
    const callbacks: Callbacks = {
      shop: price,
      "shop.price": price,
      "shop.slow": slow,
      "shop.odd-name": price,
    };
    const code =
      "print(shop('tea'), shop.price('tea'), await shop.slow(1, 'x'), shop['odd-name']('tea'))";
    expect(await getStdout(callbacks, code)).toBe("3 3 x 3");
  });

  it("is told of by list_callbacks() and help()", async () => {
    const described = { ...price, description: "What it costs." };
    const code = `print([(c['name'], c['sync']) for c in list_callbacks()])
print(price.__doc__)
help(price)`;
    const text = await getStdout({ price: described, slow }, code);
    expect(text.split("\n").slice(0, 2)).toEqual([
      "[('price', True), ('slow', False)]",
      "What it costs.",
    ]);
    expect(text).not.toMatch(/async|coroutine/i);
  });

  it("checks its arguments as others do", async () => {
    const typed = {
      sync: true,
      schema: z.object({ n: z.number().int() }),
      fn: ({ n }: { n: number }) => n,
    };
    const code = `for call in (lambda: price(), lambda: price(1, 2), lambda: price(x=1), lambda: price({1}), lambda: price(object()), lambda: typed('x')):
    try: print(call())
    except TypeError as e: print(type(e).__name__, e)`;
    expect((await getStdout({ price, typed }, code)).split("\n")).toEqual([
      "TypeError price() missing 1 required argument: 'what'",
      "TypeError price() takes 1 positional argument but 2 were given",
      "TypeError price() got an unexpected keyword argument 'x'",
      "None",
      "TypeError price() arguments.what: object is not transferable",
      expect.stringMatching(/^CallbackArgumentError typed\(\): n: /),
    ]);
  });
});

describe("while a synchronous callback waits", () => {
  it("the loop stands still, and answers of other calls are kept", async () => {
    const code = `import asyncio
order = []
async def ticker():
    for _ in range(3):
        order.append('tick')
        await asyncio.sleep(0)
async def asks():
    order.append(await slow(1, 'answer'))
async def blocks():
    order.append('before')
    hold()
    order.append('after')
await asyncio.gather(asks(), blocks(), ticker())
result = order`;
    const hold = {
      sync: true,
      fn: async () => {
        await pause(30);
      },
    };
    const order = (await result(code, { slow, hold })) as string[];
    expect(order.slice(0, 3)).toEqual(["before", "after", "tick"]);
    expect(order.toSorted()).toEqual([
      "after",
      "answer",
      "before",
      "tick",
      "tick",
      "tick",
    ]);
  });

  it("hundreds of answers of others may come", async () => {
    const code = `import asyncio
tasks = [asyncio.create_task(slow(1, n)) for n in range(300)]
await asyncio.sleep(0)
hold()
result = sum(await asyncio.gather(*tasks))`;
    const hold = { sync: true, fn: () => pause(60) };
    expect(await result(code, { slow, hold })).toBe(44_850);
  });

  it("a cancelled task of the loop is cancelled afterwards", async () => {
    const code = `import asyncio
task = asyncio.create_task(slow(10_000, 1))
await asyncio.sleep(0)
task.cancel()
value = later(7)
try: await task
except asyncio.CancelledError: result = value`;
    expect(await result(code, { slow, later })).toBe(7);
  });

  it("output that was printed before is handed over", async () => {
    const seen: string[] = [];
    const callbacks = { f: { sync: true, fn: () => void seen.push("f") } };
    const sandbox = new Sandbox({
      callbacks,
      onStdout: (chunk) => seen.push(chunk),
    });
    await sandbox.execute("print('a', end='')\nf()\nprint('b', end='')\nf()");
    expect(seen).toEqual(["a", "f", "b", "f"]);
  });
});

describe("an error of a synchronous callback", () => {
  it("is a CallbackError at the line of the call", async () => {
    const fail = {
      sync: true,
      fn: () => {
        throw new RangeError("too many");
      },
    };
    const sandbox = new Sandbox({ callbacks: { fail } });
    const code = "def f():\n    fail()\n\nf()";
    const error = await catchRejection<ExecutionError>(sandbox.execute(code));
    expect(error.pythonType).toBe("CallbackError");
    expect(error.traceback).toBe(`Traceback (most recent call last):
  File "<sandbox>", line 4, in <module>
    f()
    ~^^
  File "<sandbox>", line 2, in f
    fail()
    ~~~~^^
CallbackError: RangeError: too many`);
  });

  it.each<[string, object, string]>([
    [
      "a rejection",
      { fn: () => Promise.reject(new Error("no")) },
      "CallbackError Error: no",
    ],
    [
      "a result that does not cross",
      { fn: () => new Date() },
      "CallbackError TypeError: f() result: Date is not transferable",
    ],
    [
      "no answer in time",
      { fn: () => new Promise(() => {}), timeoutMs: 20 },
      "TimeoutError f() took longer than 20 ms",
    ],
  ])(
    "of %s can be caught, and the code goes on",
    async (_, definition, text) => {
      const f = { ...(definition as { fn: () => unknown }), sync: true };
      const code =
        "try: f()\nexcept Exception as e: print(type(e).__name__, e)\nprint(price('tea'))";
      expect(await getStdout({ f, price }, code)).toBe(`${text}\n3`);
    },
  );

  it("of the limit of calls is a CallbackLimitError", async () => {
    const resourceLimits = { maxCallbackInvocations: 2 };
    const code =
      "result = []\ntry:\n    while True: result.append(price('tea'))\nexcept CallbackLimitError as e: result.append(str(e))";
    expect(await result(code, { price }, { resourceLimits })).toEqual([
      3,
      3,
      "price() was not called: the limit of callbacks (maxCallbackInvocations) is used up",
    ]);
  });

  it("aborts the signal that the function has when time is over", async () => {
    const reasons: string[] = [];
    const f = {
      sync: true,
      timeoutMs: 20,
      fn: (_: unknown, { signal }: { signal: AbortSignal }) =>
        new Promise(() => {
          signal.addEventListener("abort", () =>
            reasons.push(signal.reason.name),
          );
        }),
    };
    await result("try: f()\nexcept TimeoutError: pass\nprice('tea')", {
      f,
      price,
    });
    expect(reasons).toEqual(["TimeoutError"]);
  });
});

describe("a run that waits in a synchronous callback", () => {
  const where = [
    ["at the top level", "try: never()\nfinally: print('end', flush=True)"],
    [
      "in a task",
      "import asyncio\nasync def f():\n    try: never()\n    finally: print('end', flush=True)\nawait asyncio.gather(f())",
    ],
    [
      "in a loop that a function runs",
      "import asyncio\nasync def f():\n    try: never()\n    finally: print('end', flush=True)\ndef main(): asyncio.run(f())\nmain()",
    ],
  ];

  it.each(where)(
    "%s is ended by its time limit, and finally runs",
    async (_, code) => {
      const sandbox = new Sandbox({ callbacks: { never } });
      const error = await catchRejection(
        sandbox.execute(code, { timeoutMs: 1000 }),
      );
      expect(error).toMatchObject({ code: "ERYX_TIMEOUT", stdout: "end" });
    },
  );

  it.each(where)("%s is ended by cancelling it", async (_, code) => {
    const controller = new AbortController();
    const aborted: unknown[] = [];
    const callbacks = {
      never: {
        sync: true,
        fn: (_: unknown, { signal }: { signal: AbortSignal }) => {
          signal.addEventListener("abort", () => aborted.push(signal.reason));
          controller.abort();
          return new Promise(() => {});
        },
      },
    };
    const { signal } = controller;
    const error = await catchRejection(
      new Sandbox({ callbacks }).execute(code, { signal }),
    );
    expect(error).toMatchObject({ code: "ERYX_CANCELLED", stdout: "end" });
    expect(aborted).toHaveLength(1);
  });

  it("leaves its session usable", async () => {
    await using session = new Session({ callbacks: { never, price } });
    await session.execute("x = 5");
    const error = await catchRejection(
      session.execute("x = 6\nnever()", { timeoutMs: 50 }),
    );
    expect(error).toMatchObject({ code: "ERYX_TIMEOUT", stateLost: false });
    expect((await session.execute("x, price('tea')")).value).toEqual([6, 3]);
  });
});

describe("SuspendExecution", () => {
  const stop = () => {
    throw new SuspendExecution("look");
  };
  const REFUSED =
    "SuspendExecution: a run can be suspended at an await, not in a synchronous callback";

  it.each([
    "try: f()\nexcept CallbackError as e: print(e)",
    "async def g():\n    try: f()\n    except CallbackError as e: print(e)\nawait g()",
  ])("in a synchronous callback is a CallbackError: %j", async (code) => {
    const f = { sync: true, fn: stop };
    expect(await getStdout({ f }, code)).toBe(REFUSED);
  });

  it("of another call waits until the synchronous one has its answer", async () => {
    const code = `import asyncio
async def asks(): return await stop()
async def blocks():
    await asyncio.sleep(0)
    return hold()
result = await asyncio.gather(asks(), blocks())`;
    const hold = { sync: true, fn: () => pause(30, "held") };
    const error = await runToSuspension(code, { stop, hold });
    expect(error.pending).toMatchObject([{ name: "stop" }]);
    const [{ id }] = error.pending;
    const { result: outcome, session } = await Session.resume(
      error.checkpoint,
      { callbacks: { stop, hold }, results: { [id]: "go" } },
    );
    expect(outcome.result).toEqual(["go", "held"]);
    await session.close();
  });
});

describe("in sessions", () => {
  const other = { ...price, fn: () => "other" };

  it("it works in forks, after a reset, and after a restore", async () => {
    await using session = new Session({ callbacks: { price } });
    await session.execute("def f(): return price('tea')");
    await using fork = await session.fork();
    expect((await fork.execute("f()")).value).toBe(3);
    const snapshot = await session.snapshotState();
    await using restored = new Session({ callbacks: { price: other } });
    await restored.restoreState(snapshot);
    expect((await restored.execute("f(), price('tea')")).value).toEqual([
      "other",
      "other",
    ]);
    await session.reset();
    expect((await session.execute("price('tea')")).value).toBe(3);
  });

  it("a restored one is what the new session declares", async () => {
    const asynchronous = { ...price, sync: false };
    await using before = new Session({
      callbacks: { price, "ns.price": asynchronous },
    });
    await before.execute("kept, other = price, ns.price");
    const snapshot = await before.snapshotState();
    await using after = new Session({
      callbacks: { price: asynchronous, "ns.price": price, extra: price },
    });
    await after.restoreState(snapshot);
    const code =
      "(await kept('tea'), other('tea'), ns.price('tea'), extra('tea'))";
    expect((await after.execute(code)).value).toEqual([3, 3, 3, 3]);
  });

  it("a checkpoint goes on with it", async () => {
    const stop = () => {
      throw new SuspendExecution();
    };
    const error = await runToSuspension("x = await stop()\nprice(x)", {
      stop,
      price,
    });
    const [{ id }] = error.pending;
    const { session, result: done } = await Session.resume(error.checkpoint, {
      callbacks: { stop, price },
      results: { [id]: "tea" },
    });
    expect(done.value).toBe(3);
    await session.close();
  });
});

it("a library may declare it, and call it as its Python is loaded", async () => {
  const library = new RuntimeLibrary({
    callbacks: { "shop.price": price },
    python: "TEA = shop.price('tea')\ndef double(w): return 2 * shop.price(w)",
  });
  expect(library.typeStubs).toContain("def price(self, what: Any) -> Any: ...");
  expect(library.typeStubs).not.toContain("async def price");
  const sandbox = new Sandbox({ libraries: [library] });
  expect((await sandbox.execute("TEA, double('tea')")).value).toEqual([3, 6]);
});

it("is traced as others are", async () => {
  const sandbox = new Sandbox({ callbacks: { price } });
  const { trace } = await sandbox.execute("x = 1\nprice('tea')", {
    trace: true,
  });
  const calls = trace!.filter(({ kind }) => kind.startsWith("callback"));
  expect(calls).toMatchObject([
    {
      kind: "callback-start",
      line: 2,
      function: "<module>",
      detail: { name: "price" },
    },
    { kind: "callback-end", line: 2, detail: { name: "price" } },
  ]);
});
