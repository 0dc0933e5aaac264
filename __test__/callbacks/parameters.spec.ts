import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { makeSignature } from "../../js/parameters.js";
import { tryUntilCheap } from "../helpers.js";

const PATH = "options.callbacks.f";

interface Parameter {
  name: string;
  required: boolean;
  annotation: string;
  default?: unknown;
  keywordOnly?: boolean;
}

function signature(schema?: unknown, parameters?: unknown) {
  return makeSignature(PATH, { schema, parameters }) as {
    parameters: Parameter[];
    open: boolean;
  };
}

/** The parameters in short: `a` is required, `b?` is not, `*c` is keyword-only; dots stand for other keywords. */
function short(schema?: unknown, parameters?: unknown): string {
  const { parameters: all, open } = signature(schema, parameters);
  const texts = all.map(
    ({ name, required, keywordOnly }) =>
      `${keywordOnly ? "*" : ""}${name}${required ? "" : "?"}`,
  );
  return [...texts, ...(open ? ["..."] : [])].join(" ");
}

/** The annotation of the property `x`. */
function annotation(schema: unknown, root: object = {}): string {
  const json = { ...root, properties: { x: schema } };
  return signature(json).parameters[0].annotation;
}

function refusal(options: { schema?: unknown; parameters?: unknown }): string {
  try {
    makeSignature(PATH, options);
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ code: "ERYX_INVALID_ARGUMENT" });
    return (error as Error).message;
  }
  return expect.fail("accepted");
}

function nested(depth: number, wrap: (inner: object) => object): object {
  let schema: object = { type: "string" };
  for (let level = 0; level < depth; level++) schema = wrap(schema);
  return schema;
}

describe("the option parameters", () => {
  it.each([
    ["a string", "a", '"a"'],
    ["null", null, "null"],
    ["an object", { a: 1 }, "an object (Object)"],
  ])("refuses %s", (_, parameters, shown) => {
    expect(refusal({ parameters })).toBe(
      `${PATH}.parameters: expected an array of distinct names, got ${shown}`,
    );
  });

  it.each([
    [["a", 1], "[1]: expected a string, got 1"],
    // oxlint-disable-next-line no-sparse-arrays
    [[, "a"], "[0]: expected a string, got undefined"],
    [["a", ""], '[1]: expected a name, got ""'],
    [["a", "b", "a"], '[2]: expected distinct names, got "a" twice'],
    [
      ["\ud800"],
      "[0]: expected well-formed text, got a string with a lone surrogate",
    ],
  ])("refuses %j", (parameters, message) => {
    expect(refusal({ parameters })).toBe(`${PATH}.parameters${message}`);
  });

  it("requires each without a schema", () => {
    expect(signature(undefined, ["b", "a"])).toEqual({
      parameters: [
        { name: "b", required: true, annotation: "Any" },
        { name: "a", required: true, annotation: "Any" },
      ],
      open: false,
    });
  });

  it("is read once", () => {
    const parameters = ["a"];
    const found = signature(undefined, parameters);
    parameters.push("b");
    expect(found.parameters).toHaveLength(1);
  });
});

describe("order", () => {
  const schema = {
    properties: { a: { type: "string" }, b: {}, c: {}, d: { default: null } },
    required: ["c", "a"],
  };

  it("is that of the schema", () => {
    expect(short(schema)).toBe("a b? c d?");
  });

  it("is that of the option; other properties are keyword-only", () => {
    expect(short(schema, ["c", "a", "b", "d"])).toBe("c a b? d?");
    expect(short(schema, ["d", "c"])).toBe("d? c *a *b?");
    expect(short(schema, [])).toBe("*a *b? *c *d?");
  });

  it("keeps what the schema says of each", () => {
    expect(signature(schema, ["d", "z"]).parameters).toEqual([
      { name: "d", required: false, annotation: "Any", default: null },
      { name: "z", required: true, annotation: "Any" },
      { name: "a", required: true, annotation: "str", keywordOnly: true },
      { name: "b", required: false, annotation: "Any", keywordOnly: true },
      { name: "c", required: true, annotation: "Any", keywordOnly: true },
    ]);
  });

  it("ends with names that are only required", () => {
    expect(short({ properties: { a: {} }, required: ["z", "a"] })).toBe("a z");
  });

  it("takes any name", () => {
    const properties = JSON.parse('{"__proto__": {}, "a b": {}, "": {}}');
    expect(short({ properties, required: ["toString"] })).toBe(
      "__proto__? a b? ? toString",
    );
    expect(short({ properties: {} }, ["constructor"])).toBe("constructor");
  });

  it("refuses a lone surrogate", () => {
    const message = `${PATH}.schema.properties: expected well-formed text, got a string with a lone surrogate`;
    expect(refusal({ schema: { properties: { "\ud800": {} } } })).toBe(message);
    expect(refusal({ schema: { required: ["\ud800"] } })).toBe(message);
  });
});

describe("defaults", () => {
  it.each([1, "x", false, null, [1], { a: 1 }])("carries %j", (value) => {
    const schema = { properties: { x: { default: value } }, required: ["x"] };
    expect(signature(schema).parameters).toEqual([
      { name: "x", required: false, annotation: "Any", default: value },
    ]);
  });

  it("leaves those of a Standard Schema to it", () => {
    const schema = z.object({ x: z.number().default(() => Math.random()) });
    expect(signature(schema).parameters).toEqual([
      { name: "x", required: false, annotation: "float" },
    ]);
  });
});

describe("other keywords", () => {
  const properties = { a: {} };

  it.each<[object | undefined, string]>([
    [undefined, "..."],
    [{}, "..."],
    [{ type: "object" }, "..."],
    [{ additionalProperties: false }, ""],
    [{ properties: {} }, ""],
    [{ properties }, "a?"],
    [{ properties, additionalProperties: false }, "a?"],
    [{ properties, additionalProperties: true }, "a? ..."],
    [{ properties, additionalProperties: {} }, "a? ..."],
    [{ properties, additionalProperties: { type: "string" } }, "a? ..."],
    [{ properties, unevaluatedProperties: true }, "a? ..."],
    [{ properties, unevaluatedProperties: false }, "a?"],
    [{ properties, patternProperties: { "^x": {} } }, "a? ..."],
    [{ properties, oneOf: [{ properties: { b: {} } }] }, "a? ..."],
    [{ required: ["b"] }, "b ..."],
  ])("case %#", (schema, expected) => {
    expect(short(schema)).toBe(expected);
  });

  it.each<[object | undefined, string[], string]>([
    [undefined, [], ""],
    [{}, ["a"], "a"],
    [{ additionalProperties: true }, ["a"], "a ..."],
  ])("with parameters, case %#", (schema, parameters, expected) => {
    expect(short(schema, parameters)).toBe(expected);
  });
});

describe("schemas in parts", () => {
  it("follows allOf and references", () => {
    const schema = {
      $ref: "#/$defs/base",
      allOf: [
        { properties: { b: { type: "string" } }, required: ["b"] },
        { allOf: [{ properties: { c: {} }, required: ["a"] }] },
      ],
      $defs: { base: { properties: { a: { type: "integer" } } } },
    };
    expect(short(schema)).toBe("a b c?");
    expect(signature(schema).parameters[0].annotation).toBe("int");
  });

  it("ends in cycles", () => {
    const schema = {
      allOf: [{ $ref: "#" }, { $ref: "#/allOf/1" }, { $ref: "#/$defs/a" }],
      $defs: { a: { properties: { a: {} }, allOf: [{ $ref: "#/$defs/a" }] } },
    };
    expect(short(schema)).toBe("a?");
  });
});

describe("Standard Schemas", () => {
  it("zod", () => {
    const schema = z.object({
      query: z.string(),
      limit: z.int().default(10),
      kind: z.enum(["a", "b"]).optional(),
      since: z.date().nullable(),
      pair: z.tuple([z.string(), z.number()]),
    });
    expect(signature(schema)).toEqual({
      parameters: [
        { name: "query", required: true, annotation: "str" },
        { name: "limit", required: false, annotation: "int" },
        { name: "kind", required: false, annotation: 'Literal["a", "b"]' },
        { name: "since", required: true, annotation: "Any" },
        { name: "pair", required: true, annotation: "tuple[str, float]" },
      ],
      open: false,
    });
    expect(short(z.looseObject({ a: z.string() }))).toBe("a ...");
    expect(short(z.strictObject({}))).toBe("");
    expect(
      short(z.object({ a: z.string() }).and(z.object({ b: z.string() }))),
    ).toBe("a b");
  });

  it("valibot, which tells names only", () => {
    const schema = v.object({ a: v.string(), b: v.optional(v.number(), 1) });
    expect(signature(schema)).toEqual({
      parameters: [
        { name: "a", required: true, annotation: "Any" },
        { name: "b", required: false, annotation: "Any" },
      ],
      open: false,
    });
  });

  it("arktype, which tells required ones first", () => {
    const schema = type({ "b?": "number[]", a: "string" });
    expect(signature(schema).parameters).toEqual([
      { name: "a", required: true, annotation: "str" },
      { name: "b", required: false, annotation: "list[float]" },
    ]);
    expect(short(schema, ["b", "a"])).toBe("b? a");
  });

  it("one that tells nothing", () => {
    const schema = { "~standard": { version: 1, validate: () => ({}) } };
    expect(short(schema)).toBe("...");
    expect(short(schema, ["a"])).toBe("a");
  });
});

describe("annotations", () => {
  it.each<[unknown, string]>([
    [{}, "Any"],
    [true, "Any"],
    [false, "Any"],
    [null, "Any"],
    [7, "Any"],
    [{ type: "string" }, "str"],
    [{ type: "integer" }, "int"],
    [{ type: "number" }, "float"],
    [{ type: "boolean" }, "bool"],
    [{ type: "null" }, "None"],
    [{ type: "file" }, "Any"],
    [{ type: "toString" }, "Any"],
    [{ type: ["string", "null"] }, "str | None"],
    [{ type: ["string", "string"] }, "str"],
    [{ type: [] }, "Any"],
    [{ type: "string", nullable: true }, "str | None"],
    [{ type: ["string", "null"], nullable: true }, "str | None"],
    [{ nullable: true }, "Any"],
    [{ type: "array" }, "list[Any]"],
    [{ type: "array", items: true }, "list[Any]"],
    [{ type: "array", items: { type: "string" } }, "list[str]"],
    [
      { type: "array", items: { type: "array", items: { type: "integer" } } },
      "list[list[int]]",
    ],
    [
      { type: "array", prefixItems: [{ type: "string" }, {}] },
      "tuple[str, Any]",
    ],
    [
      { type: "array", prefixItems: [{ type: "string" }], items: false },
      "tuple[str]",
    ],
    [
      { type: "array", prefixItems: [{ type: "string" }], items: {} },
      "list[Any]",
    ],
    [{ type: "array", items: [{ type: "string" }, true] }, "tuple[str, Any]"],
    [
      {
        type: "array",
        items: [{ type: "string" }],
        additionalItems: { type: "string" },
      },
      "list[Any]",
    ],
    [{ type: "array", prefixItems: Array(17).fill({}) }, "list[Any]"],
    [{ type: "object" }, "dict[str, Any]"],
    [{ type: "object", properties: { a: {} } }, "dict[str, Any]"],
    [{ properties: { a: {} } }, "dict[str, Any]"],
    [
      { type: "object", additionalProperties: { type: "integer" } },
      "dict[str, int]",
    ],
    [{ type: "object", additionalProperties: false }, "dict[str, Any]"],
    [
      {
        type: "object",
        properties: { a: {} },
        additionalProperties: { type: "integer" },
      },
      "dict[str, Any]",
    ],
    [{ anyOf: [{ type: "string" }, { type: "integer" }] }, "str | int"],
    [{ oneOf: [{ type: "string" }, { type: "null" }] }, "str | None"],
    [{ anyOf: [{ type: "string" }, {}] }, "Any"],
    [{ type: "object", anyOf: [{ required: ["a"] }] }, "dict[str, Any]"],
    [{ allOf: [{ type: "string" }] }, "str"],
    [{ allOf: [{ type: "string" }, { minLength: 1 }] }, "Any"],
    [{ enum: ["a", "b", "a"] }, 'Literal["a", "b"]'],
    [{ type: "string", enum: ["a"] }, 'Literal["a"]'],
    [{ enum: ["a", 1, -1, true, null] }, 'Literal["a", 1, -1, True, None]'],
    [{ enum: [null] }, "None"],
    [{ enum: [1, 1.5] }, "int | float"],
    [{ enum: ["a", 1e30, {}, []] }, "str | float | dict[str, Any] | list[Any]"],
    [{ enum: [] }, "Any"],
    [{ enum: [undefined] }, "Any"],
    [{ enum: ["a".repeat(201)] }, "str"],
    [{ enum: Array.from({ length: 400 }, (_, index) => index) }, "int"],
    [{ enum: Array.from({ length: 1001 }, () => 1) }, "Any"],
    [{ const: "a" }, 'Literal["a"]'],
    [{ const: null }, "None"],
    [{ const: [1] }, "list[Any]"],
    [{ anyOf: [{ const: "a" }, { type: "null" }] }, 'Literal["a"] | None'],
  ])("case %#", (schema, expected) => {
    expect(annotation(schema)).toBe(expected);
  });

  it.each([
    ['"', String.raw`"\""`],
    ["\\", String.raw`"\\"`],
    ["\n\r\t", String.raw`"\n\r\t"`],
    ["\0\x1b\x7f\x85", String.raw`"\x00\x1b\x7f\x85"`],
    ["\u2028\u202e\ufeff", String.raw`"\u2028\u202e\ufeff"`],
    ["\ud800", String.raw`"\ud800"`],
    ["\u{e0001}", String.raw`"\U000e0001"`],
    ["größe 😀 '", `"größe 😀 '"`],
  ])("escapes %j", (value, expected) => {
    expect(annotation({ const: value })).toBe(`Literal[${expected}]`);
  });

  it("follows references into the schema", () => {
    const root = {
      $defs: {
        "a/b c~": { type: "integer" },
        list: { type: "array", items: { $ref: "#/$defs/a~1b%20c~0" } },
      },
      definitions: { a: { $ref: "#/$defs/list" }, "%": { type: "null" } },
      anyOf: [{ type: "string" }],
    };
    const of = ($ref: unknown) => annotation({ $ref }, root);
    expect(of("#/definitions/a")).toBe("list[int]");
    expect(of("#/definitions/%")).toBe("None");
    expect(of("#/anyOf/0")).toBe("str");
    expect(annotation({ $ref: "#" }, { type: "object" })).toBe(
      "dict[str, Any]",
    );
    for (const $ref of [
      "#/$defs/none",
      "#/$defs/list/type/length",
      "#/toString",
      "#anchor",
      "other.json#/$defs/list",
      "https://example.com/schema",
      "",
      7,
    ])
      expect(of($ref)).toBe("Any");
  });
});

describe("schemas without end", () => {
  it("cuts cycles", () => {
    const root = {
      $defs: {
        self: { $ref: "#/$defs/self" },
        a: { $ref: "#/$defs/b" },
        b: { $ref: "#/$defs/a" },
        tree: { type: "array", items: { $ref: "#/$defs/tree" } },
        pair: {
          type: "array",
          prefixItems: [{ $ref: "#/$defs/leaf" }, { $ref: "#/$defs/leaf" }],
        },
        leaf: { type: "string" },
      },
    };
    const of = (name: string) => annotation({ $ref: `#/$defs/${name}` }, root);
    expect(of("self")).toBe("Any");
    expect(of("a")).toBe("Any");
    expect(of("tree")).toBe("list[Any]");
    expect(of("pair")).toBe("tuple[str, str]");
  });

  it("cuts at 16 levels", () => {
    const list = (inner: object) => ({ type: "array", items: inner });
    const levels = (count: number, inner: string) =>
      "list[".repeat(count) + inner + "]".repeat(count);
    expect(annotation(nested(16, list))).toBe(levels(16, "str"));
    expect(annotation(nested(10_000, list))).toBe(levels(17, "Any"));
    expect(annotation(nested(10_000, (inner) => ({ allOf: [inner] })))).toBe(
      "Any",
    );
    expect(annotation(nested(10_000, (inner) => ({ anyOf: [inner] })))).toBe(
      "Any",
    );
  });

  it("reads 10,000 levels of allOf", () => {
    const schema = nested(10_000, (inner) => ({ allOf: [inner] }));
    expect(short(schema)).toBe("...");
  });

  it("ends soon where branches multiply", async () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 20 }, (_, level) => [
        `d${level}`,
        {
          type: "array",
          prefixItems: Array(16).fill({ $ref: `#/$defs/d${level + 1}` }),
        },
      ]),
    );
    const text = await tryUntilCheap(500, () =>
      annotation({ $ref: "#/$defs/d0" }, { $defs }),
    );
    expect(text.length).toBeLessThan(5000);
  });

  it("ends soon with 100,000 branches and properties", async () => {
    const many = Array(100_000).fill({ type: "string" });
    const properties = Object.fromEntries(
      many.map((schema, index) => [`p${index}`, schema]),
    );
    await tryUntilCheap(2000, () => {
      expect(annotation({ anyOf: many })).toBe("Any");
      expect(signature({ properties }).parameters).toHaveLength(100_000);
    });
  });

  it("takes an object that contains itself", () => {
    const schema: Record<string, unknown> = { type: "array" };
    schema.items = schema;
    expect(annotation(schema)).toBe(
      `${"list[".repeat(17)}Any${"]".repeat(17)}`,
    );
  });
});
