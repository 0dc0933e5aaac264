import { describe, expect, it } from "vitest";
import { type Callbacks, Sandbox, Session, type Warning } from "../../index.js";
import { catchRejection } from "../helpers.js";

const price = (what: string) => what.length;
const callbacks: Callbacks = { price, "shop.price": price };
const sandbox = new Sandbox({ callbacks });

/** The warnings of code, however it ends. */
async function warnings(code: string): Promise<readonly Warning[]> {
  const end = await sandbox.execute(code).catch((error) => error);
  return end.warnings;
}

const missing = (callback: string): Warning => ({
  kind: "never-awaited",
  message: `coroutine '${callback}' was never awaited: await it, or declare the callback with sync: true`,
  callback,
});
const untransferable = (message: string): Warning => ({
  kind: "not-transferable",
  message,
});
const NEVER: [string, string][] = [
  ["dropped at once", "price('tea')\npass"],
  ["in a variable", "x = price('tea')"],
  ["in a list", "x = [price(w) for w in ('a', 'b', 'c')]"],
  ["in a function's variable", "def f():\n    x = price('tea')\nf()"],
  ["in a cycle", "class A: pass\na = A()\na.a, a.x = a, price('tea')\ndel a"],
  ["printed", "print(price('tea'))"],
  ["in an f-string", "text = f\"it costs {price('tea')}\""],
  ["before an error", "x = price('tea')\nx + 1"],
  ["before sys.exit", "import sys\nx = price('tea')\nsys.exit(3)"],
  ["in an async function", "async def f():\n    price('tea')\nawait f()"],
  [
    "held by an async function",
    "async def f():\n    global x\n    x = price('tea')\nawait f()",
  ],
  [
    "with other calls that are awaited",
    "x = price('a')\nfor _ in range(5): await price('tea')",
  ],
  [
    "though warnings are off",
    "import warnings\nwarnings.simplefilter('ignore')\nprice('tea')\npass",
  ],
  [
    "though warnings are errors",
    "import warnings\nwarnings.simplefilter('error')\nx = price('tea')",
  ],
  [
    "after sys.stderr is gone",
    "import sys\nsys.stderr = None\nx = price('tea')\nprice('x')\npass",
  ],
];

describe("a callback that is not awaited", () => {
  it.each(NEVER)("%s is a warning of the result", async (_, code) => {
    expect(await warnings(code)).toEqual([missing("price")]);
  });

  it("as the last expression is one, and so is its value", async () => {
    expect(await warnings("price('tea')")).toEqual([
      missing("price"),
      untransferable("value: coroutine is not transferable"),
    ]);
  });

  it("as the result is one, and so is the result", async () => {
    expect(await warnings("result = {'a': [price('tea')]}")).toEqual([
      missing("price"),
      untransferable("result.a[0]: coroutine is not transferable"),
    ]);
  });

  it("is named once each", async () => {
    const code =
      "x = [price('a'), price('b'), shop.price('c')]\nshop.price('d')\npass";
    expect(await warnings(code)).toEqual([
      missing("shop.price"),
      missing("price"),
    ]);
  });

  it("is in stderr too, with the line where it was dropped", async () => {
    const { stderr } = await sandbox.execute("x = 1\nprice('tea')\npass");
    expect(stderr).toContain(
      "<sandbox>:2: RuntimeWarning: coroutine 'price' was never awaited: await it, or declare the callback with sync: true\n  price('tea')",
    );
    const held = await sandbox.execute("x = price('tea')");
    expect(held.stderr).toBe(
      "sys:1: RuntimeWarning: coroutine 'price' was never awaited: await it, or declare the callback with sync: true",
    );
  });

  it.each([
    ["awaited", "await price('tea')"],
    ["awaited later", "x = price('tea')\nawait x"],
    [
      "gathered",
      "import asyncio\nx = await asyncio.gather(price('a'), price('b'))",
    ],
    [
      "in a task",
      "import asyncio\nt = asyncio.create_task(price('a'))\nawait t",
    ],
    [
      "in a task that is left over",
      "import asyncio\nt = asyncio.create_task(price('a'))\nawait asyncio.sleep(0)",
    ],
    ["in asyncio.run", "import asyncio\nasyncio.run(price('a'))"],
    ["closed", "price('a').close()"],
  ])("but not if it is %s", async (_, code) => {
    expect(await warnings(`${code}\npass`)).toEqual([]);
  });

  it("is no warning of what runs next", async () => {
    await using session = new Session({ callbacks });
    const first = await session.execute("x = price('tea')");
    expect(first.warnings).toEqual([missing("price")]);
    expect((await session.execute("y = 1")).warnings).toEqual([]);
    const third = await session.execute("result = await x");
    expect([third.result, third.warnings]).toEqual([3, []]);
    expect((await session.execute("y = 2")).warnings).toEqual([]);
  });

  it("of the code's own is one too", async () => {
    const code = "async def main(): pass\nmain()\npass";
    expect(await warnings(code)).toEqual([
      { kind: "never-awaited", message: "coroutine 'main' was never awaited" },
    ]);
  });

  it("shows where it was made if that is asked for", async () => {
    const code =
      "import sys\nsys.set_coroutine_origin_tracking_depth(3)\ndef f():\n    return price('tea')\nf()\npass";
    const { stderr, warnings: found } = await sandbox.execute(code);
    expect(found).toEqual([missing("price")]);
    expect(stderr).toContain("Coroutine created at (most recent call last)");
    expect(stderr).toContain("line 4, in f");
  });
});

describe("a value that cannot cross", () => {
  it("is valueError and a warning, and its repr is there", async () => {
    const result = await sandbox.execute(
      "import datetime\ndatetime.date(2026, 1, 2)",
    );
    const message = "value: datetime.date is not transferable";
    expect(result).toMatchObject({
      valueError: message,
      valueRepr: "datetime.date(2026, 1, 2)",
      warnings: [untransferable(message)],
    });
    expect(result).not.toHaveProperty("value");
  });

  it("as the result is resultError and a warning", async () => {
    const result = await sandbox.execute("result = [object]");
    const message = "result[0]: type is not transferable";
    expect(result).toMatchObject({
      resultError: message,
      warnings: [untransferable(message)],
    });
  });

  it("is none if it crosses", async () => {
    const result = await sandbox.execute("result = 1\n{'a': [1]}");
    expect(result.warnings).toEqual([]);
    expect(result).not.toHaveProperty("valueError");
    expect(result).not.toHaveProperty("resultError");
  });
});

describe("warnings", () => {
  it("are on errors of every kind", async () => {
    const code = "price('tea')\nwhile True: pass";
    const error = await catchRejection(
      sandbox.execute(code, { timeoutMs: 200 }),
    );
    expect(error).toMatchObject({
      code: "ERYX_TIMEOUT",
      warnings: [missing("price")],
    });
  });

  it("are at most 100", async () => {
    const code =
      "for n in range(300):\n    async def f(): pass\n    f.__qualname__ = f'f{n}'\n    f()\nresult = object()";
    const found = await warnings(code);
    expect(found.length).toBeGreaterThan(50);
    expect(found.length).toBeLessThanOrEqual(100);
    expect(found.at(-1)?.kind).toBe("not-transferable");
  });

  it("have texts that are cut", async () => {
    const code =
      "async def f(): pass\nf.__qualname__ = 'x' * 10_000_000\nf()\npass";
    const [{ message }] = await warnings(code);
    expect(message.length).toBeLessThan(2000);
  });
});
