import { describe, expect, it } from "vitest";
import {
  InitializationError,
  RuntimeLibrary,
  Sandbox,
  type SandboxOptions,
} from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";

const fn = () => 1;
const create = (options: unknown) => () =>
  new Sandbox(options as SandboxOptions);
const callbacks = (given: unknown) => create({ callbacks: given });
const library = (options: unknown) => () =>
  new RuntimeLibrary(options as object);

/** The InitializationError that making a sandbox has to throw. */
async function clash(make: () => unknown): Promise<string> {
  const error = await catchRejection((async () => make())());
  expect(error).toBeInstanceOf(InitializationError);
  expect(error.code).toBe("ERYX_INITIALIZATION");
  return error.message;
}

describe("callbacks", () => {
  it.each<[string, unknown]>([
    ["null", null],
    ["1", 1],
    ["true", true],
    ['"f"', "f"],
    ["a function", fn],
    ["an object (Map)", new Map([["f", fn]])],
    ["an object (Set)", new Set([fn])],
  ])("refuse %s", async (shown, given) => {
    const expected = `options.callbacks: expected an object or an array of callbacks, got ${shown}`;
    expect(await catchArgumentError(callbacks(given))).toBe(expected);
    expect(await catchArgumentError(library({ callbacks: given }))).toBe(
      expected,
    );
  });

  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["null", null],
    ["1", 1],
    ['"code"', "code"],
    ["Symbol(s)", Symbol("s")],
  ])("refuse the callback %s", async (shown, given) => {
    expect(await catchArgumentError(callbacks({ f: given }))).toBe(
      `options.callbacks.f: expected a function, or an object with fn, got ${shown}`,
    );
    expect(await catchArgumentError(callbacks([given]))).toBe(
      `options.callbacks[0]: expected an object with name and fn, got ${shown}`,
    );
  });

  it.each<[unknown, string]>([
    [[fn], "[0]: expected an object with name and fn, got a function"],
    [[{ name: "f" }], "[0].fn: expected a function, got undefined"],
    [[{ fn }], "[0].name: expected a string, got undefined"],
    [
      [
        { name: "f", fn },
        { name: 5, fn },
      ],
      "[1].name: expected a string, got 5",
    ],
    [new Array(1), "[0]: expected an object with name and fn, got undefined"],
    [{ f: {} }, ".f.fn: expected a function, got undefined"],
    [{ f: [] }, ".f: expected an object, got an array"],
    [{ f: { fn: "f" } }, '.f.fn: expected a function, got "f"'],
    [
      { f: { fn, name: "f" } },
      ".f.name: unknown option, expected one of fn, description, schema, parameters, timeoutMs, sync",
    ],
    [
      { f: { fn, timeout: 1 } },
      ".f.timeout: unknown option, expected one of fn, description, schema, parameters, timeoutMs, sync",
    ],
    [
      [{ name: "f", fn, x: 1 }],
      "[0].x: unknown option, expected one of name, fn, description, schema, parameters, timeoutMs, sync",
    ],
    [{ f: { fn, description: 5 } }, ".f.description: expected a string, got 5"],
    [
      { f: { fn, description: null } },
      ".f.description: expected a string, got null",
    ],
    [
      { f: { fn, description: "\udc00" } },
      ".f.description: expected well-formed text, got a string with a lone surrogate",
    ],
    [{ f: { fn, sync: 1 } }, ".f.sync: expected a boolean, got 1"],
    [{ f: { fn, sync: null } }, ".f.sync: expected a boolean, got null"],
    [
      { f: { fn, parameters: "a" } },
      '.f.parameters: expected an array of distinct names, got "a"',
    ],
    [
      { f: { fn, parameters: [1] } },
      ".f.parameters[0]: expected a string, got 1",
    ],
    [
      { f: { fn, parameters: ["a", ""] } },
      '.f.parameters[1]: expected a name, got ""',
    ],
    [
      { f: { fn, parameters: ["a", "b", "a"] } },
      '.f.parameters[2]: expected distinct names, got "a" twice',
    ],
    [
      { f: { fn, schema: "string" } },
      '.f.schema: expected a JSON Schema or a Standard Schema, got "string"',
    ],
    [
      { f: { fn, schema: null } },
      ".f.schema: expected a JSON Schema or a Standard Schema, got null",
    ],
    [
      { f: { fn, schema: { type: "array" } } },
      '.f.schema.type: expected "object", as arguments are one object, got "array"',
    ],
    [
      { f: { fn, schema: { required: 1 } } },
      ".f.schema: not a usable JSON Schema: required: must be array",
    ],
    [
      { "a.b": { fn, timeoutMs: "1" } },
      '.a.b.timeoutMs: expected a number of milliseconds above 0 and up to 2147483647, or null for no limit, got "1"',
    ],
  ])("refuse case %#", async (given, message) => {
    const expected = `options.callbacks${message}`;
    expect(await catchArgumentError(callbacks(given))).toBe(expected);
    expect(await catchArgumentError(library({ callbacks: given }))).toBe(
      expected,
    );
  });

  it.each([0, -1, NaN, Infinity, 2 ** 31])(
    "refuse timeoutMs %s",
    async (timeoutMs) => {
      expect(
        await catchArgumentError(callbacks({ f: { fn, timeoutMs } })),
      ).toBe(
        `options.callbacks.f.timeoutMs: expected a number of milliseconds above 0 and up to 2147483647, or null for no limit, got ${timeoutMs}`,
      );
    },
  );

  it("take undefined for every field but fn", async () => {
    const none = {
      description: undefined,
      schema: undefined,
      parameters: undefined,
      timeoutMs: undefined,
      sync: undefined,
    };
    const sandbox = new Sandbox({ callbacks: { f: { fn, ...none } } });
    expect((await sandbox.execute("await f()")).value).toBe(1);
  });
});

describe("names", () => {
  const IDENTIFIER = "is not a Python identifier";
  it.each([
    ["", "has an empty part"],
    [".", "has an empty part"],
    ["a.", "has an empty part"],
    ["a..b", "has an empty part"],
    ["odd-name", IDENTIFIER],
    ["1a", IDENTIFIER],
    ["a b", IDENTIFIER],
    ["a\0", IDENTIFIER],
    ["𝄞", IDENTIFIER],
    ["class", "begins with a keyword of Python"],
    ["None", "begins with a keyword of Python"],
    ["await.x", "begins with a keyword of Python"],
    [
      "__name__",
      "has a part with two underscores at both ends, which are Python's own",
    ],
    [
      "a.__class__",
      "has a part with two underscores at both ends, which are Python's own",
    ],
    [
      "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q",
      "is longer than 1,024 bytes or 16 parts",
    ],
  ])("refuse %j", async (name, why) => {
    const shown = JSON.stringify(name).replace("\\u0000", "\\0");
    expect(await clash(callbacks({ [name]: fn }))).toBe(
      `callbacks: ${shown} ${why}`,
    );
    expect(await clash(callbacks([{ name, fn }]))).toBe(
      `callbacks: ${shown} ${why}`,
    );
  });

  it("refuse a lone surrogate", async () => {
    const message = "callbacks: a name has a lone surrogate";
    for (const given of [{ "\ud800": fn }, [{ name: "a\udc00", fn }]]) {
      expect(await clash(callbacks(given))).toBe(message);
      expect(await clash(library({ callbacks: given }))).toBe(message);
    }
  });

  it("refuse more than 1,024 bytes", async () => {
    expect(await clash(callbacks({ ["a".repeat(1025)]: fn }))).toBe(
      `callbacks: "${"a".repeat(100)}"... is longer than 1,024 bytes or 16 parts`,
    );
    const name = "a".repeat(1024);
    const sandbox = new Sandbox({ callbacks: { [name]: fn } });
    expect((await sandbox.execute(`await ${name}()`)).value).toBe(1);
  });

  it.each([
    "print",
    "open",
    "ValueError",
    "list_callbacks",
    "CallbackError",
    "CallbackLimitError",
    "__import__",
    "print.x",
    "ｐrint",
  ])("of builtins clash: %s", async (name) => {
    const builtin = name.split(".")[0].normalize("NFKC");
    if (name.startsWith("__")) {
      expect(await clash(callbacks({ [name]: fn }))).toContain(name);
      return;
    }
    expect(await clash(callbacks({ [name]: fn }))).toBe(
      `callbacks: "${name}" would hide Python's own ${builtin}`,
    );
  });

  it("of the result variable clash", async () => {
    const message = (name: string) =>
      `callbacks: "${name}" has the name of the result variable`;
    expect(await clash(callbacks({ result: fn }))).toBe(message("result"));
    expect(await clash(callbacks({ "result.x": fn }))).toBe(
      message("result.x"),
    );
    const options = { callbacks: { out: fn }, resultVariable: "out" };
    expect(await clash(create(options))).toBe(message("out"));
    const fine = new Sandbox({
      callbacks: { result: fn },
      resultVariable: "out",
    });
    expect((await fine.execute("out = await result()")).result).toBe(1);
  });

  it("of inputs clash, before anything runs", async () => {
    const sandbox = new Sandbox({ callbacks: { f: fn, "ns.g": fn } });
    for (const name of ["f", "ns"]) {
      const inputs = { a: 1, [name]: 2 };
      expect(
        await catchArgumentError(() => sandbox.execute("1", { inputs })),
      ).toBe(`inputs: "${name}" is the name of a callback`);
    }
    const inputs = { g: 5 };
    expect((await sandbox.execute("g", { inputs })).value).toBe(5);
  });

  it("of inputs clash as Python reads them", async () => {
    const sandbox = new Sandbox({ callbacks: { find: fn } });
    const inputs = { ﬁnd: 1 };
    expect(
      await catchArgumentError(() => sandbox.execute("1", { inputs })),
    ).toBe('inputs: "ﬁnd" is the name of a callback');
  });

  it("that come twice clash", async () => {
    const twice = [
      { name: "a.b", fn },
      { name: "c", fn },
      { name: "a.b", fn },
    ];
    expect(await clash(callbacks(twice))).toBe(
      'callbacks: "a.b" is defined twice',
    );
  });

  it.each([
    [["ﬁnd", "find"], 'callbacks: "find" is defined twice'],
    [["ｒesult"], 'callbacks: "ｒesult" has the name of the result variable'],
  ])("%j clash as Python reads them", async (names, message) => {
    const given = names.map((name) => ({ name, fn }));
    expect(await clash(callbacks(given))).toBe(message);
  });

  it("of callbacks and libraries clash", async () => {
    const one = new RuntimeLibrary({ callbacks: { f: fn } });
    const two = new RuntimeLibrary({ callbacks: { f: fn, g: fn } });
    const message = 'callbacks: "f" is defined twice';
    expect(
      await clash(create({ callbacks: { f: fn }, libraries: [one] })),
    ).toBe(message);
    expect(await clash(create({ libraries: [one, two] }))).toBe(message);
    expect(await clash(create({ libraries: [one, one] }))).toBe(message);
  });
});

describe("an error of configuration", () => {
  it("leaves nothing behind", async () => {
    for (let n = 0; n < 20; n++) await clash(callbacks({ print: fn }));
    const sandbox = new Sandbox({ callbacks: { f: fn } });
    expect((await sandbox.execute("await f()")).value).toBe(1);
  });

  it("calls no getter twice and no callback", async () => {
    let called = 0;
    const f = () => called++;
    await catchArgumentError(callbacks({ f, g: 5 }));
    await clash(callbacks({ f, print: f }));
    expect(called).toBe(0);
  });

  it("that a getter throws is that error", () => {
    const options = {
      get callbacks(): never {
        throw new RangeError("mine");
      },
    };
    expect(create(options)).toThrow(new RangeError("mine"));
  });
});

describe("limits of callbacks", () => {
  it.each(["callbackTimeoutMs", "maxCallbackInvocations"])(
    "%s refuses 0",
    async (name) => {
      expect(
        await catchArgumentError(create({ resourceLimits: { [name]: 0 } })),
      ).toMatch(
        new RegExp(
          `^resourceLimits\\.${name}: expected a .*, or null for no limit, got 0$`,
        ),
      );
    },
  );
});

describe("what is changed later", () => {
  it("in the object of callbacks has no effect", async () => {
    const given: Record<string, () => number> = { f: () => 1 };
    const sandbox = new Sandbox({ callbacks: given });
    given.f = () => 2;
    given.g = () => 3;
    const { value } = await sandbox.execute("[await f(), 'g' in globals()]");
    expect(value).toEqual([1, false]);
  });

  it("in a list of parameters has no effect", async () => {
    const parameters = ["a"];
    const f = { fn: (args: object) => args, parameters };
    const sandbox = new Sandbox({ callbacks: { f } });
    parameters.push("b");
    expect((await sandbox.execute("await f(1)")).value).toEqual({ a: 1 });
  });
});
