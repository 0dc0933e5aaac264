import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { Value } from "../../index.js";
import {
  catchArgumentError,
  catchRejection,
  getStdout,
  run,
} from "../helpers.js";

/** `value` as Python got it and gave it back. */
async function echo(value: unknown): Promise<Value | undefined> {
  const inputs = { value: value as Value };
  const { result, resultError } = await run("result = value", { inputs });
  expect(resultError).toBeUndefined();
  return result;
}

/** `repr` and type of `value` in Python. */
function seen(value: unknown): Promise<string> {
  const inputs = { value: value as Value };
  return getStdout("print(type(value).__name__, repr(value))", { inputs });
}

/** The value of a Python expression. */
async function given(expression: string): Promise<Value | undefined> {
  return (await run(`result = ${expression}`)).result;
}

function nested(depth: number): Value {
  let value: Value = 0;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

const bytes = (...values: number[]) => new Uint8Array(values);

describe("a value that goes to Python and back is the same", () => {
  it.each<[string, Value]>([
    ["null", null],
    ["true", true],
    ["false", false],
    ["zero", 0],
    ["minus zero", -0],
    ["2**53 - 1", 2 ** 53 - 1],
    ["-(2**53 - 1)", -(2 ** 53 - 1)],
    ["2**53", 2 ** 53],
    ["-(2**53)", -(2 ** 53)],
    ["2**53 as bigint", 2n ** 53n],
    ["-(2**53) as bigint", -(2n ** 53n)],
    ["2**63 - 1", 2n ** 63n - 1n],
    ["2**63", 2n ** 63n],
    ["-(2**63)", -(2n ** 63n)],
    ["-(2**63) - 1", -(2n ** 63n) - 1n],
    ["2**64 - 1", 2n ** 64n - 1n],
    ["2**64", 2n ** 64n],
    ["-(2**64)", -(2n ** 64n)],
    ["2**70", 2n ** 70n],
    ["-(2**70)", -(2n ** 70n)],
    ["2**127", 2n ** 127n],
    ["-(2**127)", -(2n ** 127n)],
    ["2**100000", 2n ** 100_000n],
    ["a fraction", 0.1],
    ["the largest float", Number.MAX_VALUE],
    ["the smallest float", Number.MIN_VALUE],
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["the empty string", ""],
    ["ASCII", "hello"],
    ["Latin", "größe"],
    ["Chinese", "漢字"],
    ["astral", "𝄞😀"],
    ["NUL and control characters", "\0\u0001\r\n\u2028\ufeff\u007f"],
    ["a long string", "é".repeat(1_000_000)],
    ["no bytes", bytes()],
    ["every byte", Uint8Array.from({ length: 256 }, (_, index) => index)],
    ["the empty list", []],
    ["the empty object", {}],
    ["nested empty containers", [[], {}, [[]], { a: {} }]],
    ["a list", [1, "a", null, [true, 1.5]]],
    ["an object", { a: 1, b: [{ c: bytes(1) }], "": 0, "a b": 2, é: 3 }],
    ["a key like a number", { 1: "a", x: "b" }],
    [
      "names of Object's own",
      { constructor: 1, toString: 2, hasOwnProperty: 3 },
    ],
    ["many elements", Array.from({ length: 100_000 }, (_, index) => index)],
    ["256 levels", nested(256)],
  ])("%s", async (_, value) => {
    expect(await echo(value)).toStrictEqual(value);
  });

  it("a key __proto__", async () => {
    const value = JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}');
    const back = (await echo(value)) as object;
    expect(JSON.stringify(back)).toBe('{"__proto__":{"polluted":1},"a":2}');
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  it("a bigint that fits a number comes back as number", async () => {
    expect(await echo(5n)).toBe(5);
    expect(await echo(-(2n ** 53n - 1n))).toBe(-(2 ** 53 - 1));
  });

  it("undefined comes back as null", async () => {
    expect(await echo([undefined, { a: undefined }])).toEqual([
      null,
      { a: null },
    ]);
  });

  it("holes come back as null", async () => {
    // oxlint-disable-next-line no-sparse-arrays
    expect(await echo([, 1])).toEqual([null, 1]);
  });

  it("a Buffer comes back as Uint8Array", async () => {
    const back = await echo(Buffer.from("a"));
    expect(Object.prototype.toString.call(back)).toBe("[object Uint8Array]");
    expect(Buffer.isBuffer(back)).toBe(false);
    expect(back).toEqual(bytes(97));
  });

  it("a view in a larger buffer is cut to the view", async () => {
    expect(await echo(bytes(1, 2, 3, 4).subarray(1, 3))).toEqual(bytes(2, 3));
  });

  it("an object without prototype", async () => {
    const value = Object.assign(Object.create(null), { a: 1 });
    expect(await echo(value)).toEqual({ a: 1 });
  });

  it("a Proxy of a plain object or an array", async () => {
    expect(await echo(new Proxy({ a: new Proxy([1], {}) }, {}))).toEqual({
      a: [1],
    });
  });

  it("objects, arrays and bytes of another realm", async () => {
    const value = runInNewContext("({ a: [1], b: new Uint8Array([2]) })");
    expect(await echo(value)).toEqual({ a: [1], b: bytes(2) });
  });

  it("without symbols and fields that are not enumerable", async () => {
    const value = Object.defineProperty({ a: 1, [Symbol("s")]: 2 }, "hidden", {
      value: 3,
    });
    expect(await echo(value)).toEqual({ a: 1 });
  });

  it("20 MB of bytes", async () => {
    const value = new Uint8Array(20_000_000).fill(7);
    const sum = await getStdout("print(len(value), value.count(7))", {
      inputs: { value },
    });
    expect(sum).toBe("20000000 20000000");
  });

  it("as it was when execute was called", async () => {
    const value = { list: [1], data: bytes(1) };
    const promise = run("result = value", { inputs: { value } });
    value.list.push(2);
    value.data[0] = 9;
    expect((await promise).result).toEqual({ list: [1], data: bytes(1) });
  });
});

describe("Python sees", () => {
  it.each<[unknown, string]>([
    [undefined, "NoneType None"],
    [null, "NoneType None"],
    [true, "bool True"],
    [1, "int 1"],
    [-0, "float -0.0"],
    [2 ** 53 - 1, "int 9007199254740991"],
    [2 ** 53, "float 9007199254740992.0"],
    [1n, "int 1"],
    [2n ** 70n, "int 1180591620717411303424"],
    [1e300, "float 1e+300"],
    [NaN, "float nan"],
    [-Infinity, "float -inf"],
    ["é", "str 'é'"],
    [bytes(0, 255), String.raw`bytes b'\x00\xff'`],
    [[], "list []"],
    [{ b: 1, a: 2 }, "dict {'b': 1, 'a': 2}"],
  ])("%s as %s", async (value, repr) => {
    expect(await seen(value)).toBe(repr);
  });
});

describe("JavaScript sees", () => {
  it.each<[string, Value]>([
    ["None", null],
    ["True", true],
    ["1.0", 1],
    ["-0.0", -0],
    ["2.0 ** 60", 2 ** 60],
    ["2 ** 53 - 1", 2 ** 53 - 1],
    ["2 ** 53", 2n ** 53n],
    ["-(2 ** 53)", -(2n ** 53n)],
    ["-(2 ** 63) - 1", -(2n ** 63n) - 1n],
    ['float("nan")', NaN],
    ['float("-inf")', -Infinity],
    ["(1, (2,))", [1, [2]]],
    ["{1}", [1]],
    ["bytearray(b'ab')", bytes(97, 98)],
    ["{'a': {}}", { a: {} }],
    ["__import__('collections').OrderedDict(b=1, a=2)", { b: 1, a: 2 }],
    ["__import__('collections').namedtuple('P', 'x y')(1, 2)", [1, 2]],
  ])("%s", async (expression, value) => {
    expect(await given(expression)).toStrictEqual(value);
  });

  it("256 levels, and 257 as an error", async () => {
    const build = (depth: number) =>
      run(`result = 0\nfor _ in range(${depth}): result = [result]`);
    expect((await build(256)).result).toEqual(nested(256));
    expect((await build(257)).resultError).toBe(
      "result: cyclic value, or one nested deeper than 256 levels, is not transferable",
    );
  });

  it("a value that is shared as copies", async () => {
    const { result } = await run("x = [1]\nresult = [x, x]");
    const [first, second] = result as Value[];
    expect(first).toEqual(second);
    expect(first).not.toBe(second);
  });
});

describe("inputs", () => {
  it("are variables", async () => {
    const inputs = { a: 1, größe: "x", _b: [2], __name__: "m" };
    const code = "result = [a, größe, _b, __name__]";
    expect((await run(code, { inputs })).result).toEqual([1, "x", [2], "m"]);
  });

  it("are seen in functions and by import __main__", async () => {
    const code =
      "import __main__\ndef f(): return a\nresult = [f(), __main__.a]";
    expect((await run(code, { inputs: { a: 1 } })).result).toEqual([1, 1]);
  });

  it("may be none", async () => {
    expect((await run("1", { inputs: {} })).value).toBe(1);
  });

  it.each<[string, unknown, string]>([
    ["Date", new Date(0), "Date"],
    ["Map", new Map(), "Map"],
    ["Set", new Set(), "Set"],
    ["RegExp", /a/, "RegExp"],
    ["Error", new Error("a"), "Error"],
    ["Promise", Promise.resolve(), "Promise"],
    ["class instance", new (class Point {})(), "Point"],
    ["boxed number", Object(1), "Number"],
    ["Float64Array", new Float64Array(1), "Float64Array"],
    ["ArrayBuffer", new ArrayBuffer(1), "ArrayBuffer"],
    ["DataView", new DataView(new ArrayBuffer(1)), "DataView"],
    ["function", () => 1, "function"],
    ["class", class {}, "function"],
    ["symbol", Symbol("s"), "symbol"],
    ["lone surrogate", "a\ud800", "string with a lone surrogate"],
    [
      "lone surrogate in a key",
      { "\udc00": 1 },
      "object with a lone surrogate in a key",
    ],
  ])("refuse a %s and name its path", async (_, value, name) => {
    const inputs = { rows: [1, { when: value as Value }] };
    expect(await catchArgumentError(() => run("", { inputs }))).toBe(
      `inputs.rows[1].when: ${name} is not transferable`,
    );
  });

  it("refuse a Map in place of the object", async () => {
    const inputs = new Map() as unknown as Record<string, Value>;
    expect(await catchArgumentError(() => run("", { inputs }))).toBe(
      "inputs: Map is not transferable",
    );
  });

  it("refuse a cyclic value", async () => {
    const value: Record<string, Value> = {};
    value.a = [value];
    const message = await catchArgumentError(() =>
      run("", { inputs: { value } }),
    );
    expect(message).toMatch(
      /^inputs\.value\.a\[0\]\.a.* cyclic value, or one nested deeper than 256 levels, is not transferable$/,
    );
    expect(message.length).toBeLessThan(300);
  });

  it("refuse 257 levels", async () => {
    const inputs = { value: nested(257) };
    expect(await catchArgumentError(() => run("", { inputs }))).toMatch(
      /^inputs\.value\[0\]\[0\].* cyclic value, or one nested deeper than 256 levels, is not transferable$/,
    );
  });

  it("refuse more than 64 MiB", async () => {
    const inputs = { value: new Uint8Array(68_000_000) };
    expect(await catchArgumentError(() => run("", { inputs }))).toBe(
      "inputs: value of more than 67108864 bytes is not transferable",
    );
  });

  it("refuse more than 1,048,576 values", async () => {
    const inputs = { value: new Array(4_200_000).fill(true) };
    expect(await catchArgumentError(() => run("", { inputs }))).toBe(
      "inputs: value of more than 1048576 values is not transferable",
    );
  });

  it("refuse an array of four billion holes at once", async () => {
    const inputs = { value: new Array(2 ** 32 - 1) };
    expect(await catchArgumentError(() => run("", { inputs }))).toBe(
      "inputs: value of more than 1048576 values is not transferable",
    );
  });

  it("refuse a value that shares its way to 2**40 values", async () => {
    let value: Value = [];
    for (let level = 0; level < 40; level++) value = [value, value];
    expect(await catchArgumentError(() => run("", { inputs: { value } }))).toBe(
      "inputs: value of more than 1048576 values is not transferable",
    );
  });

  it.each([
    ["a b", String.raw`"a b"`],
    ["1a", String.raw`"1a"`],
    ["", String.raw`""`],
    ["a.b", String.raw`"a.b"`],
    ["a\0", String.raw`"a\0"`],
    ["a\n", String.raw`"a\n"`],
  ])("refuse the name %j", async (name, shown) => {
    expect(
      await catchArgumentError(() => run("", { inputs: { [name]: 1 } })),
    ).toBe(`inputs: ${shown} is not a Python identifier`);
  });

  it("refuse a name with a lone surrogate", async () => {
    expect(
      await catchArgumentError(() => run("", { inputs: { "\ud800": 1 } })),
    ).toBe("inputs: object with a lone surrogate in a key is not transferable");
  });

  it("pass on what a getter throws", async () => {
    const thrown = new RangeError("boom");
    const inputs = {
      get a(): Value {
        throw thrown;
      },
    };
    expect(await catchRejection(run("", { inputs }))).toBe(thrown);
  });

  it("pass on what a Proxy throws", async () => {
    const thrown = new RangeError("trap");
    const handler = {
      ownKeys() {
        throw thrown;
      },
    };
    const inputs = { a: new Proxy({}, handler) };
    expect(await catchRejection(run("", { inputs }))).toBe(thrown);
  });

  it("survive a getter that changes what is being read", async () => {
    const list: Value[] = [1, 2, 3];
    Object.defineProperty(list, 0, {
      get: () => {
        list.length = 1;
        return 0;
      },
    });
    expect(await echo(list)).toEqual([0, null, null]);
  });

  it("larger than the memory limit are a ResourceLimitError", async () => {
    const inputs = { value: new Uint8Array(60_000_000) };
    const error = await catchRejection(run("x = value + value", { inputs }));
    expect(["ERYX_RESOURCE_LIMIT", "ERYX_EXECUTION"]).toContain(error.code);
    expect((await run("1")).value).toBe(1);
  });
});
