import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import * as mini from "zod/mini";
import * as z3 from "zod/v3";
import { makeValidator, toJsonSchema } from "../../js/schema.js";
import type { Verdict } from "../../js/types.js";
import { tryUntilCheap } from "../helpers.js";

const PATH = "options.callbacks.f.schema";
const DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema";

function validator(schema: unknown) {
  return makeValidator(PATH, schema)!;
}

function refusal(schema: unknown): string {
  try {
    makeValidator(PATH, schema);
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ code: "ERYX_INVALID_ARGUMENT" });
    return (error as Error).message;
  }
  return expect.fail("accepted");
}

/** The issue with `args`; "ok" if there is none. */
function issue(schema: unknown, args: unknown): string {
  return verdict(schema, args).issue ?? "ok";
}

/** What a validator says at once. */
function verdict(schema: unknown, args: unknown): Verdict {
  const outcome = validator(schema).validate(args);
  if (outcome instanceof Promise) expect.fail("not at once");
  return outcome;
}

/** A schema with the property `x`. */
const x = (schema: unknown) => ({ properties: { x: schema } });

function nested(depth: number, wrap: (inner: object) => object): object {
  let schema: object = { type: "string" };
  for (let level = 0; level < depth; level++) schema = wrap(schema);
  return schema;
}

describe("what is a schema", () => {
  it("is undefined without one", () => {
    expect(makeValidator(PATH, undefined)).toBeUndefined();
  });

  it.each([
    ["null", null],
    ['"object"', "object"],
    ["true", true],
    ["1", 1],
    ["an array", [{}]],
    ["a function", () => true],
    ["an object (Map)", new Map()],
    ["an object (Foreign)", new (class Foreign {})()],
  ])("refuses %s", (shown, schema) => {
    expect(refusal(schema)).toBe(
      `${PATH}: expected a JSON Schema or a Standard Schema, got ${shown}`,
    );
  });

  it.each([
    [{ "~standard": null }, ".version: expected 1, got undefined"],
    [{ "~standard": { version: 2 } }, ".version: expected 1, got 2"],
    [
      { "~standard": { version: 1 } },
      ".validate: expected a function, got undefined",
    ],
  ])("refuses the Standard Schema %j", (schema, message) => {
    expect(refusal(schema)).toBe(`${PATH}["~standard"]${message}`);
  });

  it("takes an object without a prototype", () => {
    const schema = Object.assign(Object.create(null), x({ type: "string" }));
    expect(issue(schema, { x: 1 })).toBe("x: must be string");
  });
});

describe("JSON Schema", () => {
  it.each([
    ['"string"', "string"],
    ['"array or null"', ["array", "null"]],
    ["null", null],
  ])("refuses the type %s", (shown, type) => {
    expect(refusal({ type })).toBe(
      `${PATH}.type: expected "object", as arguments are one object, got ${shown}`,
    );
  });

  it.each([undefined, "object", ["object", "null"]])(
    "takes the type %s",
    (type) => {
      expect(issue(type === undefined ? {} : { type }, { a: 1 })).toBe("ok");
    },
  );

  it.each([
    [
      x({ type: "text" }),
      'properties.x.type: must be one of "array", "boolean", "integer", "null", "number", "object", "string" or array',
    ],
    [{ required: "x" }, "required: must be array"],
    [x({ minimum: "1" }), "properties.x.minimum: must be number"],
    [
      x({ $ref: "#/$defs/none" }),
      "can't resolve reference #/$defs/none from id #",
    ],
    [
      x({ $ref: "https://example.com/none" }),
      "can't resolve reference https://example.com/none from id #",
    ],
    [
      x({ pattern: "(" }),
      "Invalid regular expression: /(/u: Unterminated group",
    ],
    [{ $async: true }, "$async: must not be true"],
    [
      nested(10_000, (inner) => ({ properties: { a: inner } })),
      "it is nested too deeply",
    ],
    [
      nested(10_000, (inner) => ({ anyOf: [inner] })),
      "it is nested too deeply",
    ],
  ])("refuses what ajv refuses, case %#", (schema, reason) => {
    expect(refusal(schema)).toBe(
      `${PATH}: not a usable JSON Schema: ${reason}`,
    );
  });

  it("refuses an object that contains itself", () => {
    const schema: { properties: Record<string, unknown> } = { properties: {} };
    schema.properties.self = schema;
    expect(refusal(schema)).toBe(
      `${PATH}: not a usable JSON Schema: it is nested too deeply`,
    );
  });

  it("takes valid arguments as they are", () => {
    const schema = {
      type: "object",
      properties: { a: { type: "integer" }, b: { default: 1 } },
      required: ["a"],
    };
    const args = { a: 1, c: [] };
    expect(validator(schema).validate(args)).toEqual({ value: args });
    expect(verdict(schema, args).value).toBe(args);
    expect(args).toEqual({ a: 1, c: [] });
  });

  it("coerces nothing", () => {
    expect(issue(x({ type: "integer" }), { x: "1" })).toBe(
      "x: must be integer",
    );
  });

  it("validates no formats", () => {
    const schema = x({ type: "string", format: "date-time" });
    expect(issue(schema, { x: "tomorrow" })).toBe("ok");
    expect(issue(x({ format: "unheard-of" }), { x: "" })).toBe("ok");
  });

  it("takes keywords that it does not know", () => {
    expect(issue({ "x-order": 1, ...x({ example: 1 }) }, { x: 1 })).toBe("ok");
  });

  it("follows references into the schema and to the meta-schema", () => {
    const tree = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: { next: { $ref: "#/$defs/node" }, n: { type: "number" } },
        },
      },
    };
    expect(issue(tree, { next: { next: { n: "x" } } })).toBe(
      "next.next.n: must be number",
    );
    expect(issue(x({ $ref: DRAFT_2020 }), { x: { required: 1 } })).toBe(
      "x.required: must be array",
    );
  });

  it("compiles a schema object once", () => {
    let reads = 0;
    const schema = {
      get properties() {
        reads++;
        return { x: { type: "string" } };
      },
    };
    expect(issue(schema, { x: 1 })).toBe("x: must be string");
    const before = reads;
    expect(issue(schema, { x: 1 })).toBe("x: must be string");
    expect(reads).toBe(before);
  });

  it("takes two schemas with one $id", () => {
    const $id = "https://example.com/args";
    expect(issue({ $id, ...x({ type: "string" }) }, { x: 1 })).toBe(
      "x: must be string",
    );
    expect(issue({ $id, ...x({ type: "number" }) }, { x: "" })).toBe(
      "x: must be number",
    );
  });

  it("makes an issue of an endless reference", () => {
    expect(issue({ $ref: "#" }, {})).toBe("Maximum call stack size exceeded");
  });

  it("loads ajv at the first JSON Schema", () => {
    const source = `
      import { createRequire } from "node:module";
      import { makeValidator } from "./js/schema.js";
      const { cache } = createRequire(import.meta.url);
      const loaded = () => Object.keys(cache ?? {}).some((file) => file.includes("ajv"));
      const before = loaded();
      makeValidator("schema", {});
      console.log(before, loaded());
    `;
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    const args = ["--input-type=module", "--eval", source];
    const options = { cwd, env: { ...process.env, NODE_OPTIONS: "" } };
    expect(execFileSync(process.execPath, args, options).toString()).toBe(
      "false true\n",
    );
  });
});

describe("drafts", () => {
  const tuple = (keyword: string, $schema?: string) => ({
    ...($schema === undefined ? {} : { $schema }),
    ...x({ [keyword]: [{ type: "string" }] }),
  });

  it.each([
    ["prefixItems", undefined],
    ["prefixItems", DRAFT_2020],
    ["items", "https://json-schema.org/draft/2019-09/schema"],
    ["items", "http://json-schema.org/draft-07/schema#"],
    ["items", "http://json-schema.org/draft-07/schema"],
    ["items", "https://json-schema.org/draft-07/schema"],
    ["items", "http://json-schema.org/draft-06/schema#"],
  ])("%s is of %s", (keyword, $schema) => {
    expect(issue(tuple(keyword, $schema), { x: [1] })).toBe(
      "x[0]: must be string",
    );
  });

  it("refuses an older keyword in a newer draft", () => {
    expect(refusal(tuple("items", DRAFT_2020))).toBe(
      `${PATH}: not a usable JSON Schema: properties.x.items: must be object or boolean`,
    );
  });

  it.each([
    [
      '"http://json-schema.org/draft-04/schema#"',
      "http://json-schema.org/draft-04/schema#",
    ],
    ['"https://example.com/schema"', "https://example.com/schema"],
    ['"__proto__"', "__proto__"],
    ["7", 7],
    ["Symbol(s)", Symbol("s")],
  ])("refuses %s", (shown, $schema) => {
    expect(refusal({ $schema })).toBe(
      `${PATH}.$schema: expected the id of JSON Schema draft 2020-12, 2019-09, 07 or 06, got ${shown}`,
    );
  });
});

describe("issues of JSON Schema", () => {
  const user = x({
    type: "object",
    properties: { age: { type: "integer" } },
    required: ["age"],
    additionalProperties: false,
  });
  const strict = { properties: { a: {} }, additionalProperties: false };
  const shape = (kind: string, size: string) => ({
    type: "object",
    properties: { kind: { const: kind }, [size]: { type: "number" } },
    required: ["kind", size],
  });
  const shapes = x({
    anyOf: [shape("circle", "radius"), shape("square", "side")],
  });

  it.each<[object, object, string]>([
    [x({ maximum: 10 }), { x: 11 }, "x: must be <= 10"],
    [
      x({ minLength: 2 }),
      { x: "" },
      "x: must NOT have fewer than 2 characters",
    ],
    [x({ type: ["string", "null"] }), { x: 1 }, "x: must be string or null"],
    [x({ type: "string", nullable: true }), { x: null }, "ok"],
    [user, { x: { age: "7" } }, "x.age: must be integer"],
    [user, { x: {} }, 'x: missing property "age"'],
    [user, { x: { age: 1, b: 2 } }, 'x: unexpected property "b"'],
    [{ required: ["x"] }, {}, 'missing argument "x"'],
    [{ required: ["constructor"] }, {}, 'missing argument "constructor"'],
    [strict, { a: 1, b: 2 }, 'unexpected argument "b"'],
    [
      strict,
      { ["k".repeat(100)]: 1 },
      `unexpected argument "${"k".repeat(40)}..."`,
    ],
    [{ unevaluatedProperties: false }, { b: 2 }, 'unexpected argument "b"'],
    [
      { propertyNames: { maxLength: 1 } },
      { ab: 2 },
      'unexpected argument "ab"',
    ],
    [x(false), { x: 1 }, "x: must not be given"],
    [{ minProperties: 1 }, {}, "must NOT have fewer than 1 properties"],
    [
      { dependentRequired: { a: ["b"] } },
      { a: 1 },
      "must have property b when property a is present",
    ],
    [x({ enum: ["a", 1, null] }), { x: "b" }, 'x: must be one of "a", 1, null'],
    [
      x({ enum: Array.from({ length: 30 }, (_, index) => index) }),
      { x: -1 },
      "x: must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...",
    ],
    [x({ const: "a" }), { x: "b" }, 'x: must be "a"'],
    [x({ const: { a: [1] } }), { x: "b" }, 'x: must be {"a":[1]}'],
    [x({ items: { type: "string" } }), { x: ["a", 2] }, "x[1]: must be string"],
    [
      x({ items: { items: { ...user } } }),
      { x: [[{ x: { age: [] } }]] },
      "x[0][0].x.age: must be integer",
    ],
    [
      { properties: { "a/b~c.d": { properties: { 0: { type: "null" } } } } },
      { "a/b~c.d": { 0: 1 } },
      "a/b~c.d.0: must be null",
    ],
    [
      { additionalProperties: { type: "null" } },
      { ["k".repeat(300)]: 1 },
      `${"k".repeat(200)}...: must be null`,
    ],
    [
      x({ anyOf: [{ type: "string" }, { type: "null" }] }),
      { x: 1 },
      "x: must be string or null",
    ],
    [
      x({ anyOf: [{ enum: ["a", "b"] }, { type: "null" }] }),
      { x: 1 },
      'x: must be one of "a", "b" or null',
    ],
    [
      { anyOf: [{ required: ["a"] }, { required: ["b"] }] },
      {},
      'missing argument "a" or missing argument "b"',
    ],
    [shapes, { x: { kind: "circle", radius: "" } }, "x.radius: must be number"],
    [shapes, { x: { kind: "square", side: "" } }, "x.side: must be number"],
    [
      shapes,
      { x: { kind: "star", radius: 1, side: 1 } },
      'x.kind: must be "circle" or "square"',
    ],
    [shapes, { x: 1 }, "x: must be object"],
    [
      x({ oneOf: [{ minimum: 1 }, { minimum: 2 }] }),
      { x: 3 },
      "x: must match exactly one schema in oneOf",
    ],
    [
      JSON.parse(
        '{"if": {"required": ["a"]}, "then": {"properties": {"x": {"type": "string"}}}}',
      ),
      { a: 1, x: 1 },
      "x: must be string",
    ],
    [x({ not: {} }), { x: 1 }, "x: must NOT be valid"],
  ])("case %#", (schema, args, expected) => {
    expect(issue(schema, args)).toBe(expected);
  });
});

describe("values that JSON does not have", () => {
  it("takes a bigint for a number, and hands it on", () => {
    const schema = x({ type: "array", items: { type: "integer", minimum: 0 } });
    const args = { x: [1, 2n ** 64n], bytes: new Uint8Array(2) };
    expect(verdict(schema, args).value).toBe(args);
    expect(issue(schema, { x: [-(2n ** 64n)] })).toBe("x[0]: must be >= 0");
    expect(issue(x({ type: "number" }), { x: 10n ** 400n })).toBe("ok");
    expect(issue(x({ maximum: 10 }), { x: 10n ** 400n })).toBe(
      "x: must be <= 10",
    );
    expect(issue(x({ minimum: 10 }), { x: -(10n ** 400n) })).toBe(
      "x: must be >= 10",
    );
    expect(issue(x({ type: "string" }), { x: 2n ** 64n })).toBe(
      "x: must be string",
    );
  });

  it("takes bytes where the schema names no type", () => {
    const bytes = new Uint8Array(2);
    expect(issue(x({}), { x: bytes })).toBe("ok");
    expect(issue(x({ uniqueItems: true }), { x: [bytes, bytes] })).toBe("ok");
    for (const type of ["string", "object", "array"])
      expect(issue(x({ type }), { x: bytes })).toBe(`x: must be ${type}`);
    const deep = x({ items: x({ type: "object" }) });
    expect(issue(deep, { x: [{ x: bytes }] })).toBe("x[0].x: must be object");
  });

  it("does not walk through large bytes", async () => {
    const schema = x({ additionalProperties: { type: "number" } });
    const bytes = new Uint8Array(2 ** 25);
    expect(await tryUntilCheap(500, () => issue(schema, { x: bytes }))).toBe(
      "ok",
    );
  });

  it.each([NaN, Infinity, -Infinity])("takes %s for no number", (value) => {
    expect(issue(x({ type: "number" }), { x: value })).toBe(
      "x: must be number",
    );
    expect(issue(x({ type: "integer" }), { x: value })).toBe(
      "x: must be integer",
    );
    expect(issue(x({}), { x: value })).toBe("ok");
  });

  it("keeps a key __proto__ apart from the prototype", () => {
    const args = JSON.parse('{"__proto__": {"a": 1}}');
    args.big = 2n ** 64n;
    const schema = { required: ["a"] };
    expect(issue(schema, args)).toBe('missing argument "a"');
    expect(issue({ propertyNames: { pattern: "^[a-z]+$" } }, args)).toBe(
      'unexpected argument "__proto__"',
    );
  });
});

describe("Standard Schema", () => {
  const withZod = z.object({
    user: z.object({ age: z.number() }),
    tags: z.array(z.string()).default(["a"]),
  });
  const withValibot = v.object({
    user: v.object({ age: v.number() }),
    tags: v.optional(v.array(v.string()), ["a"]),
  });
  const withArktype = type({
    user: { age: "number" },
    tags: type("string[]").default(() => ["a"]),
  });

  it.each([
    ["zod", withZod],
    ["valibot", withValibot],
    ["arktype", withArktype],
  ])("%s fills in defaults", (_, schema) => {
    expect(validator(schema).validate({ user: { age: 1 } })).toEqual({
      value: { user: { age: 1 }, tags: ["a"] },
    });
  });

  it.each([
    [
      "zod",
      withZod,
      "user.age: Invalid input: expected number, received string",
      "tags[1]: Invalid input: expected string, received number",
    ],
    [
      "valibot",
      withValibot,
      'user.age: Invalid type: Expected number but received "1"',
      "tags[1]: Invalid type: Expected string but received 2",
    ],
    [
      "arktype",
      withArktype,
      "user.age: must be a number (was a string)",
      "tags[1]: must be a string (was a number)",
    ],
  ])("%s has its issues named", (_, schema, age, tags) => {
    expect(issue(schema, { user: { age: "1" } })).toBe(age);
    expect(issue(schema, { user: { age: 1 }, tags: ["a", 2] })).toBe(tags);
  });

  it("transforms, and takes bigints and bytes", () => {
    const schema = z
      .object({ n: z.bigint(), b: z.instanceof(Uint8Array) })
      .transform(({ n, b }) => n + BigInt(b.length));
    const args = { n: 2n, b: new Uint8Array(3) };
    expect(validator(schema).validate(args)).toEqual({ value: 5n });
  });

  it("may be asynchronous", async () => {
    const isEven = async (n: number) => n % 2 === 0;
    const schema = z.object({ n: z.number().refine(isEven, "odd") });
    const { validate } = validator(schema);
    const good = validate({ n: 2 });
    expect(good).toBeInstanceOf(Promise);
    expect(await good).toEqual({ value: { n: 2 } });
    expect(await validate({ n: 1 })).toEqual({ issue: "n: odd" });
  });

  const custom = (validate: () => unknown) => ({
    "~standard": { version: 1, vendor: "test", validate },
  });
  const failing = (...issues: unknown[]) => custom(() => ({ issues }));
  const thrower = (error: unknown) => () => {
    throw error;
  };

  it.each<[object, string]>([
    [failing({ message: "no" }), "no"],
    [failing({ message: "no", path: [] }), "no"],
    [failing({ message: "no" }, { message: "never" }), "no"],
    [failing({ message: "no", path: ["a", 0, "b"] }), "a[0].b: no"],
    [failing({ message: "no", path: [{ key: "a" }, { key: 1 }] }), "a[1]: no"],
    [failing({ message: "no", path: [Symbol("s")] }), "Symbol(s): no"],
    [failing(), "invalid arguments"],
    [failing(null), "invalid arguments"],
    [failing({ message: 7, path: ["a"] }), "a: 7"],
    [custom(thrower(new Error("broken"))), "broken"],
    [custom(thrower("text")), '"text"'],
    [custom(thrower(null)), "null"],
    [custom(() => undefined), "the validator returned undefined"],
    [custom(() => 1), "the validator returned 1"],
  ])("makes an issue of what goes wrong, case %#", (schema, expected) => {
    expect(issue(schema, {})).toBe(expected);
  });

  it.each<[() => Promise<unknown>, string]>([
    [async () => ({ issues: [{ message: "no", path: ["a"] }] }), "a: no"],
    [() => Promise.reject(new Error("broken")), "broken"],
    [() => Promise.reject(undefined), "undefined"],
    [async () => null, "the validator returned null"],
  ])("and of what goes wrong later, case %#", async (validate, expected) => {
    expect(await validator(custom(validate)).validate({})).toEqual({
      issue: expected,
    });
  });

  it("is called as a method", () => {
    const schema = {
      "~standard": {
        version: 1,
        value: 7,
        validate() {
          return { value: this.value };
        },
      },
    };
    expect(validator(schema).validate({})).toEqual({ value: 7 });
  });
});

describe("toJsonSchema", () => {
  it.each([
    ["undefined", undefined],
    ["a string", "x"],
    ["a Standard Schema that tells nothing", { "~standard": { version: 1 } }],
    [
      "one that throws",
      {
        "~standard": { version: 1 },
        get shape() {
          throw new Error("no");
        },
      },
    ],
  ])("is undefined for %s", (_, schema) => {
    expect(toJsonSchema(schema)).toBeUndefined();
  });

  it("is the schema itself if that is one", () => {
    const schema = { type: "object" };
    expect(toJsonSchema(schema)).toBe(schema);
  });

  it("asks zod, with types that JSON does not have", () => {
    const schema = z.object({
      a: z.string(),
      when: z.date(),
      n: z.number().default(1),
    });
    expect(toJsonSchema(schema)).toEqual({
      $schema: DRAFT_2020,
      type: "object",
      properties: {
        a: { type: "string" },
        when: {},
        n: { type: "number", default: 1 },
      },
      required: ["a", "when"],
    });
    expect(toJsonSchema(schema)).toBe(toJsonSchema(schema));
  });

  it("asks arktype", () => {
    const schema = type({ a: "string", "b?": "number" });
    const expected = {
      $schema: DRAFT_2020,
      type: "object",
      properties: { a: { type: "string" }, b: { type: "number" } },
      required: ["a"],
    };
    expect(toJsonSchema(schema)).toEqual(expected);
    const older = {
      "~standard": { version: 1 },
      toJsonSchema: () => schema.toJsonSchema(),
    };
    expect(toJsonSchema(older)).toEqual(expected);
  });

  const names = {
    type: "object",
    properties: { a: {}, b: {}, c: {} },
    required: ["a"],
  };

  it.each([
    [
      "zod 3",
      z3.object({
        a: z3.string(),
        b: z3.string().optional(),
        c: z3.number().default(1),
      }),
    ],
    [
      "zod/mini",
      mini.object({
        a: mini.string(),
        b: mini.optional(mini.string()),
        c: mini._default(mini.number(), 1),
      }),
    ],
    [
      "valibot",
      v.object({
        a: v.nullable(v.string()),
        b: v.optional(v.string()),
        c: v.nullish(v.number(), 1),
      }),
    ],
    [
      "a valibot pipe",
      v.pipe(
        v.object({
          a: v.undefinedable(v.string()),
          b: v.exactOptional(v.string()),
          c: v.optional(v.number()),
        }),
        v.check(() => true),
      ),
    ],
  ])("reads the names of %s", (_, schema) => {
    expect(toJsonSchema(schema)).toEqual(names);
  });
});
