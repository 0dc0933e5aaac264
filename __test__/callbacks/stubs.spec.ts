import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { makeSignature } from "../../js/parameters.js";
import { renderTypeStubs } from "../../js/stubs.js";
import type { CallbackForShow as Callback } from "../../js/types.js";

function callback(
  name: string,
  schema?: unknown,
  description?: string,
  parameters?: string[],
): Callback {
  const signature = makeSignature("f", { schema, parameters });
  return { name, description, signature };
}

const bare = (name: string, description?: string): Callback => ({
  name,
  description,
  signature: null,
});

const nothing = { properties: {} };
const text = { type: "string" };

/** What the stubs say of `callbacks`, behind what they always say. */
function declared(...callbacks: Callback[]): string {
  return renderTypeStubs(callbacks, []).split('it is sync."""\n\n')[1];
}

/** The parameter list of a function. */
function parameters(schema: unknown, order?: string[], name = "f"): string {
  const stubs = renderTypeStubs([callback(name, schema, undefined, order)], []);
  return /async def f\((.*)\) -> Any: \.\.\./.exec(stubs)![1];
}

describe("the text", () => {
  it("is empty without callbacks and stubs", () => {
    expect(renderTypeStubs([], [])).toBe("");
    expect(renderTypeStubs([], ["", " \n"])).toBe("");
  });

  it("declares callbacks and what the sandbox adds", () => {
    const search = z.object({
      query: z.string(),
      kind: z.enum(["web", "news"]).optional(),
    });
    const stubs = renderTypeStubs(
      [
        callback("search", search, "Searches the web."),
        callback("add", undefined, undefined, ["a", "b"]),
        bare("log"),
        callback("http.get", { properties: { url: text }, required: ["url"] }),
      ],
      ["def helper() -> None: ..."],
    );
    expect(stubs).toBe(`from typing import Any, Literal

class CallbackError(RuntimeError):
    """A function of the host failed."""

    name: str
    message: str
    callback: str

class CallbackArgumentError(CallbackError, TypeError):
    """A function of the host was not called: its arguments do not match its schema."""

class CallbackLimitError(RuntimeError):
    """The code has called as many functions of the host as it may."""

def list_callbacks() -> list[dict[str, Any]]:
    """Name, description, signature and schema of each function of the host, and whether it is sync."""

async def search(query: str, kind: Literal["web", "news"] = ...) -> Any:
    """Searches the web."""

async def add(a: Any, b: Any) -> Any: ...
async def log(*args: Any, **kwargs: Any) -> Any: ...

class _Http:
    async def get(self, url: str) -> Any: ...

http: _Http

def helper() -> None: ...
`);
  });

  it("has each further text once", () => {
    expect(renderTypeStubs([], ["x: int", "y: int\n", "\nx: int\n"])).toBe(
      "x: int\n\ny: int\n",
    );
  });
});

describe("parameters", () => {
  const a = { type: "integer" };

  it.each<[object, string]>([
    [{}, "**kwargs: Any"],
    [nothing, ""],
    [{ properties: { a }, required: ["a"] }, "a: int"],
    [{ properties: { a } }, "a: int = ..."],
    [
      { properties: { a }, additionalProperties: true },
      "a: int = ..., **kwargs: Any",
    ],
    [{ properties: { a, b: a }, required: ["b"] }, "a: int = ..., *, b: int"],
    [
      { properties: { a, b: a, c: a }, required: ["b"] },
      "a: int = ..., *, b: int, c: int = ...",
    ],
    [{ properties: { "a-b": a } }, "**kwargs: Any"],
    [
      { properties: { a, class: a, c: a } },
      "a: int = ..., *, c: int = ..., **kwargs: Any",
    ],
    [{ properties: { __a: a, b: a } }, "*, b: int = ..., **kwargs: Any"],
    [{ properties: { ﬁ: a, größe: a } }, "*, größe: int = ..., **kwargs: Any"],
    [
      { properties: { kwargs: a, _kwargs: a }, additionalProperties: true },
      "kwargs: int = ..., _kwargs: int = ..., **_kwargs2: Any",
    ],
    [
      { properties: { self: a, match: a } },
      "self: int = ..., match: int = ...",
    ],
  ])("case %#", (schema, expected) => {
    expect(parameters(schema)).toBe(expected);
  });

  it("that have no position are keyword-only", () => {
    const schema = { properties: { a, b: a, c: a }, required: ["a", "c"] };
    expect(parameters(schema, ["c"])).toBe("c: int, *, a: int, b: int = ...");
    expect(parameters(schema, [])).toBe("*, a: int, b: int = ..., c: int");
  });

  it("of methods come behind self", () => {
    const method = (properties: object) =>
      parameters({ properties }, undefined, "ns.f");
    expect(method({})).toBe("self");
    expect(method({ a })).toBe("self, a: int = ...");
    expect(method({ self: a })).toBe("_self, /, self: int = ...");
    expect(method({ self: a, _self: a })).toBe(
      "__self, /, self: int = ..., _self: int = ...",
    );
  });

  it.each<[object, unknown, string]>([
    [{ type: "integer" }, 10, "int = 10"],
    [{ type: "integer" }, -1, "int = -1"],
    [{ type: "integer" }, 1.5, "int = ..."],
    [{ type: "integer" }, true, "int = ..."],
    [{ type: "integer" }, null, "int = ..."],
    [{ type: "number" }, 1, "float = 1"],
    [{ type: "number" }, 1e-7, "float = 1e-7"],
    [{ type: "number" }, Infinity, "float = ..."],
    [{ type: "boolean" }, false, "bool = False"],
    [text, 'a"\n', String.raw`str = "a\"\n"`],
    [text, "a".repeat(201), "str = ..."],
    [text, 1, "str = ..."],
    [{ type: ["string", "null"] }, null, "str | None = None"],
    [{ type: ["array", "null"] }, null, "list[Any] | None = None"],
    [{ type: "array", items: text }, [], "list[str] = ..."],
    [{ type: "array", items: text }, "str", "list[str] = ..."],
    [{ type: "object" }, {}, "dict[str, Any] = ..."],
    [{ enum: ["a", "b, c"] }, "b, c", 'Literal["a", "b, c"] = "b, c"'],
    [{ enum: ["a", "b"] }, "c", 'Literal["a", "b"] = ...'],
    [{ enum: ["| a", "[b"] }, "| a", 'Literal["| a", "[b"] = "| a"'],
    [{ enum: ["1", 2] }, 1, 'Literal["1", 2] = ...'],
    [{}, "a", 'Any = "a"'],
    [{}, [1], "Any = ..."],
  ])("shows defaults that fit, case %#", (schema, value, expected) => {
    const x = { ...schema, default: value };
    expect(parameters({ properties: { x } })).toBe(`x: ${expected}`);
  });
});

describe("docstrings", () => {
  const docstring = (description?: string) =>
    declared(bare("f", description)).replace(
      "async def f(*args: Any, **kwargs: Any) -> Any:",
      "",
    );

  it.each([
    [undefined, " ...\n"],
    ["", " ...\n"],
    [" \n ", " ...\n"],
    ["Adds.", '\n    """Adds."""\n'],
    [
      "Adds.\n\n  a: first \r\n  b: second",
      '\n    """Adds.\n\n      a: first\n      b: second\n    """\n',
    ],
    ['a "b" c', '\n    """a "b" c"""\n'],
    [
      'a "b"',
      String.raw`
    """a "b\""""` + "\n",
    ],
    [
      '"""',
      String.raw`
    """\"\"\""""` + "\n",
    ],
    [
      'a"""\nimport os\n"""',
      String.raw`
    """a\"\"\"
    import os
    \"\"\"
    """` + "\n",
    ],
    ["end \\", '\n    """end \\\\"""\n'],
    [
      String.raw`\N{x} \"""`,
      String.raw`
    """\\N{x} \\\"\"\""""` + "\n",
    ],
    [
      "a\0b\x1b\tc\u2028\u202e",
      String.raw`
    """a\x00b\x1b\tc\u2028\u202e"""` + "\n",
    ],
  ])("%j", (description, expected) => {
    expect(docstring(description)).toBe(expected);
  });
});

describe("namespaces", () => {
  it("are classes, one in the other", () => {
    expect(
      declared(
        callback("a.b.c", nothing, "Sees."),
        callback("a.d", nothing),
        callback("f", nothing),
        callback("a.b.e", nothing),
      ),
    ).toBe(`class _A:
    class _B:
        async def c(self) -> Any:
            """Sees."""

        async def e(self) -> Any: ...

    b: _B
    async def d(self) -> Any: ...

a: _A
async def f() -> Any: ...
`);
  });

  it("may be functions too", () => {
    const expected = `class _Db:
    async def __call__(self, sql: str) -> Any:
        """Runs."""

    async def close(self) -> Any: ...

db: _Db
`;
    const schema = { properties: { sql: text }, required: ["sql"] };
    const own = callback("db", schema, "Runs.");
    const close = callback("db.close", nothing);
    expect(declared(own, close)).toBe(expected);
    expect(declared(close, own)).toBe(expected);
  });

  it("have members that are looked up", () => {
    expect(declared(callback("ns.odd-name", nothing, "Odd."))).toBe(`class _Ns:
    def __getitem__(self, name: Literal["odd-name"]) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Odd."""

ns: _Ns
`);
    expect(
      declared(
        callback("ns.class", nothing),
        callback('ns.a"\\\n.get', nothing),
        callback("ns.__x", nothing),
      ),
    ).toBe(`class _Ns:
    class _A___:
        async def get(self) -> Any: ...

    @overload
    def __getitem__(self, name: Literal["class"]) -> Callable[..., Coroutine[Any, Any, Any]]: ...

    @overload
    def __getitem__(self, name: Literal["a\\"\\\\\\n"]) -> _A___: ...

    @overload
    def __getitem__(self, name: Literal["__x"]) -> Callable[..., Coroutine[Any, Any, Any]]: ...

ns: _Ns
`);
  });

  it("have class names of their own", () => {
    const stubs = declared(
      callback("ns.a", nothing),
      callback("Ns.a", nothing),
      callback("_Ns", nothing),
    );
    expect(stubs).toContain("\nns: __Ns\n");
    expect(stubs).toContain("\nNs: __Ns2\n");
    expect(stubs).toContain("\nasync def _Ns() -> Any: ...\n");
  });

  it("take any names", () => {
    const stubs = declared(callback("__proto__.constructor", nothing));
    expect(stubs).toContain("async def constructor(self) -> Any: ...");
  });
});

it("imports names under others where callbacks have them", () => {
  const list = { properties: { a: { type: "array", items: text } } };
  const stubs = renderTypeStubs(
    [callback("files.list", list), callback("Any", { properties: { b: {} } })],
    [],
  );
  expect(stubs.split("\n").slice(0, 2)).toEqual([
    "from builtins import list as _list",
    "from typing import Any as _Any",
  ]);
  expect(stubs).toContain(
    "    async def list(self, a: _list[str] = ...) -> _Any: ...\n",
  );
  expect(stubs).toContain("async def Any(b: _Any = ...) -> _Any: ...\n");
  expect(stubs).toContain("def list_callbacks() -> _list[dict[str, _Any]]:\n");
});

describe("synchronous callbacks", () => {
  const sync = (name: string, schema?: unknown) => ({
    ...callback(name, schema),
    sync: true,
  });

  it("are plain functions", () => {
    const stubs = declared(
      sync("price", { properties: { of: text }, required: ["of"] }),
      sync("shop.price"),
      bare("shop.stock"),
      sync("shop"),
    );
    expect(stubs).toBe(`def price(of: str) -> Any: ...

class _Shop:
    def __call__(self, **kwargs: Any) -> Any: ...
    def price(self, **kwargs: Any) -> Any: ...
    async def stock(self, *args: Any, **kwargs: Any) -> Any: ...

shop: _Shop
`);
  });

  it("that are looked up give no coroutine", () => {
    const stubs = declared(sync("ns.odd-name"));
    expect(stubs).toContain("-> Callable[..., Any]:");
    expect(stubs).not.toContain("Coroutine");
  });
});

// ---------------------------------------------------------------- pyright

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What pyright says, strictly, of `program` with the builtins of `stubs`. */
async function pyright(stubs: string, program: string) {
  const directory = await mkdtemp(join(tmpdir(), "eryx-stubs-"));
  try {
    const files = {
      "__builtins__.pyi": stubs,
      "main.py": program,
      "pyrightconfig.json": '{ "typeCheckingMode": "strict" }',
    };
    for (const [name, content] of Object.entries(files))
      await writeFile(join(directory, name), content);
    const entry = join(root, "node_modules/pyright/index.js");
    return await new Promise<{ status: unknown; output: string }>((resolve) => {
      execFile(
        process.execPath,
        [entry, "--project", directory],
        (error, stdout, stderr) =>
          resolve({ status: error?.code ?? 0, output: stdout + stderr }),
      );
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}

const HOSTILE = [
  '"""',
  '""""""',
  'ends in "',
  "ends in \\",
  "ends in \\\\\\",
  'ends in \\"',
  "\0\x01\x1b[31m\x85",
  "\u2028\u2029\u202e\ufeff\ud800",
  "\\N{nothing} \\x \\u12",
  '"""\nimport os\nos.system("x")\n"""',
  "a\r\n\tb\rc\fd\ve",
  "# type: ignore",
  "😀".repeat(1000),
];

const PROPERTIES = {
  text,
  whole: { type: "integer", default: 3 },
  real: { type: "number", default: 1e21 },
  flag: { type: "boolean", default: true },
  nothing: { type: "null", default: null },
  anything: {},
  texts: { type: "array", items: text },
  pair: { type: "array", prefixItems: [text, { type: "integer" }] },
  counts: { type: "object", additionalProperties: { type: "integer" } },
  either: { anyOf: [text, { type: "array", items: text }, { type: "null" }] },
  mode: { enum: ["r", 'w"\\', "\0\n", "|[", 1, true, null], default: "|[" },
  wrong: { type: "string", default: 7 },
  also: { enum: ["a"], default: "b" },
  self: text,
  kwargs: text,
  class: text,
  "odd-name": text,
  __mangled: text,
  _private: text,
  größe: text,
  ﬁ: text,
  match: text,
};

const SHAPES: Callback[] = [
  bare("anything"),
  callback("none", nothing),
  callback("shapes", { properties: PROPERTIES, additionalProperties: true }),
  callback("ordered", { properties: PROPERTIES, required: ["texts"] }, "", [
    "whole",
    "text",
    "texts",
  ]),
  callback("deep.er.and.deeper", { properties: PROPERTIES }, "Deep."),
  callback("deep.er", { properties: PROPERTIES }),
  callback("deep.odd-name", nothing, "Odd."),
  callback("odd.a-b.get", nothing),
  callback("odd.class", nothing, "Odd."),
  callback('odd."\\\n\0', nothing, '"""'),
  callback("odd.__x", nothing),
  callback("odd.__x.y", nothing),
  ...HOSTILE.map((text, index) => callback(`hostile${index}`, {}, text)),
  ...HOSTILE.map((text, index) =>
    callback(
      `hostile.in${index}`,
      { properties: { a: { const: text } } },
      text,
    ),
  ),
  callback("_Deep", nothing),
  callback("Deep.x", nothing),
  callback("x.admin.y", nothing),
  callback("x.Admin.y", nothing),
  callback("x.a-b.y", nothing),
  callback("x.a+b.y", nothing),
  callback("match", nothing),
  callback("type", nothing),
  callback("größe.größe", nothing),
  callback(Array.from({ length: 16 }, () => "a").join("."), {
    properties: { a: text },
  }),
];

/** Callbacks that are called like everything that the stubs use. */
const CLASHES = [
  ..."Any Literal overload Callable Coroutine _Any _list".split(" "),
  ..."bool dict float int list str tuple RuntimeError TypeError odd-name class"
    .split(" ")
    .map((name) => `files.${name}`),
].map((name) => callback(name, { properties: PROPERTIES }, "Clashes."));

const GOOD = `
from typing import Any

async def main() -> None:
    extra: dict[str, Any] = {"odd-name": 1}
    await anything(1, "a", b=2)
    await none()
    await shapes("a", 1, 2.5, other=3)
    await shapes(texts=["a"], pair=("a", 1), counts={"a": 1}, either=None, **extra)
    await shapes(mode="w\\"\\\\")
    await shapes(mode="\\0\\n")
    await ordered(1, "a", texts=["b"], mode=None)
    await deep.er("a", 1, größe="b")
    await deep["odd-name"](1)
    await odd["a-b"].get()
    await odd["class"]()
    await odd['"\\\\\\n\\0']()
    await odd["__x"].y()
    await a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a("x")
    await x.Admin.y()
    await x["a+b"].y()
    await hostile.in3("ends in \\\\")
    text: str = ""
    try:
        await none()
    except CallbackArgumentError as error:
        text = error.name + error.message + error.callback
    except (CallbackError, CallbackLimitError) as error:
        text = str(error)
    for listed in list_callbacks():
        print(listed["name"], text)
`;

describe("pyright", () => {
  it("accepts stubs of all shapes, strictly", async () => {
    const stubs = renderTypeStubs(SHAPES, ["class Helper:\n    x: int\n"]);
    expect(await pyright(stubs, GOOD)).toEqual({
      status: 0,
      output: "0 errors, 0 warnings, 0 informations\n",
    });
  });

  it("accepts callbacks that are called like types", async () => {
    const program = `
async def main() -> None:
    await files.list(texts=["a"])
    await files.str("a")
    await files["class"]()
    await Literal(mode="r")
`;
    expect(await pyright(renderTypeStubs(CLASHES, []), program)).toEqual({
      status: 0,
      output: "0 errors, 0 warnings, 0 informations\n",
    });
  });

  it("finds wrong calls", async () => {
    const program = `
async def main() -> None:
    await shapes(1)
    await shapes(mode="x")
    await ordered(1, "a")
    await none(1)
    await deep.missing()
    await odd["missing"]()
`;
    const { status, output } = await pyright(
      renderTypeStubs(SHAPES, []),
      program,
    );
    const errors = [...output.matchAll(/main\.py:(\d+):\d+ - error/g)];
    expect(status).toBe(1);
    expect(output).toContain(
      `error: Argument of type "Literal[1]" cannot be assigned to parameter "text" of type "str"`,
    );
    expect([...new Set(errors.map(([, line]) => Number(line)))]).toEqual([
      3, 4, 5, 6, 7, 8,
    ]);
  });
});
