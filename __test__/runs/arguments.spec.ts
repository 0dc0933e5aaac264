import { describe, expect, it } from "vitest";
import type { ExecutionOptions, SandboxOptions } from "../../index.js";
import { ResourceLimits, Sandbox, Session } from "../../index.js";
import {
  catchArgumentError,
  makeHollowArrays,
  run,
  tryUntilCheap,
} from "../helpers.js";

const create = (options: unknown) => () =>
  new Sandbox(options as SandboxOptions);
const execute = (options: unknown) => () =>
  run("1", options as ExecutionOptions);

/** Every kind of value with how messages show it. */
const KINDS: [unknown, string][] = [
  [null, "null"],
  [true, "true"],
  [0, "0"],
  [-1, "-1"],
  [1.5, "1.5"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  [2 ** 80, "1.2089258196146292e+24"],
  [1n, "1n"],
  ["x", '"x"'],
  [Symbol("s"), "Symbol(s)"],
  [() => 1, "a function"],
  [[], "an array"],
  [{}, "an object (Object)"],
  [new Map(), "an object (Map)"],
  [new Date(0), "an object (Date)"],
];
const NUMBERS = [null, 0, -1, 1.5, NaN, Infinity, 2 ** 80, 1n];

/** All kinds but those that `accepted` has. */
function except(...accepted: unknown[]): [string, unknown][] {
  return KINDS.filter(
    ([value]) => !accepted.includes(value) && !accepted.includes(typeof value),
  ).map(([value, shown]) => [shown, value]);
}

/** Names that no variable of the caller's may have. */
const BAD_VARIABLES = [
  ...["", "a b", "1a", "a.b", "a-b"].map((name) => [
    name,
    "is not a Python identifier",
  ]),
  ...["class", "None", "await", "ｃlass"].map((name) => [
    name,
    "is a keyword of Python",
  ]),
  ...[
    "__builtins__",
    "__debug__",
    "__loader__",
    "__annotate__",
    "__spec__",
  ].map((name) => [name, "is a variable of Python's own"]),
];

class Empty {}
const NO_OBJECTS = except("object").concat([
  ["null", null],
  ["an array", []],
]);
/** What has no named members, or would pass as an object without any. */
const NO_RECORDS = NO_OBJECTS.concat([
  ["an object (Map)", new Map([["a", 1]])],
  ["an object (Date)", new Date(0)],
  ["an object (Promise)", Promise.resolve({})],
  ["an object (Empty)", new Empty()],
]);

const MILLISECONDS =
  "expected a number of milliseconds above 0 and up to 2147483647, or null for no limit";
const whole = (unit: string, max: number | bigint) =>
  `expected a whole number of ${unit} from 1 to ${max}, or null for no limit`;

describe("code", () => {
  it.each([["undefined", undefined], ...except("string")])(
    "refuses %s",
    async (shown, code) => {
      expect(await catchArgumentError(() => run(code as string))).toBe(
        `code: expected a string, got ${shown}`,
      );
    },
  );

  it("refuses a String object", async () => {
    expect(await catchArgumentError(() => run(Object("1")))).toBe(
      "code: expected a string, got an object (String)",
    );
  });

  it("refuses a lone surrogate", async () => {
    expect(await catchArgumentError(() => run("x = '\ud800'"))).toBe(
      "code: expected well-formed text, got a string with a lone surrogate",
    );
  });

  it("refuses 100 MB at once", async () => {
    const code = "#".repeat(100_000_000);
    expect(
      await tryUntilCheap(500, () => catchArgumentError(() => run(code))),
    ).toBe("code: expected at most 16777216 bytes, got 100000000 characters");
  });

  it("refuses more than 16 MiB of UTF-8", async () => {
    expect(
      await catchArgumentError(() => run(`#${"é".repeat(9_000_000)}`)),
    ).toBe("code: 18000001 bytes are more than the 16777216 allowed");
  });
});

describe("the options object", () => {
  it.each(NO_RECORDS)("of a sandbox refuses %s", async (shown, value) => {
    expect(await catchArgumentError(create(value))).toBe(
      `options: expected an object, got ${shown}`,
    );
  });

  it.each(NO_RECORDS)("of execute refuses %s", async (shown, value) => {
    expect(await catchArgumentError(execute(value))).toBe(
      `options: expected an object, got ${shown}`,
    );
  });

  it("names the options that there are", async () => {
    for (const make of [create, execute]) {
      const message = await catchArgumentError(make({ nope: 1 }));
      expect(message).toMatch(
        /^options\.nope: unknown option, expected one of /,
      );
      expect(message).not.toMatch(/network|secrets|packages|imports/);
    }
    const resume = () =>
      Session.resume(new Uint8Array(1), { nope: 1 } as object);
    expect(await catchArgumentError(resume)).not.toMatch(
      /network|secrets|packages|imports/,
    );
  });

  it("refuses a name that is unknown", async () => {
    expect(await catchArgumentError(create({ timeout: 1 }))).toMatch(
      /^options\.timeout: unknown option, expected one of resourceLimits, callbacks, /,
    );
    expect(await catchArgumentError(execute({ timeout: 1 }))).toMatch(
      /^options\.timeout: unknown option, expected one of signal, timeoutMs, inputs, /,
    );
    expect(
      await catchArgumentError(create({ resourceLimits: { memory: 1 } })),
    ).toBe(
      "resourceLimits.memory: unknown option, expected one of executionTimeoutMs, callbackTimeoutMs, maxMemoryBytes, maxCallbackInvocations, maxFuel, maxOutputBytes, maxVfsBytes",
    );
  });

  it.each(["network", "secrets", "packages", "imports"])(
    "refuses %s, which this version does not have",
    async (name) => {
      expect(await catchArgumentError(create({ [name]: {} }))).toBe(
        `options.${name}: this option is not available in this version`,
      );
    },
  );

  it.each<[string, object]>([
    ["without a prototype", Object.create(null)],
    [
      "of a class",
      new (class {
        env = { A: "1" };
      })(),
    ],
    ["that inherits", Object.create({ env: { A: "1" } })],
    [
      "of a class with getters",
      new (class {
        get env() {
          return { A: "1" };
        }
      })(),
    ],
    ["that is empty", {}],
  ])("may be one %s", (_, options) => {
    expect(create(options)).not.toThrow();
  });

  it("takes undefined for any option", async () => {
    const names = ["resourceLimits", "env", "resultVariable", "onStdout"];
    const sandbox = new Sandbox(
      Object.fromEntries(names.map((name) => [name, undefined])),
    );
    const options = {
      signal: undefined,
      timeoutMs: undefined,
      inputs: undefined,
      stdin: undefined,
      onStderr: undefined,
      filename: undefined,
    };
    expect((await sandbox.execute("1", options)).value).toBe(1);
  });

  it("passes on what a getter throws", () => {
    const options = {
      get env(): Record<string, string> {
        throw new RangeError("boom");
      },
    };
    expect(create(options)).toThrow(new RangeError("boom"));
  });
});

describe("resourceLimits", () => {
  it.each(NO_RECORDS)("refuses %s", async (shown, value) => {
    expect(await catchArgumentError(create({ resourceLimits: value }))).toBe(
      `resourceLimits: expected an object, got ${shown}`,
    );
  });

  it.each(
    ["executionTimeoutMs", "callbackTimeoutMs"].flatMap((name) =>
      except(null, 1.5).map(([shown, value]) => ({ name, shown, value })),
    ),
  )("$name refuses $shown", async ({ name, shown, value }) => {
    expect(
      await catchArgumentError(create({ resourceLimits: { [name]: value } })),
    ).toBe(`resourceLimits.${name}: ${MILLISECONDS}, got ${shown}`);
  });

  it.each(
    (
      [
        ["maxMemoryBytes", "bytes", 2 ** 32],
        ["maxCallbackInvocations", "calls", Number.MAX_SAFE_INTEGER],
        ["maxOutputBytes", "bytes", Number.MAX_SAFE_INTEGER],
        ["maxVfsBytes", "bytes", Number.MAX_SAFE_INTEGER],
      ] as const
    ).flatMap(([name, unit, max]) =>
      except(null).map(([shown, value]) => ({ name, unit, max, shown, value })),
    ),
  )("$name refuses $shown", async ({ name, unit, max, shown, value }) => {
    expect(
      await catchArgumentError(create({ resourceLimits: { [name]: value } })),
    ).toBe(`resourceLimits.${name}: ${whole(unit, max)}, got ${shown}`);
  });

  it.each(except(null, 1n))("maxFuel refuses %s", async (shown, value) => {
    expect(
      await catchArgumentError(create({ resourceLimits: { maxFuel: value } })),
    ).toBe(
      `resourceLimits.maxFuel: ${whole("instructions", 2n ** 63n - 1n)}, got ${shown}`,
    );
  });

  it.each([0n, -1n, 2n ** 63n])("maxFuel refuses %sn", async (value) => {
    expect(
      await catchArgumentError(create({ resourceLimits: { maxFuel: value } })),
    ).toBe(
      `resourceLimits.maxFuel: ${whole("instructions", 2n ** 63n - 1n)}, got ${value}n`,
    );
  });

  it("takes null for each", async () => {
    const sandbox = new Sandbox({ resourceLimits: ResourceLimits.unlimited() });
    expect((await sandbox.execute("1")).value).toBe(1);
    expect(ResourceLimits.unlimited()).toEqual({
      executionTimeoutMs: null,
      callbackTimeoutMs: null,
      maxMemoryBytes: null,
      maxCallbackInvocations: null,
      maxFuel: null,
      maxOutputBytes: null,
      maxVfsBytes: null,
    });
  });

  it("takes the largest of each", async () => {
    const resourceLimits = {
      executionTimeoutMs: 2 ** 31 - 1,
      callbackTimeoutMs: 2 ** 31 - 1,
      maxMemoryBytes: 2 ** 32,
      maxCallbackInvocations: Number.MAX_SAFE_INTEGER,
      maxOutputBytes: Number.MAX_SAFE_INTEGER,
      maxVfsBytes: Number.MAX_SAFE_INTEGER,
    };
    const sandbox = new Sandbox({ resourceLimits });
    expect((await sandbox.execute("1")).value).toBe(1);
  });
});

describe("env", () => {
  it.each(NO_RECORDS)("refuses %s", async (shown, env) => {
    expect(await catchArgumentError(create({ env }))).toBe(
      `options.env: expected an object of strings, got ${shown}`,
    );
  });

  it("takes process.env", async () => {
    const { PATH } = process.env;
    const sandbox = new Sandbox({ env: process.env as Record<string, string> });
    const { value } = await sandbox.execute("import os\nos.environ['PATH']");
    expect(value).toBe(PATH);
  });

  it.each(except("string"))("refuses the value %s", async (shown, value) => {
    expect(await catchArgumentError(create({ env: { A: value } }))).toBe(
      `options.env.A: expected a string, got ${shown}`,
    );
  });

  it.each([
    [{ "a=b": "1" }, 'env: "a=b" is not a name of an environment variable'],
    [{ "": "1" }, 'env: "" is not a name of an environment variable'],
    [
      { "a\0": "1" },
      String.raw`env: "a\0" is not a name of an environment variable`,
    ],
    [{ a: "\0" }, 'env: the value of "a" contains a NUL character'],
    [
      { a: "\ud800" },
      "env.a: expected well-formed text, got a string with a lone surrogate",
    ],
    [
      { "\ud800": "a" },
      "env: expected well-formed text, got a string with a lone surrogate",
    ],
  ])("refuses %j", async (env, message) => {
    const text = await catchArgumentError(create({ env }));
    expect(text.replace(/^options\./, "")).toBe(message);
  });
});

describe("names of inputs", () => {
  it.each(BAD_VARIABLES)("refuse %j", async (name, why) => {
    expect(await catchArgumentError(execute({ inputs: { [name]: {} } }))).toBe(
      `inputs: "${name}" ${why}`,
    );
  });

  it.each(["match", "case", "type", "_", "print", "__x__", "__import__x"])(
    "may be %s",
    async (name) => {
      const { value } = await run(name, { inputs: { [name]: 5 } });
      expect(value).toBe(5);
    },
  );
});

describe("resultVariable", () => {
  it.each(["match", "type", "_", "__out__"])("may be %s", async (name) => {
    const sandbox = new Sandbox({ resultVariable: name });
    expect((await sandbox.execute(`${name} = 5`)).result).toBe(5);
  });

  it.each(except("string"))("refuses %s", async (shown, resultVariable) => {
    expect(await catchArgumentError(create({ resultVariable }))).toBe(
      `options.resultVariable: expected a string, got ${shown}`,
    );
  });

  it.each(BAD_VARIABLES)("refuses the name %j", async (name, why) => {
    expect(await catchArgumentError(create({ resultVariable: name }))).toBe(
      `resultVariable: "${name}" ${why}`,
    );
  });
});

describe.each(["onStdout", "onStderr"])("%s", (name) => {
  it.each(except("function"))(
    "of a sandbox refuses %s",
    async (shown, value) => {
      expect(await catchArgumentError(create({ [name]: value }))).toBe(
        `options.${name}: expected a function, got ${shown}`,
      );
    },
  );

  it.each(except("function"))("of execute refuses %s", async (shown, value) => {
    expect(await catchArgumentError(execute({ [name]: value }))).toBe(
      `options.${name}: expected a function, got ${shown}`,
    );
  });
});

describe("options of execute", () => {
  it.each(except())("signal refuses %s", async (shown, signal) => {
    expect(await catchArgumentError(execute({ signal }))).toBe(
      `options.signal: expected an AbortSignal, got ${shown}`,
    );
  });

  it.each(except(null, 1.5))(
    "timeoutMs refuses %s",
    async (shown, timeoutMs) => {
      expect(await catchArgumentError(execute({ timeoutMs }))).toBe(
        `options.timeoutMs: ${MILLISECONDS}, got ${shown}`,
      );
    },
  );

  it.each(NO_OBJECTS)("inputs refuses %s", async (shown, inputs) => {
    expect(await catchArgumentError(execute({ inputs }))).toBe(
      `options.inputs: expected an object of values, got ${shown}`,
    );
  });

  it.each(except("string"))("stdin refuses %s", async (shown, stdin) => {
    expect(await catchArgumentError(execute({ stdin }))).toBe(
      `options.stdin: expected a string or a Uint8Array, got ${shown}`,
    );
  });

  it.each(Object.entries(makeHollowArrays()))(
    "stdin and inputs refuse bytes whose buffer was %s",
    async (_, bytes) => {
      expect(await catchArgumentError(execute({ stdin: bytes }))).toBe(
        "options.stdin: expected a string or a Uint8Array, got a detached one",
      );
      expect(
        await catchArgumentError(execute({ inputs: { a: [bytes] } })),
      ).toBe("inputs.a[0]: detached Uint8Array is not transferable");
    },
  );

  it.each(except("string"))("filename refuses %s", async (shown, filename) => {
    expect(await catchArgumentError(execute({ filename }))).toBe(
      `options.filename: expected a string, got ${shown}`,
    );
  });

  it.each(["stdin", "filename"])(
    "%s refuses a lone surrogate",
    async (name) => {
      expect(await catchArgumentError(execute({ [name]: "\ud800" }))).toBe(
        `options.${name}: expected well-formed text, got a string with a lone surrogate`,
      );
    },
  );

  it.each(["a\0b", "x".repeat(100_000)])(
    "filename refuses NUL and 100 kB",
    async (filename) => {
      expect(await catchArgumentError(execute({ filename }))).toMatch(
        /filename: .* is too long or contains a NUL character$/,
      );
    },
  );
});

describe("an argument that is refused", () => {
  it("starts nothing", async () => {
    const chunks: string[] = [];
    const sandbox = new Sandbox({ onStdout: (chunk) => chunks.push(chunk) });
    for (const timeoutMs of NUMBERS.filter((n) => n !== null && n !== 1.5)) {
      const options = { timeoutMs } as ExecutionOptions;
      await catchArgumentError(() => sandbox.execute("print(1)", options));
    }
    await sandbox.close();
    expect(chunks).toEqual([]);
  });

  it("throws from executeCancellable before there is a handle", () => {
    const options = { timeoutMs: -1 };
    expect(() => new Sandbox().executeCancellable("1", options)).toThrow(
      TypeError,
    );
  });

  it("rejects from execute, which never throws", async () => {
    const promise = new Sandbox().execute(1 as unknown as string);
    await expect(promise).rejects.toThrow(TypeError);
  });
});

describe("sleepAfterMs", () => {
  it.each(
    except(null, "number").concat([
      ["0", 0],
      ["-1", -1],
      ["NaN", NaN],
    ]),
  )("%s is refused", async (shown, sleepAfterMs) => {
    expect(await catchArgumentError(create({ sleepAfterMs }))).toBe(
      `options.sleepAfterMs: expected a number of milliseconds above 0 and up to 2147483647, or null for never, got ${shown}`,
    );
  });

  it.each([1, 2 ** 31 - 1, null])("%s is taken", async (sleepAfterMs) => {
    await using session = new Session({ sleepAfterMs });
    await session.execute("x = [1]");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const result = await session.execute("x.append(2)\nx");
    expect(result.value).toEqual([1, 2]);
  });
});
