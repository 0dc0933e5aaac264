import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Sandbox } from "../../index.js";
import { catchInPython, getStdout, makeThrower } from "./support.js";
import { catchRejection } from "../helpers.js";

class Row {}

describe("a result that cannot cross is a CallbackError", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = { cyclic };
  const deep = Array.from({ length: 300 }).reduce((inner) => [inner], 1);

  it.each<[string, unknown, string]>([
    ["a Date", new Date(0), "f() result: Date is not transferable"],
    ["a Map", { m: [new Map()] }, "f() result.m[0]: Map is not transferable"],
    ["a function", () => 1, "f() result: function is not transferable"],
    ["a symbol", [Symbol("s")], "f() result[0]: symbol is not transferable"],
    ["an instance", new Row(), "f() result: Row is not transferable"],
    [
      "an ArrayBuffer",
      new ArrayBuffer(1),
      "f() result: ArrayBuffer is not transferable",
    ],
    [
      "a Float64Array",
      new Float64Array(1),
      "f() result: Float64Array is not transferable",
    ],
    [
      "a lone surrogate",
      "\ud800",
      "f() result: string with a lone surrogate is not transferable",
    ],
    [
      "one in a key",
      { "\ud800": 1 },
      "f() result: object with a lone surrogate in a key is not transferable",
    ],
    ["300 levels", deep, `f() result${"[0]".repeat(63)} is not transferable`],
    [
      "more than 64 MiB",
      new Uint8Array(2 ** 26),
      "f() result: value of more than 67108864 bytes is not transferable",
    ],
    [
      "too many values",
      Array.from({ length: 2 ** 20 + 1 }, () => 0),
      "f() result: value of more than 1048576 values is not transferable",
    ],
    ["cyclic", cyclic, ""],
  ])("%s", async (_, value, message) => {
    const [type, , name, text] = await catchInPython(() => value);
    expect([type, name]).toEqual(["CallbackError", "TypeError"]);
    if (text.includes("cyclic"))
      expect(text).toMatch(
        /: cyclic value, or one nested deeper than 256 levels, is not transferable$/,
      );
    else expect(text).toBe(message);
    expect(await catchInPython(async () => value)).toEqual([
      type,
      expect.anything(),
      name,
      text,
    ]);
  });

  it.each<[string, unknown]>([
    [
      "a getter",
      {
        get a() {
          throw new Error("mine");
        },
      },
    ],
    ["a Proxy", new Proxy({}, { ownKeys: makeThrower(new Error("mine")) })],
  ])("%s that throws", async (_, value) => {
    expect(await catchInPython(() => value)).toEqual([
      "CallbackError",
      "Error: mine",
      "Error",
      "mine",
    ]);
  });

  it("and a Proxy of what can cross is as what it stands for", async () => {
    const f = () => new Proxy({ a: [1] }, {});
    expect(await getStdout({ f }, "print(await f())")).toBe("{'a': [1]}");
  });

  it("unless it is memory that Python lacks", async () => {
    const sandbox = new Sandbox({
      callbacks: { f: () => new Uint8Array(60 * 2 ** 20), g: () => 1 },
      resourceLimits: { maxMemoryBytes: 40 * 2 ** 20 },
    });
    const code = "try: await f()\nexcept MemoryError as e: print(e, await g())";
    expect((await sandbox.execute(code)).stdout).toBe(
      "the result of f() does not fit into memory 1",
    );
  });

  it("and the code goes on", async () => {
    const code = `for f in (bad, good):
    try: print(await f())
    except CallbackError: print('no')`;
    const callbacks = { bad: () => new Date(), good: () => 1 };
    expect(await getStdout(callbacks, code)).toBe("no\n1");
  });
});

type Settle = (value: unknown) => void;

/** Computed, as linters do not like objects that have it. */
const THEN = String("then");

describe("a thenable", () => {
  it.each<[string, object, string]>([
    ["that resolves", { [THEN]: (ok: Settle) => ok(1) }, "1"],
    [
      "that rejects",
      { [THEN]: (_: Settle, no: Settle) => no(new Error("x")) },
      "Error: x",
    ],
    ["that resolves twice", { [THEN]: (ok: Settle) => (ok(1), ok(2)) }, "1"],
    [
      "that resolves and rejects",
      { [THEN]: (ok: Settle, no: Settle) => (ok(1), no(2)) },
      "1",
    ],
    [
      "that resolves and throws",
      {
        [THEN]: (ok: Settle) => {
          ok(1);
          throw new Error("x");
        },
      },
      "1",
    ],
    ["that throws", { [THEN]: makeThrower(new Error("x")) }, "Error: x"],
    [
      "with a getter that throws",
      {
        get [THEN]() {
          throw new Error("x");
        },
      },
      "Error: x",
    ],
    [
      "that resolves with a thenable",
      { [THEN]: (ok: Settle) => ok({ [THEN]: (ok2: Settle) => ok2(3) }) },
      "3",
    ],
    ["whose `then` is no function", { [THEN]: 5 }, "{'then': 5}"],
  ])("%s", async (_, thenable, text) => {
    const code = "try: print(await f())\nexcept CallbackError as e: print(e)";
    expect(await getStdout({ f: () => thenable }, code)).toBe(text);
  });

  it("with a getter that throws the second time", async () => {
    let reads = 0;
    const thenable = {
      get [THEN]() {
        if (++reads > 1) throw new Error(`read ${reads} times`);
        return (ok: Settle) => ok(5);
      },
    };
    expect(await getStdout({ f: () => thenable }, "print(await f())")).toBe(
      "5",
    );
  });

  it("that is a promise with a `then` of its own is the promise", async () => {
    let rejected = 0;
    const count = () => rejected++;
    process.on("unhandledRejection", count);
    const own = async () => {
      throw new Error("own");
    };
    const promise = Object.assign(Promise.resolve(6), { [THEN]: own });
    const f = { fn: () => promise, timeoutMs: 1000 };
    const code = "try: print(await f())\nexcept Exception as e: print(e)";
    expect(await getStdout({ f }, code)).toBe("6");
    process.off("unhandledRejection", count);
    expect(rejected).toBe(0);
  });

  it("that never calls back times out", async () => {
    const f = { fn: () => ({ [THEN]() {} }), timeoutMs: 30 };
    const code = "try: await f()\nexcept TimeoutError as e: print(e)";
    expect(await getStdout({ f }, code)).toBe("f() took longer than 30 ms");
  });
});

describe("arguments that do not match the schema", () => {
  const json = {
    type: "object",
    properties: { n: { type: "integer", minimum: 1 }, s: { type: "string" } },
    required: ["n"],
  };
  const zod = z.object({
    n: z.number().int().min(1),
    s: z.string().optional(),
  });
  const asynchronous = zod.refine(async ({ n }) => n !== 13, {
    path: ["n"],
    message: "unlucky",
  });
  const SHOW = `except CallbackError as e: print(type(e).__name__, isinstance(e, TypeError), str(e), '|', repr(e.name), '|', e.message, '|', e.callback)`;

  it.each([
    ["json", json, "n='1'", "n: must be integer"],
    ["json", json, "n=0", "n: must be >= 1"],
    ["json", json, "1, 2", "s: must be string"],
    ["json", json, "1, s=b''", "s: must be string"],
    ["zod", zod, "n='1'", "n: Invalid input: expected number, received string"],
    ["zod", zod, "1, 2", "s: Invalid input: expected string, received number"],
    ["async zod", asynchronous, "13", "n: unlucky"],
  ])(
    "of %s are a CallbackArgumentError, case %#",
    async (_, schema, args, issue) => {
      const fn = () => expect.fail("called");
      const code = `try: await f(${args})\n${SHOW}`;
      expect(await getStdout({ f: { fn, schema } }, code)).toBe(
        `CallbackArgumentError True f(): ${issue} | '' | ${issue} | f`,
      );
    },
  );

  it("are counted as a call", async () => {
    const sandbox = new Sandbox({
      callbacks: { f: { fn: () => 1, schema: json } },
    });
    const code = "try: await f(0)\nexcept CallbackError: pass\nawait f(1)";
    expect((await sandbox.execute(code)).callbackInvocations).toBe(2);
  });

  it("end a run that does not catch them", async () => {
    const sandbox = new Sandbox({
      callbacks: { f: { fn: () => 1, schema: zod } },
    });
    expect(await catchRejection(sandbox.execute("await f(0.5)"))).toMatchObject(
      {
        pythonType: "CallbackArgumentError",
        message:
          "CallbackArgumentError: f(): n: Invalid input: expected int, received number",
      },
    );
  });

  it("and those that do arrive as the schema makes them", async () => {
    const schema = z.object({
      n: z.number().transform((n) => n * 2),
      s: z.string().default("d"),
    });
    const fn = (args: unknown) => args;
    expect(await getStdout({ f: { fn, schema } }, "print(await f(2))")).toBe(
      "{'n': 4, 's': 'd'}",
    );
  });
});
