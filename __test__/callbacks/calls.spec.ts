import { describe, expect, it } from "vitest";
import { type Callbacks, Sandbox, type Value } from "../../index.js";
import { run } from "../helpers.js";

/** The text that `code` prints with these callbacks. */
async function printed(callbacks: Callbacks, code: string): Promise<string> {
  return (await new Sandbox({ callbacks }).execute(code)).stdout;
}

/** The variable `result` that `code` sets. */
async function result(callbacks: Callbacks, code: string) {
  const ended = await new Sandbox({ callbacks }).execute(code);
  expect(ended.resultError).toBeUndefined();
  return ended.result;
}

const echo = (...args: unknown[]) => args;

describe("callbacks are given", () => {
  const add = (a: number, b: number) => a + b;
  const definition = {
    fn: ({ a, b }: { a: number; b: number }) => a + b,
    parameters: ["a", "b"],
  };

  class Counter {
    total = 10;
    add(a: number, b: number) {
      this.total += a + b;
      return this.total;
    }
  }
  const counter = new Counter();

  it.each<[string, Callbacks, number]>([
    ["as bare functions", { add }, 3],
    ["as definitions", { add: definition }, 3],
    ["as an array", [{ name: "add", ...definition }], 3],
    ["as async functions", { add: async (a, b) => a + b }, 3],
    ["as promises", { add: (a, b) => Promise.resolve(a + b) }, 3],
    ["as bound methods", { add: counter.add.bind(counter) }, 13],
    ["as arrows around methods", { add: (a, b) => counter.add(a, b) }, 16],
    ["as functions of the language", { add: Math.max }, 2],
    [
      "by an object without a prototype",
      Object.assign(Object.create(null), { add }),
      3,
    ],
    ["frozen", Object.freeze({ add: Object.freeze({ ...definition }) }), 3],
  ])("%s", async (_, callbacks, sum) => {
    expect(await result(callbacks, "result = await add(1, 2)")).toBe(sum);
  });

  it("as a mixture of both", async () => {
    const code = "result = [await add(1, 2), await plus(3, b=4)]";
    expect(await result({ add, plus: definition }, code)).toEqual([3, 7]);
  });

  it("as none at all", async () => {
    for (const callbacks of [{}, [], undefined]) {
      const sandbox = new Sandbox({ callbacks });
      expect((await sandbox.execute("list_callbacks()")).value).toEqual([]);
    }
  });

  it("a definition is `this` of its fn, a bare function has none", async () => {
    const callbacks = {
      f: {
        factor: undefined,
        parameters: ["n"],
        description: "five",
        fn(this: { description: string }, { n }: { n: number }) {
          return [this.description, n];
        },
      },
      g: function (this: unknown) {
        return this === undefined;
      },
    };
    delete (callbacks.f as { factor?: unknown }).factor;
    const code = "result = [await f(2), await g()]";
    expect(await result(callbacks, code)).toEqual([["five", 2], true]);
  });

  it("a definition may be an instance of a class", async () => {
    class Definition {
      #calls = 0;
      fn() {
        return ++this.#calls;
      }
    }
    const f = new Definition();
    expect(await result({ f }, "result = [await f(), await f()]")).toEqual([
      1, 2,
    ]);
  });

  it("fn gets the name and a signal", async () => {
    const seen: unknown[] = [];
    const fn = (args: unknown, context: { name: string; signal: unknown }) => {
      seen.push(args, context.name, context.signal instanceof AbortSignal);
    };
    await result({ "a.f": { fn } }, "result = await a.f(x=1)");
    expect(seen).toEqual([{ x: 1 }, "a.f", true]);
  });
});

describe("a value from Python arrives as", () => {
  it.each<[string, unknown]>([
    ["None", null],
    ["True", true],
    ["0", 0],
    ["2**53 - 1", 2 ** 53 - 1],
    ["2**53", 2n ** 53n],
    ["-(2**63)", -(2n ** 63n)],
    ["2**70", 2n ** 70n],
    ["-(2**70) - 1", -(2n ** 70n) - 1n],
    ["0.5", 0.5],
    ["-0.0", -0],
    ["float('nan')", NaN],
    ["float('-inf')", -Infinity],
    ["''", ""],
    ["'größe 漢字 𝄞\\0'", "größe 漢字 𝄞\0"],
    ["b''", new Uint8Array()],
    ["bytearray(b'\\0\\xff')", new Uint8Array([0, 255])],
    ["[]", []],
    ["(1, (2,))", [1, [2]]],
    ["{5}", [5]],
    ["{}", {}],
    ["{'': 1, 'a b': {'toString': []}}", { "": 1, "a b": { toString: [] } }],
  ])("%s", async (expression, value) => {
    const seen: unknown[] = [];
    const f = (...args: unknown[]) => void seen.push(...args);
    await result({ f }, `await f(${expression}, [${expression}])`);
    expect(seen).toStrictEqual([value, [value]]);
  });

  it("a dict with the key __proto__ as an object with that member", async () => {
    let seen: unknown;
    const f = (value: unknown) => void (seen = value);
    await result({ f }, "await f({'__proto__': {'polluted': 1}})");
    expect(JSON.stringify(seen)).toBe('{"__proto__":{"polluted":1}}');
    expect(Object.getPrototypeOf(seen)).toBe(Object.prototype);
    await result({ f }, "await f(**{'__proto__': {'polluted': 1}})");
    expect(JSON.stringify(seen)).toBe('{"__proto__":{"polluted":1}}');
  });

  it.each([
    ["object()", "[0]: object"],
    ["1j", "[0]: complex"],
    ["{1: 2}", "[0]: dict with a key that is not a str"],
    ["'\\ud800'", "[0]: str with a lone surrogate"],
    ["[[{'a': print}]]", "[0][0][0].a: builtin_function_or_method"],
    ["1, k=[object()]", ".k[0]: object"],
  ])("a TypeError if it is %s", async (expression, what) => {
    const code = `try: await f(${expression})\nexcept TypeError as e: print(e)`;
    expect(await printed({ f: echo }, code)).toBe(
      `f() arguments${what} is not transferable`,
    );
  });
});

describe("a value for Python arrives as", () => {
  it.each<[unknown, string]>([
    [undefined, "None"],
    [null, "None"],
    [true, "True"],
    [1.0, "1"],
    [2 ** 53, "9007199254740992.0"],
    [2n ** 53n, "9007199254740992"],
    [2n ** 70n, "1180591620717411303424"],
    [-(2n ** 64n), "-18446744073709551616"],
    [-0, "-0.0"],
    [NaN, "nan"],
    [-Infinity, "-inf"],
    ["", "''"],
    ["é𝄞", "'é𝄞'"],
    [Buffer.from([0, 255]), "b'\\x00\\xff'"],
    [new Uint8Array(), "b''"],
    [[], "[]"],
    [[undefined, [null]], "[None, [None]]"],
    [{}, "{}"],
    [{ "": 1, b: undefined }, "{'': 1, 'b': None}"],
    [JSON.parse('{"__proto__": 1}'), "{'__proto__': 1}"],
  ])("%o", async (value, text) => {
    const callbacks = { f: () => value, g: async () => [value] };
    const code = "print(repr(await f()), repr(await g()))";
    expect(await printed(callbacks, code)).toBe(`${text} [${text}]`);
  });

  it("both ways the same", async () => {
    const value: Value = {
      a: [1, 2n ** 80n, 0.1, new Uint8Array(100_000).fill(7)],
      b: { text: "é".repeat(100_000), none: null },
    };
    const f = { fn: ({ x }: { x: Value }) => x, parameters: ["x"] };
    const callbacks = { f, g: () => value };
    expect(await result(callbacks, "result = await f(await g())")).toEqual(
      value,
    );
  });
});

describe("arguments of a bare function", () => {
  it.each<[string, unknown[]]>([
    ["f()", []],
    ["f(1, 'a')", [1, "a"]],
    ["f(1, b=2)", [1, { b: 2 }]],
    ["f(b=2, a=1)", [{ b: 2, a: 1 }]],
    ["f({'a': 1})", [{ a: 1 }]],
    ["f(*range(3), **{'odd name': None})", [0, 1, 2, { "odd name": null }]],
    ["f(1, **{})", [1]],
    [
      "f(self=1, name=2, args=3, index=4)",
      [{ self: 1, name: 2, args: 3, index: 4 }],
    ],
  ])("%s", async (call, args) => {
    expect(await result({ f: echo }, `result = await ${call}`)).toEqual(args);
  });
});

describe("arguments of a definition", () => {
  const fn = (args: unknown) => args;
  const properties = { b: {}, a: {}, c: { default: 5 }, d: {} };
  const callbacks = {
    f: { fn, parameters: ["b", "a"] },
    g: { fn, schema: { properties, required: ["a", "b"] } },
    h: { fn, parameters: ["a"], schema: { properties, required: ["a"] } },
    any_: { fn },
    none: { fn, parameters: [] },
    three: { fn, parameters: ["x", "y", "z"] },
  };

  it.each<[string, object]>([
    ["f(1, 2)", { b: 1, a: 2 }],
    ["f(1, a=2)", { b: 1, a: 2 }],
    ["f(a=1, b=2)", { a: 1, b: 2 }],
    ["g(1, 2)", { b: 1, a: 2, c: 5 }],
    ["g(1, 2, 3, 4)", { b: 1, a: 2, c: 3, d: 4 }],
    ["g(1, 2, d=None)", { b: 1, a: 2, c: 5, d: null }],
    ["h(1)", { a: 1, c: 5 }],
    ["h(1, d=2, b=3)", { a: 1, b: 3, c: 5, d: 2 }],
    ["any_(x=1, **{'a-b': 2})", { x: 1, "a-b": 2 }],
    ["none()", {}],
  ])("%s are bound in the declared order", async (call, args) => {
    expect(await result(callbacks, `result = await ${call}`)).toEqual(args);
  });

  it.each([
    ["f(1, 2, 3)", "f() takes 2 positional arguments but 3 were given"],
    ["f()", "f() missing 2 required arguments: 'b' and 'a'"],
    ["f(1)", "f() missing 1 required argument: 'a'"],
    ["f(a=1)", "f() missing 1 required argument: 'b'"],
    ["f(1, b=2)", "f() got multiple values for argument 'b'"],
    ["f(1, 2, c=3)", "f() got an unexpected keyword argument 'c'"],
    ["h(1, 2)", "h() takes 1 positional argument but 2 were given"],
    ["none(1)", "none() takes 0 positional arguments but 1 was given"],
    ["none(a=1)", "none() got an unexpected keyword argument 'a'"],
    ["three()", "three() missing 3 required arguments: 'x', 'y', and 'z'"],
  ])("%s is a TypeError", async (call, message) => {
    const code = `try: ${call}\nexcept TypeError as e: print(type(e).__name__, e)`;
    const sandbox = new Sandbox({ callbacks });
    const { stdout, callbackInvocations } = await sandbox.execute(code);
    expect(stdout).toBe(`TypeError ${message}`);
    expect(callbackInvocations).toBe(0);
  });

  it("a default is new for each call", async () => {
    const schema = { properties: { list: { default: [] } } };
    const f = { schema, fn: ({ list }: { list: number[] }) => list.push(1) };
    expect(await result({ f }, "result = [await f(), await f()]")).toEqual([
      1, 1,
    ]);
  });
});

describe("output", () => {
  it.each([
    ["a line", "print('before')", "before\n"],
    ["text without newline", "print('before', end='')", "before"],
    [
      "text in parts",
      "import sys\nsys.stdout.write('é')\nsys.stdout.write('漢')",
      "é漢",
    ],
  ])("%s arrives before the next call", async (_, code, text) => {
    const seen: string[] = [];
    const sandbox = new Sandbox({
      callbacks: { f: () => void seen.push("called") },
      onStdout: (chunk) => seen.push(chunk),
    });
    await sandbox.execute(`${code}\nawait f()\nprint('after')`);
    expect(seen).toEqual([text, "called", "after\n"]);
  });

  it("arrives while a call waits, in order on both streams", async () => {
    const seen: string[] = [];
    let answer: () => void;
    const promise = new Promise<void>((resolve) => (answer = resolve));
    const sandbox = new Sandbox({
      callbacks: { f: () => promise },
      onStdout: (chunk) => seen.push(chunk),
      onStderr: (chunk) => {
        seen.push(chunk);
        answer();
      },
    });
    const code = `import asyncio, sys
call = asyncio.create_task(f())
await asyncio.sleep(0)
print('out', end='')
print('err', end='', file=sys.stderr)
await call`;
    await sandbox.execute(code);
    expect(seen).toEqual(["out", "err"]);
  });

  it("of many calls is not mixed up with them", async () => {
    const seen: unknown[] = [];
    const sandbox = new Sandbox({
      callbacks: { f: (n) => void seen.push(n) },
      onStdout: (chunk) => seen.push(chunk),
    });
    await sandbox.execute(
      "for i in range(200):\n    print(i, end='')\n    await f(i)",
    );
    const expected = Array.from({ length: 200 }, (_, n) => [String(n), n]);
    expect(seen).toEqual(expected.flat());
  });
});

describe("callbackInvocations", () => {
  it.each([
    ["pass", 0],
    ["f()", 0],
    ["await f()", 1],
    ["for _ in range(7): await f()", 7],
    ["try: await f(object())\nexcept TypeError: pass", 0],
    ["import asyncio\nasyncio.run(f())", 1],
  ])("of %s", async (code, count) => {
    const sandbox = new Sandbox({ callbacks: { f: echo } });
    expect((await sandbox.execute(code)).callbackInvocations).toBe(count);
  });

  it("start at 0 in every run", async () => {
    const sandbox = new Sandbox({ callbacks: { f: echo } });
    for (let n = 0; n < 3; n++)
      expect(
        (await sandbox.execute("await f()\nawait f()")).callbackInvocations,
      ).toBe(2);
  });

  it("leave nothing behind in other sandboxes", async () => {
    await result({ f: echo, "ns.g": echo }, "await f()\nawait ns.g()");
    const code = "[name for name in ('f', 'ns') if name in globals()]";
    expect((await run(code)).value).toEqual([]);
    expect((await run("list_callbacks()")).value).toEqual([]);
  });
});
