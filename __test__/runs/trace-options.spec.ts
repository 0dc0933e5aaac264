import { describe, expect, it } from "vitest";
import { type ExecutionError, Sandbox, type TraceEvent } from "../../index.js";
import {
  catchArgumentError,
  catchExecutionError,
  catchRejection,
  getNodeStdout,
  run,
} from "../helpers.js";

/** Events as text: kind, line, function, and the detail without durations. */
function texts(events: TraceEvent[] = []): string[] {
  return events.map(({ kind, line, function: name, detail }) => {
    const { durationMs: _, ...others } = detail ?? {};
    return [kind, line, name ?? "-", ...Object.values(others)].join(" ");
  });
}

const callbacks = { f: async (n: unknown) => n };
const traced = new Sandbox({ callbacks, trace: true });

describe("onTrace", () => {
  const CODE =
    "def g(n):\n    if n == 0: raise ValueError('end')\n    return g(n - 1)\ntry: g(3)\nexcept ValueError: await f(1)";

  it("gets what the result has, in order", async () => {
    const seen: TraceEvent[] = [];
    const onTrace = (event: TraceEvent) => seen.push(event);
    const { trace } = await traced.execute(CODE, { onTrace });
    expect(seen).toEqual(trace);
    expect(seen.length).toBeGreaterThan(20);
  });

  it("needs no `trace`, and gives none", async () => {
    const seen: TraceEvent[] = [];
    const onTrace = (event: TraceEvent) => seen.push(event);
    const sandbox = new Sandbox({ callbacks });
    const result = await sandbox.execute(CODE, { onTrace });
    expect(texts(seen)).toEqual(texts((await traced.execute(CODE)).trace));
    expect(result).not.toHaveProperty("trace");
    expect(result).not.toHaveProperty("traceTruncated");
  });

  it("of the sandbox holds for every run, unless execute has its own", async () => {
    const seen: string[] = [];
    const sandbox = new Sandbox({
      onTrace: ({ kind }) => seen.push(`s${kind}`),
    });
    await sandbox.execute("");
    await sandbox.execute("", { onTrace: ({ kind }) => seen.push(`e${kind}`) });
    expect(seen).toEqual(
      ["scall", "sline", "sreturn"].concat("ecall", "eline", "ereturn"),
    );
  });

  it("gets events while the code runs", async () => {
    const controller = new AbortController();
    const onTrace = () => controller.abort();
    const code = "import asyncio\nawait asyncio.sleep(1e6)";
    const { signal } = controller;
    const error = await catchRejection(
      run(code, { onTrace, signal, timeoutMs: null }),
    );
    expect(error.code).toBe("ERYX_CANCELLED");
  });

  it("gets the lines before a call, and the call's start, before it is made", async () => {
    const seen: string[] = [];
    const sandbox = new Sandbox({
      callbacks: { f: () => void seen.push("f") },
      onTrace: ({ kind, line }) => seen.push(`${kind} ${line}`),
    });
    await sandbox.execute("x = 1\nawait f()");
    expect(seen).toEqual([
      "call 1",
      "line 1",
      "line 2",
      "callback-start 2",
      "f",
      "callback-end 2",
      "return 2",
    ]);
  });

  it("that throws is a warning, and the run goes on", async () => {
    const source = `
      import { Sandbox } from "@bsull/eryx";
      const warnings = [];
      process.on("warning", ({ name, message }) => warnings.push(name + ": " + message));
      let calls = 0;
      const onTrace = () => { throw calls++ === 0 ? new RangeError("boom") : "text"; };
      const { value, trace } = await new Sandbox().execute("x = 1\\nx + 1", { onTrace, trace: true });
      await new Promise(setImmediate);
      console.log(JSON.stringify([value, calls === trace.length, warnings]));`;
    const [value, all, warnings] = JSON.parse(
      await getNodeStdout(source, ["--no-warnings"]),
    );
    expect([value, all]).toEqual([2, true]);
    expect(warnings.slice(0, 2)).toEqual([
      "EryxWarning: onTrace threw RangeError: boom",
      'EryxWarning: onTrace threw "text"',
    ]);
  });
});

describe("trace", () => {
  it("is off by default, and by the execution's own word", async () => {
    const plain = await run("1");
    const off = await traced.execute("1", { trace: false });
    const on = await new Sandbox({ trace: false }).execute("1", {
      trace: true,
    });
    for (const result of [plain, off]) {
      expect(result).not.toHaveProperty("trace");
      expect(result).not.toHaveProperty("traceTruncated");
    }
    expect(on.trace).toHaveLength(3);
    expect(
      (await traced.execute("1", { trace: undefined })).trace,
    ).toHaveLength(3);
  });

  it("of a run that fails is on the error", async () => {
    const error = await catchExecutionError("x = 1\n1/0", { trace: true });
    expect(texts(error.trace)).toEqual([
      "call 1 <module>",
      "line 1 <module>",
      "line 2 <module>",
      "exception 2 <module> ZeroDivisionError division by zero",
    ]);
    expect(error.traceTruncated).toBe(false);
    expect(await catchExecutionError("1/0")).not.toHaveProperty("trace");
  });

  it.each([
    ["times out", "x = 1\nwhile True: pass", "ERYX_TIMEOUT"],
    [
      "times out in a wait",
      "x = 1\nimport asyncio\nawait asyncio.sleep(9)",
      "ERYX_TIMEOUT",
    ],
    ["has a syntax error", "x = = 1", "ERYX_EXECUTION"],
    ["exits", "x = 1\nimport sys\nsys.exit(3)", "ERYX_EXECUTION"],
  ])("of a run that %s is there", async (_, code, expected) => {
    const options = { trace: true, timeoutMs: 300 };
    const error = await catchRejection<ExecutionError>(run(code, options));
    expect(error.code).toBe(expected);
    expect(error.trace).toBeInstanceOf(Array);
    if (expected === "ERYX_TIMEOUT" || code.includes("exit"))
      expect(texts(error.trace).slice(0, 2)).toEqual([
        "call 1 <module>",
        "line 1 <module>",
      ]);
  });

  it("holds 100,000 events, onTrace gets all", async () => {
    let seen = 0;
    const onTrace = () => seen++;
    const code = "for i in range(60_000):\n    x = i";
    const result = await run(code, { trace: true, onTrace });
    expect(result.trace).toHaveLength(100_000);
    expect(result.traceTruncated).toBe(true);
    expect(texts(result.trace!.slice(0, 2))).toEqual([
      "call 1 <module>",
      "line 1 <module>",
    ]);
    expect(seen).toBe(2 * 60_000 + 3);
  });

  it("that is not full is not truncated", async () => {
    const code = "for i in range(49_000):\n    x = i";
    const { trace, traceTruncated } = await run(code, { trace: true });
    expect([trace!.length, traceTruncated]).toEqual([98_003, false]);
  });

  it.each([
    ["values", "result = [x ** 2 for x in range(5)]\nsum(result)"],
    ["output", "import sys\nprint(1)\nprint(2, file=sys.stderr)"],
    [
      "generators",
      "def g():\n    x = yield 1\n    yield x\nit = g()\n[next(it), it.send(5)]",
    ],
    ["callbacks", "[await f(i) for i in range(3)]"],
    [
      "async generators",
      "async def g():\n    for i in range(3): yield await f(i)\n[x async for x in g()]",
    ],
    [
      "the user's own sys.settrace",
      "import sys\nseen = []\ndef t(frame, event, arg): seen.append(event)\nsys.settrace(t)\ndef g(): pass\ng()\nsys.settrace(None)\nseen",
    ],
    [
      "the user's own sys.monitoring",
      "import sys\nm = sys.monitoring\nm.use_tool_id(m.DEBUGGER_ID, 'x')\nm.get_tool(m.DEBUGGER_ID)",
    ],
    ["recursion", "def r(n): return 0 if n == 0 else 1 + r(n - 1)\nr(500)"],
  ])("does not change %s", async (_, code) => {
    const plain = await new Sandbox({ callbacks }).execute(code);
    const { trace, ...result } = await traced.execute(code);
    expect(trace!.length).toBeGreaterThan(0);
    const ours = ({
      stdout,
      stderr,
      value,
      valueRepr,
      result,
    }: typeof plain) => ({ stdout, stderr, value, valueRepr, result });
    expect(ours(result)).toEqual(ours(plain));
  });

  it("does not change tracebacks", async () => {
    const code = "def g():\n    return 1/0\n\ng()";
    const { traceback } = await catchExecutionError(code);
    expect((await catchExecutionError(code, { trace: true })).traceback).toBe(
      traceback,
    );
  });

  it("survives messages that fail, are long or have surrogates", async () => {
    const code = `class E(Exception):
    def __str__(self): raise ValueError
for e in (E(), ValueError('x' * 5000), ValueError('\\ud800')):
    try: raise e
    except Exception: pass`;
    const found = texts((await traced.execute(code)).trace).filter((text) =>
      text.startsWith("exception"),
    );
    expect(found.map((text) => text.slice(0, 60))).toEqual([
      expect.stringContaining(
        "exception 4 <module> E <str() failed with ValueError>",
      ),
      expect.stringContaining("exception 4 <module> ValueError xxxx"),
      "exception 4 <module> ValueError \\ud800",
    ]);
    expect(found[1].length).toBeLessThan(1100);
  });

  it.each([1, "yes", null, {}])("refuses %o", async (trace) => {
    const options = { trace: trace as boolean };
    const pattern = /^options\.trace: expected a boolean, got /;
    expect(await catchArgumentError(() => new Sandbox(options))).toMatch(
      pattern,
    );
    expect(await catchArgumentError(() => run("1", options))).toMatch(pattern);
  });
});
