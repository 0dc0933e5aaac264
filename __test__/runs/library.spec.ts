import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Sandbox, type SandboxOptions } from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";

function library(python: string, callbacks = {}): RuntimeLibrary {
  return new RuntimeLibrary({ python, callbacks });
}

function using(...libraries: RuntimeLibrary[]): Sandbox {
  return new Sandbox({ libraries });
}

const MATH = new RuntimeLibrary({
  callbacks: {
    "math_host.add": { fn: ({ a, b }) => a + b, parameters: ["a", "b"] },
  },
  python: `
async def total(*numbers):
    """Adds on the host."""
    sum = 0
    for number in numbers:
        sum = await math_host.add(sum, number)
    return sum
`,
  stubs: "async def total(*numbers: float) -> float: ...",
});

describe("a library", () => {
  it("wraps callbacks", async () => {
    const { value, callbackInvocations } = await using(MATH).execute(
      "await total(1, 2, 3)",
    );
    expect([value, callbackInvocations]).toEqual([6, 3]);
  });

  it.each([
    ["a function", "def f(): return 1", "f()", 1],
    ["a class", "class A:\n    x = 2", "A().x", 2],
    ["an import", "import json", "json.dumps([1])", "[1]"],
    [
      "a package of the standard library",
      "from decimal import Decimal as D",
      "str(D('0.1') + D('0.2'))",
      "0.3",
    ],
    [
      "its globals",
      "count = 0\ndef up():\n    global count\n    count += 1",
      "up()\nup()\ncount",
      2,
    ],
    [
      "a dataclass",
      "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int",
      "P(3).x",
      3,
    ],
    [
      "an await at the top level",
      "import asyncio\nawait asyncio.sleep(0)\nx = 4",
      "x",
      4,
    ],
    [
      "awaits in the code too",
      "async def f(): return 5\nx = await f()",
      "await f() + x",
      10,
    ],
    ["nothing", "", "1", 1],
    ["a comment", "# nothing", "1", 1],
    ["a docstring", "'''A library.'''", "__doc__ or 'none'", "A library."],
    ["CRLF and a BOM", "\ufeffx = 1\r\ny = 2\r\n", "x + y", 3],
    ["names beyond ASCII", "größe = '漢𝄞'", "größe", "漢𝄞"],
    ["its last expression, which is not the value", "42", "x = 1", undefined],
    ["__name__", "name = __name__", "name", "__main__"],
    ["the result variable", "result = 5", "pass", undefined],
    [
      "what the code replaces",
      "def f(): return 1\ndef g(): return f()",
      "def f(): return 2\ng()",
      2,
    ],
    [
      "a future import of its own",
      "from __future__ import annotations\ndef f(x: nope): pass",
      "f.__annotations__",
      { x: "nope" },
    ],
  ])("has %s", async (_, python, code, value) => {
    expect((await using(library(python)).execute(code)).value).toEqual(value);
  });

  it("sets the result variable, unless the code does", async () => {
    const sandbox = using(library("result = 5"));
    expect((await sandbox.execute("pass")).result).toBe(5);
    expect((await sandbox.execute("result = 6")).result).toBe(6);
  });

  it("does not give its future imports to the code", async () => {
    const python = "from __future__ import annotations";
    const sandbox = using(library(python));
    const code = "def f(x: int): pass\nf.__annotations__['x'].__name__";
    expect((await sandbox.execute(code)).value).toBe("int");
  });

  it("sees inputs, environment and stdin", async () => {
    const python =
      "import os, sys\nseen = [n, os.environ['A'], sys.stdin.read()]";
    const libraries = [library(python)];
    const sandbox = new Sandbox({ libraries, env: { A: "a" } });
    const options = { inputs: { n: 1 }, stdin: "in" };
    expect((await sandbox.execute("seen", options)).value).toEqual([
      1,
      "a",
      "in",
    ]);
  });

  it("prints before the code", async () => {
    const sandbox = using(library("print('library')"));
    expect((await sandbox.execute("print('code')")).stdout).toBe(
      "library\ncode",
    );
  });

  it("calls callbacks at its top level", async () => {
    const f = () => 21;
    const sandbox = using(library("x = await f() * 2", { f }));
    const { value, callbackInvocations } = await sandbox.execute("x");
    expect([value, callbackInvocations]).toEqual([42, 1]);
  });

  it("runs anew for every run", async () => {
    const sandbox = using(library("seen = []"));
    for (let n = 0; n < 3; n++)
      expect((await sandbox.execute("seen.append(1)\nseen")).value).toEqual([
        1,
      ]);
  });

  it("serves many sandboxes and runs at once", async () => {
    const sandboxes = Array.from({ length: 5 }, () => using(MATH));
    const runs = sandboxes.flatMap((sandbox) =>
      Array.from({ length: 8 }, async (_, n) => {
        const inputs = { n };
        return (await sandbox.execute("await total(n, n)", { inputs })).value;
      }),
    );
    expect(await Promise.all(runs)).toEqual(
      Array.from({ length: 40 }, (_, n) => (n % 8) * 2),
    );
  });

  it("goes with callbacks of the sandbox", async () => {
    const callbacks = { own: (n: number) => n + 1 };
    const sandbox = new Sandbox({ callbacks, libraries: [MATH] });
    const { value } = await sandbox.execute("await own(await total(1, 2))");
    expect(value).toBe(4);
    expect(
      (await sandbox.execute("[c['name'] for c in list_callbacks()]")).value,
    ).toEqual(["own", "math_host.add"]);
  });

  it("of 500 kB works", async () => {
    const python = Array.from(
      { length: 10_000 },
      (_, n) => `def f${n}(): return ${n} # ${"x".repeat(20)}`,
    ).join("\n");
    const sandbox = using(library(python));
    expect((await sandbox.execute("f9999()")).value).toBe(9999);
    expect((await sandbox.execute("f5() + f6()")).value).toBe(11);
  });

  it("hidden in a subclass is one too", async () => {
    class Mine extends RuntimeLibrary {}
    const sandbox = using(new Mine({ python: "x = 1" }));
    expect((await sandbox.execute("x")).value).toBe(1);
  });
});

describe("several libraries", () => {
  const a = library("order = ['a']");
  const b = library("order.append('b')");
  const c = library("order.append('c')");

  it("run in the order given", async () => {
    const { value } = await using(a, b, c).execute("order");
    expect(value).toEqual(["a", "b", "c"]);
  });

  it("merge in order, and stay as they were", async () => {
    const all = a.merge(b).merge(c);
    expect((await using(all).execute("order")).value).toEqual(["a", "b", "c"]);
    expect((await using(a.merge(c.merge(b))).execute("order")).value).toEqual([
      "a",
      "c",
      "b",
    ]);
    expect((await using(a).execute("order")).value).toEqual(["a"]);
    expect(all).toBeInstanceOf(RuntimeLibrary);
  });

  it("merge callbacks and stubs", async () => {
    const one = new RuntimeLibrary({
      callbacks: { f: () => 1 },
      stubs: "x: int",
    });
    const two = new RuntimeLibrary({
      callbacks: { g: () => 2 },
      stubs: "y: int",
    });
    const merged = one.merge(two);
    expect((await using(merged).execute("await f() + await g()")).value).toBe(
      3,
    );
    expect(merged.typeStubs).toMatch(
      /async def f[^]*async def g[^]*x: int\n\ny: int\n$/,
    );
  });

  it("may not define one name twice", async () => {
    const f = () => 1;
    const one = library("", { f });
    const message = 'callbacks: "f" is defined twice';
    const clash = {
      name: "InitializationError",
      code: "ERYX_INITIALIZATION",
      message,
    };
    const thrown = (make: () => unknown) =>
      catchRejection((async () => make())());
    expect(await thrown(() => one.merge(library("", { f })))).toMatchObject(
      clash,
    );
    expect(await thrown(() => one.merge(one))).toMatchObject(clash);
    const both = [
      { name: "f", fn: f },
      { name: "f", fn: f },
    ];
    expect(await thrown(() => library("", both))).toMatchObject(clash);
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [{}, "an object (Object)"],
    [{ python: "" }, "an object (Object)"],
    ["library", '"library"'],
    [RuntimeLibrary, "a function"],
  ])("merge refuses %o", async (other, shown) => {
    expect(
      await catchArgumentError(() => a.merge(other as RuntimeLibrary)),
    ).toBe(`other: expected a RuntimeLibrary, got ${shown}`);
  });
});

describe("typeStubs", () => {
  it("are empty without anything", () => {
    expect(new RuntimeLibrary().typeStubs).toBe("");
    expect(new RuntimeLibrary({}).typeStubs).toBe("");
    expect(new Sandbox().typeStubs).toBe("");
  });

  it("of a library hold its callbacks and stubs", () => {
    expect(MATH.typeStubs).toContain(
      "async def add(self, a: Any, b: Any) -> Any: ...",
    );
    expect(MATH.typeStubs).toMatch(
      /\nasync def total\(\*numbers: float\) -> float: \.\.\.\n$/,
    );
  });

  it("of a sandbox hold its own and its libraries'", () => {
    const callbacks = { own: { fn: () => 1, description: "Mine." } };
    const { typeStubs } = new Sandbox({ callbacks, libraries: [MATH] });
    expect(typeStubs).toContain(
      'async def own(**kwargs: Any) -> Any:\n    """Mine."""',
    );
    expect(typeStubs).toContain("math_host: _Math_host");
    expect(typeStubs).toContain("async def total(");
    expect(using(MATH).typeStubs).toBe(MATH.typeStubs);
  });
});

describe("wrong options", () => {
  it.each<[unknown, string]>([
    [null, "options: expected an object, got null"],
    ["x = 1", 'options: expected an object, got "x = 1"'],
    [[], "options: expected an object, got an array"],
    [
      { source: "" },
      "options.source: unknown option, expected one of callbacks, python, stubs",
    ],
    [{ python: 1 }, "options.python: expected a string, got 1"],
    [{ python: null }, "options.python: expected a string, got null"],
    [
      { python: "\ud800" },
      "options.python: expected well-formed text, got a string with a lone surrogate",
    ],
    [{ stubs: {} }, "options.stubs: expected a string, got an object (Object)"],
  ])("of a library are refused, case %#", async (options, message) => {
    expect(
      await catchArgumentError(() => new RuntimeLibrary(options as object)),
    ).toBe(message);
  });

  it.each<[unknown, string]>([
    [null, "options.libraries: expected an array of RuntimeLibrary, got null"],
    [
      MATH,
      "options.libraries: expected an array of RuntimeLibrary, got an object (RuntimeLibrary)",
    ],
    [
      [MATH, {}],
      "options.libraries[1]: expected a RuntimeLibrary, got an object (Object)",
    ],
    [
      [undefined],
      "options.libraries[0]: expected a RuntimeLibrary, got undefined",
    ],
    [
      Array(1),
      "options.libraries[0]: expected a RuntimeLibrary, got undefined",
    ],
    [["x = 1"], 'options.libraries[0]: expected a RuntimeLibrary, got "x = 1"'],
  ])("of a sandbox are refused, case %#", async (libraries, message) => {
    const make = () => new Sandbox({ libraries } as SandboxOptions);
    expect(await catchArgumentError(make)).toBe(message);
  });

  it("more than 4 MiB of Python is refused", async () => {
    const big = library("#".repeat(2 ** 21));
    const make = () => using(big, library(`#${"#".repeat(2 ** 21)}`));
    expect(await catchArgumentError(make)).toBe(
      "libraries: 4194305 bytes of Python are more than the 4194304 allowed",
    );
  });

  it("a library without `new` is a TypeError", () => {
    expect(() => (RuntimeLibrary as unknown as () => void)()).toThrow(
      TypeError,
    );
  });
});
