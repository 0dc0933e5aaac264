import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Sandbox, type TraceEvent } from "../../index.js";

/** Events as text: kind, line, function, and the detail without durations. */
function texts(events: TraceEvent[] = []): string[] {
  return events.map(({ kind, line, function: name, detail }) => {
    const { durationMs, ...others } = detail ?? {};
    if (kind === "callback-end") {
      expect(durationMs).toBeTypeOf("number");
      expect(durationMs).toBeGreaterThanOrEqual(0);
    } else expect(durationMs).toBeUndefined();
    return [kind, line, name ?? "-", ...Object.values(others)].join(" ");
  });
}

const callbacks = {
  f: async (n: unknown) => n,
  bad: () => {
    throw new RangeError("no");
  },
};
const traced = new Sandbox({ callbacks, trace: true });

/** What happens in `code`, but for the module's own start and end. */
async function inside(code: string): Promise<string[]> {
  const { trace, traceTruncated } = await traced.execute(code);
  expect(traceTruncated).toBe(false);
  const [first, ...rest] = texts(trace);
  expect(first).toBe("call 1 <module>");
  expect(rest.pop()).toMatch(/^return \d+ <module>$/);
  return rest;
}

describe("the trace of", () => {
  it("a few lines", async () => {
    const { trace } = await traced.execute("x = 1\n\ny = 2");
    expect(trace).toEqual([
      { kind: "call", line: 1, function: "<module>" },
      { kind: "line", line: 1, function: "<module>" },
      { kind: "line", line: 3, function: "<module>" },
      { kind: "return", line: 3, function: "<module>" },
    ]);
  });

  it("a function", async () => {
    expect(await inside("def g(a):\n    b = a\n    return b\n\ng(1)")).toEqual([
      "line 1 <module>",
      "line 5 <module>",
      "call 1 g",
      "line 2 g",
      "line 3 g",
      "return 3 g",
    ]);
  });

  it("a loop", async () => {
    expect(await inside("for i in range(2):\n    x = i\nz = 1")).toEqual([
      "line 1 <module>",
      "line 2 <module>",
      "line 1 <module>",
      "line 2 <module>",
      "line 1 <module>",
      "line 3 <module>",
    ]);
  });

  it("an exception that is caught", async () => {
    const code = "try:\n    1/0\nexcept ZeroDivisionError:\n    x = 1";
    expect(await inside(code)).toEqual([
      "line 1 <module>",
      "line 2 <module>",
      "exception 2 <module> ZeroDivisionError division by zero",
      "line 3 <module>",
      "line 4 <module>",
    ]);
  });

  it("an exception that comes out of calls", async () => {
    const code =
      "def a():\n    raise ValueError('x')\ndef b():\n    a()\ntry: b()\nexcept ValueError: pass";
    expect(
      (await inside(code)).filter((text) => text.startsWith("exception")),
    ).toEqual([
      "exception 2 a ValueError x",
      "exception 4 b ValueError x",
      "exception 5 <module> ValueError x",
    ]);
  });

  it("a generator", async () => {
    const code = "def g():\n    yield 1\n    yield 2\nfor x in g():\n    pass";
    expect(await inside(code)).toEqual([
      "line 1 <module>",
      "line 4 <module>",
      "call 1 g",
      "line 2 g",
      "line 5 <module>",
      "line 4 <module>",
      "line 3 g",
      "line 5 <module>",
      "line 4 <module>",
      "return 3 g",
    ]);
  });

  it("async code", async () => {
    const code =
      "import asyncio\nasync def a():\n    await asyncio.sleep(0)\n    return 1\nawait a()";
    expect(await inside(code)).toEqual([
      "line 1 <module>",
      "line 2 <module>",
      "line 5 <module>",
      "call 2 a",
      "line 3 a",
      "line 4 a",
      "return 4 a",
    ]);
  });

  it("a class, a lambda and a nested function", async () => {
    const code =
      "class A:\n    def m(self):\n        def n(): return 1\n        return n()\nA().m()\n(lambda: 2)()";
    const calls = (await inside(code)).filter((text) =>
      text.startsWith("call"),
    );
    expect(calls).toEqual([
      "call 1 A",
      "call 2 m",
      "call 3 n",
      "call 6 <lambda>",
    ]);
  });

  it("callbacks", async () => {
    const code = "async def g():\n    return await f(1)\nawait g()\nawait f(2)";
    expect(await inside(code)).toEqual([
      "line 1 <module>",
      "line 3 <module>",
      "call 1 g",
      "line 2 g",
      "callback-start 2 g f",
      "callback-end 2 g f",
      "return 2 g",
      "line 4 <module>",
      "callback-start 4 <module> f",
      "callback-end 4 <module> f",
    ]);
  });

  it("a callback that fails", async () => {
    const { trace } = await traced.execute(
      "try:\n    await bad()\nexcept CallbackError:\n    pass",
    );
    expect(trace?.slice(2, 6)).toEqual([
      { kind: "line", line: 2, function: "<module>" },
      {
        kind: "callback-start",
        line: 2,
        function: "<module>",
        detail: { name: "bad" },
      },
      {
        kind: "callback-end",
        line: 2,
        function: "<module>",
        detail: {
          name: "bad",
          durationMs: expect.any(Number),
          error: "CallbackError: RangeError: no",
        },
      },
      {
        kind: "exception",
        line: 2,
        function: "<module>",
        detail: { type: "CallbackError", message: "RangeError: no" },
      },
    ]);
  });

  it("a callback that is cancelled or refused", async () => {
    const sandbox = new Sandbox({
      callbacks: { never: () => new Promise(() => {}) },
      resourceLimits: { maxCallbackInvocations: 1 },
      trace: true,
    });
    const code = `import asyncio
try: await asyncio.wait_for(never(), 0.01)
except TimeoutError: pass
try: await never()
except CallbackLimitError: pass`;
    const { trace } = await sandbox.execute(code);
    const ends = trace!.filter(({ kind }) => kind === "callback-end");
    expect(ends.map(({ detail }) => detail!.error)).toEqual([
      "asyncio.exceptions.CancelledError",
      "CallbackLimitError: never() was not called: the limit of callbacks (maxCallbackInvocations) is used up",
    ]);
  });

  it("callbacks at once has a start and an end of each", async () => {
    const code =
      "import asyncio\nawait asyncio.gather(f(1), f(2), bad(), return_exceptions=True)";
    const found = (await inside(code)).filter((text) =>
      text.startsWith("callback"),
    );
    expect(found.map((text) => text.replace(/ .* /, " ")).sort()).toEqual(
      [
        "callback-end no",
        "callback-end f",
        "callback-end f",
        "callback-start bad",
        "callback-start f",
        "callback-start f",
      ].sort(),
    );
  });

  it.each([
    "await asyncio.gather(f(1), f(2))",
    "await asyncio.create_task(f(1))",
    "await asyncio.sleep(0.001)",
    "await asyncio.wait_for(f(1), 5)",
    "async with asyncio.timeout(5): await f(1)",
    "async for x in agen(): pass",
    "for x in gen(): pass",
  ])("%s has no exception, for there is none", async (statement) => {
    const code = `import asyncio
async def agen():
    yield await f(1)
def gen():
    return 5
    yield
${statement}`;
    const found = await inside(code);
    expect(found.filter((text) => text.startsWith("exception"))).toEqual([]);
  });

  it("no code", async () => {
    const { trace } = await traced.execute("");
    expect(texts(trace).map((text) => text.split(" ")[0])).toEqual([
      "call",
      "line",
      "return",
    ]);
  });
});

describe("the trace is of the user's code only", () => {
  it("not of the standard library", async () => {
    const code = "import json, re\nre.sub('a', 'b', json.dumps({'a': 1}))";
    expect(await inside(code)).toEqual(["line 1 <module>", "line 2 <module>"]);
  });

  it("not of libraries, but of what they call", async () => {
    const python = "def twice(g):\n    x = g()\n    return x + g()\n";
    const libraries = [new RuntimeLibrary({ python })];
    const sandbox = new Sandbox({ libraries, trace: true });
    const { trace } = await sandbox.execute(
      "def one():\n    return 1\ntwice(one)",
    );
    expect(texts(trace).slice(1, -1)).toEqual([
      "line 1 <module>",
      "line 3 <module>",
      "call 1 one",
      "line 2 one",
      "return 2 one",
      "call 1 one",
      "line 2 one",
      "return 2 one",
    ]);
  });

  it("not of exceptions inside of others' code", async () => {
    const code =
      "import json\ntry:\n    json.loads('{')\nexcept ValueError:\n    pass";
    const found = await inside(code);
    expect(found.filter((text) => text.startsWith("exception"))).toEqual([
      expect.stringMatching(
        /^exception 3 <module> json\.decoder\.JSONDecodeError Expecting /,
      ),
    ]);
  });

  it("whatever its file name", async () => {
    const code =
      "def g():\n    raise KeyError('k')\ntry: g()\nexcept KeyError: pass";
    const plain = await traced.execute(code);
    for (const filename of ["script.py", "a b/é.py", "<library>"]) {
      const named = await traced.execute(code, { filename });
      expect(named.trace).toEqual(plain.trace);
    }
  });

  it("in every part of a large source", async () => {
    const code = `${"x = 1 # padding padding padding\n".repeat(5000)}def g():\n    return 1\ng()`;
    const { trace } = await traced.execute(code);
    const calls = texts(trace).filter((text) => text.startsWith("call"));
    expect(calls.at(-1)).toBe("call 5001 g");
    const lines = new Set(
      trace!.filter(({ kind }) => kind === "line").map(({ line }) => line),
    );
    expect(lines.size).toBe(5003);
  });
});
