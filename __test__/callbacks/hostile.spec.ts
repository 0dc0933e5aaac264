import { describe, expect, it } from "vitest";
import { type Callbacks, Sandbox } from "../../index.js";
import { catchRejection, PROMPT, tryUntilPrompt } from "../helpers.js";

// Code that goes below what it is given: to the objects of the callbacks and to the modules that make them.

const seen: unknown[] = [];
const callbacks: Callbacks = {
  bare: (...args: unknown[]) => seen.push(args),
  two: { parameters: ["a", "b"], fn: (args: unknown) => seen.push(args) },
  preset: {
    schema: {
      properties: { a: { type: "integer", default: 5 } },
      additionalProperties: false,
    },
    fn: (args: unknown) => seen.push(args),
  },
};
const sandbox = new Sandbox({
  callbacks,
  resourceLimits: {
    executionTimeoutMs: 1000,
    callbackTimeoutMs: 200,
    maxCallbackInvocations: 20,
  },
});

/** What the functions get from a run of `code`, however it ends. */
async function got(code: string): Promise<unknown[]> {
  seen.length = 0;
  const [outcome] = await Promise.allSettled([sandbox.execute(code)]);
  const calls = [...seen];
  if (outcome.status === "rejected")
    expect(outcome.reason.code).toMatch(/^ERYX_(EXECUTION|TIMEOUT)$/);
  expect((await sandbox.execute("await bare(1)")).callbackInvocations).toBe(1);
  return calls;
}

/** Calls the callback of this number past all checks of the Python side. */
const raw = (call: string) => `import _eryx, asyncio
def raw(number, *args, **named): _eryx.call(number, "f", args, named)
raw(${call})
await asyncio.sleep(0.02)`;
const [BARE, TWO, PRESET] = [0, 1, 2];

describe("a definition's fn never gets other arguments than it declares", () => {
  it.each([
    ["missing ones", `${TWO}, a=1`],
    ["none at all", `${TWO}`],
    ["unexpected ones", `${TWO}, a=1, b=2, c=3`],
    ["those of another", `${TWO}, x=1`],
    ["too many", `${TWO}, 1, 2, 3`],
    ["what its schema refuses", `${PRESET}, a='x'`],
    ["what its schema has not", `${PRESET}, b=1`],
  ])("%s", async (_, call) => {
    expect(await got(raw(call))).toEqual([]);
  });

  it("nor goes without its defaults", async () => {
    expect(await got(raw(`${PRESET}`))).toEqual([{ a: 5 }]);
  });

  it("but those it gets", async () => {
    expect(await got(raw(`${TWO}, a=1, b=2`))).toEqual([{ a: 1, b: 2 }]);
    expect(await got(raw(`${BARE}, 1, b=2`))).toEqual([[1, { b: 2 }]]);
  });
});

describe("tampering", () => {
  it.each([
    "bare.__number__ = 99\nawait bare(1)",
    "bare.__number__ = -1\nawait bare(1)",
    "bare.__details__ = b'x'\nawait bare(1)",
    "bare.__details__ = 5\nawait bare(1)",
    "import _eryx\n_eryx.call(0, 'f', 5, 6)",
    "import _eryx\n_eryx.call(0, 'f', (), None)",
    "import _eryx\n_eryx.call(2**31 - 1, 'f', (), {})",
    "import _eryx\nfor n in (-1, 0, 1, 2**62): _eryx.cancel(n)",
    "import _eryx\nfor n in range(9): _eryx.answer()",
    "import _eryx\n_eryx.call = lambda *args: 1\nawait bare(1)",
    "import _eryx\nfor kind in (-5, 0, 1, 2, 9):\n    _eryx.deliver(kind, [{'a': 1}], 'n')",
    "import _eryx\nfor events in (None, 'x', [1], [(9, 1, 'x', None)], [(0, -1, 'x', None)], [(0, 2**40, 5, {})]):\n    _eryx.trace(events)",
    "import _eryx_callbacks as c\nc.take_answers = None\nawait list_callbacks()",
    "import _eryx_callbacks as c\nc._all.clear()\nc._all.append(5)\nlist_callbacks()",
  ])("harms the code that does it only, case %#", async (code) => {
    expect(await got(code)).toEqual([]);
  });

  it.each([
    "import _eryx_callbacks as c\nc.take_answers = None\nawait bare(1)",
    "import _eryx_callbacks as c\nc._failure = None\nawait bare(1)",
    "import _eryx_callbacks as c, asyncio\nt = asyncio.create_task(bare(1))\nawait asyncio.sleep(0)\nc._waiting.clear()\nawait t",
    "import builtins\ndel builtins.CallbackError, builtins.list_callbacks\nawait bare(1)",
  ])("after a call does so too, case %#", async (code) => {
    expect(await got(code)).toEqual([[1]]);
  });

  it("does not lift the limit of calls", async () => {
    const code = `import _eryx
for n in range(50): _eryx.call(0, 'bare', (n,), {})
import asyncio
await asyncio.sleep(0.05)`;
    expect(await got(code)).toHaveLength(20);
  });

  it("does not lift the limit of time", async () => {
    const never = new Sandbox({
      callbacks: { f: () => new Promise(() => {}) },
      resourceLimits: { executionTimeoutMs: 100 },
    });
    const code = `import asyncio
async def stubborn():
    while True:
        try: await f()
        except BaseException: pass
await asyncio.gather(*[stubborn() for _ in range(10)])`;
    const error = await tryUntilPrompt(100 + PROMPT, () =>
      catchRejection(never.execute(code)),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
  });

  it("does not stay for the next run", async () => {
    await got(
      "two.__details__ = None\nbare.__number__ = 2\nCallbackError.name = 'x'",
    );
    const code = `try: await two(1)
except TypeError as e: print(e)
print(await bare(1) > 0, repr(CallbackError.name))`;
    expect((await sandbox.execute(code)).stdout).toBe(
      "two() missing 1 required argument: 'b'\nTrue ''",
    );
  });
});
