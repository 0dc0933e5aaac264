import { readFileSync, renameSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type ExecutionError, Sandbox } from "../../index.js";
import { catchInPython, getStdout, makeThrower } from "./support.js";
import { catchRejection, getNodeStdout, root } from "../helpers.js";

class HttpError extends Error {
  name = "HttpError";
  status = 404;
}

describe("what a callback throws is a CallbackError", () => {
  const foreign = runInNewContext("new RangeError('far')") as Error;
  const error = (fields: object) => Object.assign(new Error("m"), fields);

  it.each<[string, unknown, string[]]>([
    ["an Error", new Error("boom"), ["Error: boom", "Error", "boom"]],
    ["a TypeError", new TypeError("t"), ["TypeError: t", "TypeError", "t"]],
    ["an Error without a message", new Error(), ["Error", "Error", ""]],
    [
      "a class of its own",
      new HttpError("no"),
      ["HttpError: no", "HttpError", "no"],
    ],
    [
      "an error of another realm",
      foreign,
      ["RangeError: far", "RangeError", "far"],
    ],
    [
      "an AggregateError",
      new AggregateError([new Error("in")], "all"),
      ["AggregateError: all", "AggregateError", "all"],
    ],
    [
      "a DOMException",
      new DOMException("gone", "AbortError"),
      ["AbortError: gone", "AbortError", "gone"],
    ],
    [
      "a frozen error",
      Object.freeze(new Error("cold")),
      ["Error: cold", "Error", "cold"],
    ],
    [
      "something like an error",
      { name: "N", message: "m" },
      ["N: m", "N", "m"],
    ],
    ["an error without a name", error({ name: "" }), ["m", "", "m"]],
    [
      "several lines",
      new Error("a\n  b\u0000\u2028𝄞"),
      ["Error: a\n  b\0\u2028𝄞", "Error", "a\n  b\0\u2028𝄞"],
    ],
    ["a string", "text", ["text", "", "text"]],
    ["the empty string", "", ["", "", ""]],
    ["a number", 42, ["threw 42", "", "threw 42"]],
    ["a bigint", 5n, ["threw 5n", "", "threw 5n"]],
    ["null", null, ["threw null", "", "threw null"]],
    ["undefined", undefined, ["threw undefined", "", "threw undefined"]],
    ["a symbol", Symbol("s"), ["threw Symbol(s)", "", "threw Symbol(s)"]],
    [
      "an object",
      { code: 1 },
      ["threw an object (Object)", "", "threw an object (Object)"],
    ],
    ["an array", [1], ["threw an array", "", "threw an array"]],
    ["a function", () => 1, ["threw a function", "", "threw a function"]],
    [
      "a name that is no string",
      error({ name: 5 }),
      ["Error: m", "Error", "m"],
    ],
    [
      "a message that is no string",
      error({ message: {} }),
      ["Error", "Error", ""],
    ],
    [
      "lone surrogates",
      new Error("a\ud800b"),
      ["Error: a\ufffdb", "Error", "a\ufffdb"],
    ],
    [
      "an object without a prototype",
      Object.create(null),
      ["threw an object (Object)", "", "threw an object (Object)"],
    ],
  ])("%s, thrown or rejected with", async (_, thrown, seen) => {
    const expected = ["CallbackError", ...seen];
    expect(await catchInPython(makeThrower(thrown))).toEqual(expected);
    expect(await catchInPython(() => Promise.reject(thrown))).toEqual(expected);
  });

  const trap = () => {
    throw new Error("trap");
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const everyTrap = new Proxy(
    {},
    { get: trap, getPrototypeOf: trap, has: trap, ownKeys: trap },
  );

  it.each<[string, unknown]>([
    [
      "a getter `message` that throws",
      {
        name: "N",
        get message() {
          return trap();
        },
      },
    ],
    [
      "a getter `name` that throws",
      {
        get name() {
          return trap();
        },
      },
    ],
    ["a Proxy that throws", everyTrap],
    ["a revoked Proxy", revoked.proxy],
    [
      "a getter `path` that throws",
      {
        name: "N",
        message: "m",
        get path() {
          return trap();
        },
      },
    ],
    [
      "a getter `constructor` that throws",
      {
        get constructor() {
          return trap();
        },
      },
    ],
  ])("also %s", async (_, thrown) => {
    const [type, text] = await catchInPython(makeThrower(thrown));
    expect(type).toBe("CallbackError");
    expect(text).not.toBe("");
    expect(await catchInPython(() => Promise.reject(thrown))).toEqual(
      expect.arrayContaining(["CallbackError"]),
    );
  });

  it("cut at 10,000 characters", async () => {
    const [, , name, message] = await catchInPython(
      makeThrower(
        Object.assign(new Error("m".repeat(2 ** 20)), {
          name: "n".repeat(2 ** 20),
        }),
      ),
    );
    expect([name, message]).toEqual([
      `${"n".repeat(10_000)}...`,
      `${"m".repeat(10_000)}...`,
    ]);
  });

  it("whole where a character lies on the cut", async () => {
    const [, , , message] = await catchInPython(
      makeThrower(new Error(`${"m".repeat(9_999)}𝄞𝄞`)),
    );
    expect(message).toMatch(/^m+\ufffd?𝄞?\.\.\.$/u);
  });
});

describe("CallbackError", () => {
  const fail = makeThrower(new HttpError("not found"));

  it("has name, message, callback and no more", async () => {
    const code = `try: await ns.fail(1)
except RuntimeError as e: print(e.name, '|', e.message, '|', e.callback, '|', e.args, '|', repr(e), '|', sorted(vars(e)))`;
    expect(await getStdout({ "ns.fail": fail }, `import sys\n${code}`)).toBe(
      "HttpError | not found | ns.fail | ('HttpError: not found',) | CallbackError('HttpError: not found') | ['callback', 'message', 'name']",
    );
  });

  it.each([
    ["CallbackError.__mro__[1].__name__", "RuntimeError"],
    ["issubclass(CallbackArgumentError, (TypeError))", "True"],
    ["issubclass(CallbackArgumentError, CallbackError)", "True"],
    ["CallbackLimitError.__mro__[1].__name__", "RuntimeError"],
    ["CallbackError.__module__", "builtins"],
    ["str(CallbackError('a')), CallbackError().name", "('a', '')"],
  ])("%s is %s", async (expression, text) => {
    expect(await getStdout({}, `print((${expression}))`)).toBe(text);
  });

  it("that nobody catches ends the run", async () => {
    const sandbox = new Sandbox({ callbacks: { fail } });
    const code =
      "async def g():\n    print('out')\n    await fail()\n\nawait g()";
    const error = await catchRejection<ExecutionError>(sandbox.execute(code));
    expect(error).toMatchObject({
      name: "ExecutionError",
      code: "ERYX_EXECUTION",
      pythonType: "CallbackError",
      message: "CallbackError: HttpError: not found",
      stdout: "out",
    });
    expect(error.traceback).toBe(`Traceback (most recent call last):
  File "<sandbox>", line 5, in <module>
    await g()
  File "<sandbox>", line 3, in g
    await fail()
CallbackError: HttpError: not found`);
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 5, function: "<module>" },
      { filename: "<sandbox>", line: 3, function: "g" },
    ]);
  });

  it("is new for each call, and can be raised again and chained", async () => {
    const code = `try:
    try: await fail()
    except CallbackError as e: raise ValueError('mine') from e
except ValueError as e: print(repr(e.__cause__))
first, second = await __import__('asyncio').gather(fail(), fail(), return_exceptions=True)
print(first is second)`;
    expect(await getStdout({ fail }, code)).toBe(
      "CallbackError('HttpError: not found')\nFalse",
    );
  });
});

describe("Python sees nothing of the host", () => {
  const SHOW = `import traceback
try: await f()
except CallbackError as e:
    seen = [str(e), repr(e), repr(e.args), repr(vars(e)), repr(e.__cause__), repr(e.__context__), repr(getattr(e, '__notes__', None)), traceback.format_exc()]
result = '\\n'.join(seen)`;

  async function seen(f: () => unknown): Promise<string> {
    const { result } = await new Sandbox({ callbacks: { f } }).execute(SHOW);
    return result as string;
  }

  const missing = `${root}secret-directory/file.txt`;
  const tmp = "/var/secret-directory/file.txt";

  it.each<[string, () => unknown]>([
    ["readFileSync", () => readFileSync(missing)],
    ["readFile", () => readFile(tmp)],
    ["a path of bytes", () => readFileSync(Buffer.from(tmp))],
    ["a URL", () => readFileSync(new URL(`file://${tmp}`))],
    ["two paths", () => renameSync(tmp, `${tmp}.new`)],
    ["its directory in a message", makeThrower(new Error(`bad ${missing}`))],
    [
      "its directory as a URL",
      makeThrower(new Error(`at file://${missing}:1:2`)),
    ],
    [
      "its directory in a name",
      makeThrower(Object.assign(new Error("m"), { name: missing })),
    ],
    ["its directory in a string", makeThrower(`bad ${missing}`)],
    [
      "the home directory",
      makeThrower(new Error(`${homedir()}/secret-directory`)),
    ],
    ["an error's stack", makeThrower(new Error(new Error("inner").stack))],
    ["a stack as a string", makeThrower(new Error("inner").stack)],
    ["a cause", makeThrower(new Error("m", { cause: new Error(missing) }))],
    [
      "the errors of an AggregateError",
      makeThrower(new AggregateError([new Error(missing)], "m")),
    ],
    [
      "further fields",
      makeThrower(Object.assign(new Error("m"), { dir: missing })),
    ],
    ["a module that is not there", () => import(`${root}secret-directory.js`)],
  ])("%s", async (_, f) => {
    const text = await seen(f);
    expect(text).not.toContain(root.replace(/\/$/, ""));
    expect(text).not.toContain("/var/secret-directory");
    if (homedir().length > 1) expect(text).not.toContain(`${homedir()}/`);
    expect(text).not.toMatch(/_eryx|\/eryx\//);
  });

  it.each<[string, object, string]>([
    ["that is a word", { path: "name" }, "name must be given, e.g. a surname"],
    [
      "that is a word, with a code",
      { path: "name", code: "E_NAME" },
      "name must be given, e.g. a surname",
    ],
    ["with dest", { path: "a", dest: "to" }, "a way to go"],
    ["that is an array", { path: ["a", "b"], code: "E" }, "a.b: required"],
  ])("but leaves other errors alone: a path %s", async (_, fields, message) => {
    const thrown = Object.assign(new Error(message), fields);
    expect((await catchInPython(makeThrower(thrown)))[3]).toBe(message);
    const alike = { name: "ZodError", message, ...fields };
    expect((await catchInPython(makeThrower(alike)))[3]).toBe(message);
  });

  it.each<[string, object, string, string]>([
    [
      "a short name",
      { path: "a" },
      "EISDIR: a directory, open 'a'",
      "EISDIR: a directory, open '<path>'",
    ],
    [
      "part of a longer one",
      { path: "/var/x" },
      "bad /var/x, /var/xy, /var/x/y, /a/var/x and '/var/x'.",
      "bad <path>, /var/xy, /var/x/y, /a/var/x and '<path>'.",
    ],
    [
      "with characters of regular expressions",
      { path: "/var/a+(b)[c].$x" },
      "open '/var/a+(b)[c].$x'",
      "open '<path>'",
    ],
    [
      "two",
      { path: "/var/x", dest: "/var/x.new" },
      "rename '/var/x' -> '/var/x.new'",
      "rename '<path>' -> '<path>'",
    ],
  ])(
    "in errors of system calls, whole paths only: %s",
    async (_, fields, message, seen) => {
      const thrown = Object.assign(new Error(message), {
        code: "EXYZ",
        syscall: "open",
        ...fields,
      });
      expect((await catchInPython(makeThrower(thrown)))[3]).toBe(seen);
    },
  );

  it("but whole names of its directories only", async () => {
    const here = root.replace(/\/$/, "");
    const messages: [string, string][] = [
      [`${here}`, "<host>"],
      [`at ${here}.`, "at <host>."],
      [`'${here}/a.js':1`, "'<host>/a.js':1"],
      [`file://${here}/a.js`, "file://<host>/a.js"],
      [`PATH=${here}:${here}/b`, "PATH=<host>:<host>/b"],
      [
        `${here}er/a ${here}-2 ${here}.old`,
        `${here}er/a ${here}-2 ${here}.old`,
      ],
      [`/srv${here}/a x${here}`, `/srv${here}/a x${here}`],
    ];
    for (const [message, seen] of messages)
      expect((await catchInPython(makeThrower(new Error(message))))[3]).toBe(
        seen,
      );
  });

  it("but what the error says", async () => {
    expect(await catchInPython(() => readFileSync(tmp))).toEqual([
      "CallbackError",
      "Error: ENOENT: no such file or directory, open '<path>'",
      "Error",
      "ENOENT: no such file or directory, open '<path>'",
    ]);
  });
});

it("nothing of all this is an unhandled rejection", async () => {
  const source = `
    import { Sandbox } from "@bsull/eryx";
    let bad = 0;
    process.on("unhandledRejection", () => bad++).on("uncaughtException", () => bad++);
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const sandbox = new Sandbox({ callbacks: {
      sync() { throw null; },
      reject: () => Promise.reject(),
      async late() { await pause(40); throw new Error("late"); },
      lateValue: () => pause(40).then(() => Symbol("s")),
    } });
    const run = (code, options) => sandbox.execute("import asyncio\\n" + code, options).catch((error) => error.code);
    await Promise.all([
      run("await asyncio.gather(sync(), reject(), late())"),
      run("await late()", { timeoutMs: 10 }),
      run("await late()", { signal: AbortSignal.timeout(10) }),
      run("await asyncio.wait([asyncio.create_task(f()) for f in (late, lateValue)], timeout=0.01)"),
      run("await asyncio.wait_for(lateValue(), 0.01)"),
    ]);
    await pause(80);
    console.log(bad);`;
  expect(await getNodeStdout(source)).toBe("0");
});
