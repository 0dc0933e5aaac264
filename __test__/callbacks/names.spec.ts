import { describe, expect, it } from "vitest";
import { type Callbacks, Sandbox } from "../../index.js";

/** The text that `code` prints with these callbacks. */
async function printed(callbacks: Callbacks, code: string): Promise<string> {
  return (await new Sandbox({ callbacks }).execute(code)).stdout;
}

/** Callbacks of these names; each gives its name back. */
function named(...names: string[]): Callbacks {
  return names.map((name) => ({ name, fn: () => name }));
}

describe("a name", () => {
  it.each([
    ["f", "f"],
    ["_", "_"],
    ["größe", "größe"],
    ["变量", "变量"],
    ["match", "match"],
    ["ns.f", "ns.f"],
    ["ns.class", 'ns["class"]'],
    ["ns.class", "getattr(ns, 'class')"],
    ["ns.odd-name", 'ns["odd-name"]'],
    ["ns.odd name!", 'ns["odd name!"]'],
    ["ns.𝄞\n", 'ns["𝄞\\n"]'],
    ["ns.0", 'ns["0"]'],
    ["ns.f", 'ns["f"]'],
    ["ns.odd-name.f", 'ns["odd-name"].f'],
    ["a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"],
    ["ns._x", "ns._x"],
    ["ns._members", "ns._members"],
    ["ns.__x", 'ns["__x"]'],
    ["ns.keys", "ns.keys"],
    ["ns.result", "ns.result"],
    ["ns.print", "ns.print"],
    ["json.dumps", "json.dumps"],
    ["ﬁnd", "ﬁnd"],
    ["ﬁnd", "find"],
  ])("%j is called as %s", async (name, called) => {
    expect(await printed(named(name), `print(await ${called}())`)).toBe(
      name.trimEnd(),
    );
  });

  it("may be that of a function and of a namespace, in any order", async () => {
    const code =
      "print(await a(), await a.b(), await a.b.c(), await a['b']['d']())";
    const names = ["a", "a.b", "a.b.c", "a.b.d"];
    for (const order of [
      names,
      names.toReversed(),
      ["a.b.c", "a", "a.b.d", "a.b"],
    ])
      expect(await printed(named(...order), code)).toBe("a a.b a.b.c a.b.d");
  });

  it.each(["_members", "_index", "_details", "_signature", "_known"])(
    "below a function may be %s",
    async (part) => {
      const code = `print(await f.${part}(), await f())`;
      expect(await printed(named("f", `f.${part}`), code)).toBe(`f.${part} f`);
    },
  );

  it("is hidden by the code's own", async () => {
    const code = "print(await f())\ndef f(): return 1\nprint(f())";
    expect(await printed(named("f"), code)).toBe("f\n1");
  });

  it("is deleted like any other", async () => {
    const code = "del f\ntry: f\nexcept NameError as e: print(e)";
    expect(await printed(named("f"), code)).toBe("name 'f' is not defined");
  });
});

describe("a namespace", () => {
  it.each([
    ["ns.x", "AttributeError: <namespace ns> has no member 'x'"],
    ["ns.g.x", "AttributeError: <namespace ns.g> has no member 'x'"],
    ["ns['x']", "KeyError: 'x'"],
    ["ns[0]", "TypeError: <namespace ns> members are named by str, not int"],
    ["ns()", "TypeError: 'Namespace' object is not callable"],
    ["ns.f.x", "AttributeError: <callback ns.f> has no member 'x'"],
    ["ns.f['x']", "KeyError: 'x'"],
  ])("%s is an error", async (expression, message) => {
    const code = `try: ${expression}\nexcept Exception as e: print(f"{type(e).__name__}: {e}")`;
    const callbacks = named("ns.f", "ns.g.h");
    expect(await printed(callbacks, code)).toBe(message);
  });

  it("lists its members", async () => {
    const code =
      "print([name for name in dir(ns) if not name.startswith('_')], hasattr(ns, 'f'), hasattr(ns, 'x'))";
    expect(await printed(named("ns.f", "ns.g.h", "ns.odd-name"), code)).toBe(
      "['f', 'g', 'odd-name'] True False",
    );
  });

  it("and its functions have a short repr", async () => {
    const code = "print(ns, ns.g, ns.f, ns.g.h)";
    expect(await printed(named("ns.f", "ns.g.h"), code)).toBe(
      "<namespace ns> <namespace ns.g> <callback ns.f> <callback ns.g.h>",
    );
  });
});

const fn = () => null;
const DESCRIBED: Callbacks = {
  bare: fn,
  "ns.two": {
    fn,
    description: "Adds two numbers.\n\nSlowly.",
    parameters: ["a", "b"],
  },
  typed: {
    fn,
    schema: {
      type: "object",
      properties: {
        text: { type: "string" },
        count: { type: "integer", default: 3 },
        flags: { type: "array", items: { type: "boolean" } },
      },
      required: ["text"],
    },
  },
};

describe("list_callbacks()", () => {
  it("tells all of every callback, in the order given", async () => {
    const sandbox = new Sandbox({ callbacks: DESCRIBED });
    const { value } = await sandbox.execute("list_callbacks()");
    expect(value).toEqual([
      {
        name: "bare",
        description: null,
        signature: "(*args, **kwargs)",
        schema: null,
        sync: false,
      },
      {
        name: "ns.two",
        description: "Adds two numbers.\n\nSlowly.",
        signature: "(a, b)",
        schema: null,
        sync: false,
      },
      {
        name: "typed",
        description: null,
        signature: "(text: str, count: int = 3, flags: list[bool] = Ellipsis)",
        schema: (DESCRIBED as Record<string, { schema: object }>).typed.schema,
        sync: false,
      },
    ]);
  });

  it("is new every time", async () => {
    const code =
      "list_callbacks()[0]['name'] = 'x'\nlist_callbacks().clear()\nprint(list_callbacks()[0]['name'])";
    expect(await printed(named("f"), code)).toBe("f");
  });

  it("holds a thousand", async () => {
    const names = Array.from({ length: 1000 }, (_, n) => `ns.f${n}`);
    const code = "print(len(list_callbacks()), await ns.f999())";
    expect(await printed(named(...names), code)).toBe("1000 ns.f999");
  });
});

describe("a callback looks like an async function", () => {
  it.each([
    ["inspect.iscoroutinefunction(bare)", "True"],
    ["asyncio.iscoroutine(c := bare()), c.close()", "(True, None)"],
    ["callable(typed)", "True"],
    ["bare.__name__, ns.two.__name__", "('bare', 'ns.two')"],
    ["bare.__qualname__", "bare"],
    ["bare.__doc__", "None"],
    ["inspect.getdoc(ns.two)", "Adds two numbers.\n\nSlowly."],
    ["inspect.signature(bare)", "(*args, **kwargs)"],
    ["inspect.signature(ns.two)", "(a, b)"],
    ["list(inspect.signature(typed).parameters)", "['text', 'count', 'flags']"],
    ["inspect.signature(typed).parameters['count'].default", "3"],
    [
      "inspect.signature(typed).bind('a', 2).arguments",
      "{'text': 'a', 'count': 2}",
    ],
    ["{bare: 1}[bare]", "1"],
    ["bare == bare, bare == typed", "(True, False)"],
    ["copy.copy(bare) is bare", "True"],
    ["copy.deepcopy({'f': bare})['f'] is bare", "True"],
    ["functools.wraps(bare)(lambda: 1).__name__", "bare"],
  ])("%s", async (expression, text) => {
    const code = `import asyncio, copy, functools, inspect, warnings\nwarnings.simplefilter('ignore')\nprint((${expression}))`;
    expect(await printed(DESCRIBED, code)).toBe(text);
  });

  it("to help()", async () => {
    const text = await printed(DESCRIBED, "help(ns.two)\nhelp(typed)");
    expect(text).toContain(
      "async ns.two(a, b)\n    Adds two numbers.\n\n    Slowly.",
    );
    expect(text).toContain("async typed(text: str, count: int = 3");
  });

  it("to help(), without what is below", async () => {
    const text = await printed(DESCRIBED, "help(bare)\nhelp(ns)");
    expect(text).not.toMatch(/_eryx/);
  });

  it("in a traceback of a call with the wrong arguments", async () => {
    const sandbox = new Sandbox({ callbacks: DESCRIBED });
    const code = "async def g():\n    await ns.two(1)\n\nawait g()";
    await expect(sandbox.execute(code)).rejects.toMatchObject({
      message: "TypeError: ns.two() missing 1 required argument: 'b'",
      frames: [
        { line: 4, function: "<module>" },
        { line: 2, function: "g" },
      ],
    });
  });

  it("that cannot be pickled", async () => {
    const code =
      "import pickle\ntry: pickle.dumps(bare)\nexcept TypeError as e: print(e)";
    expect(await printed(DESCRIBED, code)).toBe(
      "cannot pickle <callback bare>",
    );
  });
});

describe("a callback can be", () => {
  const double = (n: number) => n * 2;
  it.each([
    [
      "a class attribute",
      "class A:\n    f = double\nprint(await A.f(2), await A().f(3))",
      "4 6",
    ],
    [
      "an attribute",
      "class A: pass\na = A()\na.f = double\nprint(await a.f(2))",
      "4",
    ],
    [
      "a method's way out",
      "class A:\n    async def g(self, n): return await double(n) + 1\nprint(await A().g(2))",
      "5",
    ],
    ["in a dict", "d = {'f': double}\nprint(await d['f'](2))", "4"],
    [
      "a default",
      "async def g(n, f=double): return await f(n)\nprint(await g(2))",
      "4",
    ],
    [
      "an argument",
      "async def twice(f, n): return await f(await f(n))\nprint(await twice(double, 1))",
      "4",
    ],
    [
      "in functools.partial",
      "import functools\nprint(await functools.partial(double, 4)())",
      "8",
    ],
    [
      "mapped",
      "import asyncio\nprint(await asyncio.gather(*map(double, range(3))))",
      "[0, 2, 4]",
    ],
    [
      "in a dataclass",
      "import dataclasses\nfrom typing import Any\n@dataclasses.dataclass\nclass A:\n    f: Any = double\nprint(await A().f(2))",
      "4",
    ],
    [
      "decorated",
      "import functools\ndef deco(f):\n    @functools.wraps(f)\n    async def g(*args): return await f(*args) + 1\n    return g\nprint(await deco(double)(2), deco(double).__name__)",
      "5 double",
    ],
    [
      "a key and sorted by name",
      "print([f.__name__ for f in sorted({double}, key=lambda f: f.__name__)])",
      "['double']",
    ],
    [
      "used in a comprehension",
      "print([await double(i) for i in range(3)], {i: await double(i) for i in range(2)})",
      "[0, 2, 4] {0: 0, 1: 2}",
    ],
    ["used in an f-string", "print(f'{await double(2)}')", "4"],
    [
      "used in an async generator",
      "async def g():\n    for i in range(3): yield await double(i)\nprint([x async for x in g()])",
      "[0, 2, 4]",
    ],
    [
      "weakly referred to",
      "import weakref\nprint(weakref.ref(double)() is double)",
      "True",
    ],
    [
      "called in asyncio.run",
      "import asyncio\nprint(asyncio.run(double(2)))",
      "4",
    ],
    [
      "called in a module of the code",
      "open('helper.py', 'w').write('async def g(f): return await f(3)')\nimport helper\nprint(await helper.g(double))",
      "6",
    ],
  ])("%s", async (_, code, text) => {
    expect(await printed({ double }, code)).toBe(text);
  });
});

describe("a call that is not awaited", () => {
  const warning = (line: number, source: string) =>
    `<sandbox>:${line}: RuntimeWarning: coroutine 'f' was never awaited: await it, or declare the callback with sync: true\n  ${source}`;

  it.each([
    ["x = 1\nf(1)\nprint(2)", 2, "f(1)"],
    ["x = 1\nf(1)", 2, "f(1)"],
    ["async def g():\n    f(2)\n    return 5\nawait g()", 2, "f(2)"],
    ["for _ in range(3):\n    f(_)\n    pass", 2, "f(_)"],
  ])("is a warning with the line, case %#", async (code, line, source) => {
    const fn = () => expect.fail("called");
    const sandbox = new Sandbox({ callbacks: { f: fn } });
    const { stderr, callbackInvocations } = await sandbox.execute(code);
    expect(stderr).toContain(warning(line, source));
    expect(stderr).not.toContain("_eryx");
    expect(callbackInvocations).toBe(0);
  });

  it("names the file", async () => {
    const sandbox = new Sandbox({ callbacks: named("ns.f") });
    const { stderr } = await sandbox.execute("ns.f()\npass", {
      filename: "a.py",
    });
    expect(stderr).toMatch(
      /^a\.py:1: RuntimeWarning: coroutine 'ns\.f' was never awaited/,
    );
  });
});
