import { checkText, isRecord, makeLazyRegExp, refuse } from "./check.js";
import { makeArgumentError } from "./errors.js";
import { toJsonSchema } from "./schema.js";

/** @import { JsonSchema, Parameter, Signature } from "./types.js" */

/** @typedef {{ schema?: unknown, required: boolean }} Member */
/** @typedef {{ readonly root: unknown, left: number, following: Set<unknown> }} State */

// The signature that Python has of a callback, and the Python types of its parameters.

/**
 * The signature of a callback that takes one object of arguments:
 * `{ parameters: [{ name, required, annotation, default?, keywordOnly? }], open }`. Positional arguments are bound in
 * this order; `open` says that any other keyword is taken too. `path` names the definition in errors.
 * @param {string} path
 * @param {{ schema?: unknown, parameters?: unknown }} definition
 * @returns {Signature}
 */
export function makeSignature(path, { schema, parameters }) {
  const order = checkNames(`${path}.parameters`, parameters);
  const json = toJsonSchema(schema);
  const parts = collectConjuncts(json);
  const members = collectProperties(path, parts);
  const describe = (/** @type {string} */ name) => {
    const parameter = toParameter(name, members.get(name), json);
    // A Standard Schema fills in its defaults itself, and may make a new one for each call.
    if (json !== schema) delete parameter.default;
    return parameter;
  };
  const rest = [...members.keys()].filter((name) => !order?.has(name));
  const others = rest.map(describe);
  return {
    parameters:
      order === undefined
        ? others
        : [
            ...[...order].map(describe),
            ...others.map((other) => ({ ...other, keywordOnly: true })),
          ],
    open:
      parts.some(hasMoreMembers) ||
      (order === undefined && !parts.some(hasDeclaredMembers)),
  };
}

/** @param {string} path @param {unknown} names @returns {Set<string> | undefined} */
function checkNames(path, names) {
  if (names === undefined) return undefined;
  if (!Array.isArray(names)) refuse(path, names, "an array of distinct names");
  const seen = new Set();
  for (const [index, name] of names.entries()) {
    if (checkText(`${path}[${index}]`, name) === "")
      refuse(`${path}[${index}]`, name, "a name");
    if (seen.has(name)) {
      throw makeArgumentError(
        `${path}[${index}]: expected distinct names, got ${JSON.stringify(name)} twice`,
      );
    }
    seen.add(name);
  }
  return seen;
}

// ---------------------------------------------------------------- the members of the argument object

/**
 * The schemas that all hold for the arguments: the schema, what it refers to, and its `allOf`.
 * @param {JsonSchema | undefined} json
 */
function collectConjuncts(json) {
  const schemas = new Set(json === undefined ? [] : [json]);
  // What is added on the way is visited too.
  for (const schema of schemas) {
    const target = findTarget(json, schema.$ref);
    for (const part of [target, ...toList(schema.allOf)])
      if (isRecord(part)) schemas.add(part);
  }
  return [...schemas];
}

/**
 * By name: `{ schema, required }` of each member, in the declared order.
 * @param {string} path
 * @param {readonly JsonSchema[]} parts
 */
function collectProperties(path, parts) {
  const members = new Map();
  for (const { properties } of parts) {
    for (const [name, schema] of Object.entries(properties ?? {}))
      if (!members.has(name)) members.set(name, { schema, required: false });
  }
  for (const name of parts.flatMap(({ required }) => toList(required)))
    members.set(name, { schema: members.get(name)?.schema, required: true });
  for (const name of members.keys())
    checkText(`${path}.schema.properties`, name);
  return members;
}

/**
 * Whether a schema names members by other means than `properties`.
 * @param {JsonSchema} schema
 */
function hasMoreMembers(schema) {
  const { additionalProperties, unevaluatedProperties } = schema;
  return (
    [additionalProperties, unevaluatedProperties].some(
      (rest) => rest === true || isRecord(rest),
    ) || MEMBERS_BY_RULE.some((keyword) => schema[keyword] !== undefined)
  );
}

const MEMBERS_BY_RULE = [
  "patternProperties",
  "anyOf",
  "oneOf",
  "if",
  "dependentSchemas",
];

/** @param {JsonSchema} schema */
function hasDeclaredMembers({ properties, additionalProperties }) {
  return properties !== undefined || additionalProperties === false;
}

/**
 * A member without a schema is required: nothing says that it may be left out.
 * @param {string} name
 * @param {Member | undefined} member
 * @param {JsonSchema | undefined} root
 * @returns {Parameter}
 */
function toParameter(name, { schema, required } = { required: true }, root) {
  const parameter = { name, required, annotation: toAnnotation(schema, root) };
  if (!isRecord(schema) || schema.default === undefined) return parameter;
  return { ...parameter, required: false, default: schema.default };
}

// ---------------------------------------------------------------- Python's types

/** Schemas may come from third parties: none may make a type without end. */
const MAX_DEPTH = 16;
const MAX_SCHEMAS = 256;
const MAX_TUPLE = 16;
const MAX_ENUM = 1000;
const MAX_LITERAL = 1000;

const ANY = "Any";
const ANY_DICT = "dict[str, Any]";
/** @type {{ readonly [type: string]: string }} */
const SCALARS = {
  string: "str",
  integer: "int",
  number: "float",
  boolean: "bool",
  null: "None",
};

/** @param {unknown} schema @param {JsonSchema | undefined} root */
function toAnnotation(schema, root) {
  const state = { root, left: MAX_SCHEMAS, following: new Set() };
  return toType(schema, state, 0);
}

/** @param {unknown} schema @param {State} state @param {number} depth @returns {string} */
function toType(schema, state, depth) {
  if (!isRecord(schema) || depth > MAX_DEPTH || state.left-- <= 0) return ANY;
  const type = toTypeByKeywords(schema, state, depth + 1);
  return schema.nullable === true ? joinTypes([type, "None"]) : type;
}

/** @param {JsonSchema} schema @param {State} state @param {number} depth */
function toTypeByKeywords(schema, state, depth) {
  if (schema.$ref !== undefined)
    return toTypeOfTarget(schema.$ref, state, depth);
  if (schema.const !== undefined) return toTypeOfValues([schema.const]);
  if (Array.isArray(schema.enum)) return toTypeOfValues(schema.enum);
  if (schema.type !== undefined) {
    const types = [schema.type].flat();
    return joinTypes(
      types.map((type) => toTypeByName(type, schema, state, depth)),
    );
  }
  const branches = toList(schema.anyOf ?? schema.oneOf);
  if (branches.length > 0)
    return joinTypes(branches.map((branch) => toType(branch, state, depth)));
  const all = toList(schema.allOf);
  if (all.length === 1) return toType(all[0], state, depth);
  return schema.properties === undefined ? ANY : ANY_DICT;
}

/** @param {unknown} type @param {JsonSchema} schema @param {State} state @param {number} depth */
function toTypeByName(type, schema, state, depth) {
  if (type === "array") return toListType(schema, state, depth);
  if (type === "object") return toDictType(schema, state, depth);
  return typeof type === "string" && Object.hasOwn(SCALARS, type)
    ? SCALARS[type]
    : ANY;
}

/** @param {JsonSchema} schema @param {State} state @param {number} depth */
function toListType({ prefixItems, items, additionalItems }, state, depth) {
  // Before 2020-12, `items` was what `prefixItems` is, and `additionalItems` what `items` is.
  const first = toList(prefixItems ?? items);
  const rest = prefixItems === undefined ? additionalItems : items;
  if (first.length === 0) return `list[${toType(items, state, depth)}]`;
  if (first.length > MAX_TUPLE || rest === true || isRecord(rest))
    return "list[Any]";
  const types = first.map((item) => toType(item, state, depth));
  return `tuple[${types.join(", ")}]`;
}

/** @param {JsonSchema} schema @param {State} state @param {number} depth */
function toDictType({ properties, additionalProperties }, state, depth) {
  return properties === undefined
    ? `dict[str, ${toType(additionalProperties, state, depth)}]`
    : ANY_DICT;
}

/**
 * The type of a `$ref`'s target; one that is reached again from itself is Any.
 * @param {unknown} ref
 * @param {State} state
 * @param {number} depth
 */
function toTypeOfTarget(ref, state, depth) {
  const target = findTarget(state.root, ref);
  if (state.following.has(target)) return ANY;
  state.following.add(target);
  const type = toType(target, state, depth);
  state.following.delete(target);
  return type;
}

/**
 * What a reference into the schema itself ("#/$defs/user") points at, else undefined.
 * @param {unknown} root
 * @param {unknown} ref
 */
function findTarget(root, ref) {
  if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) return undefined;
  /** @type {any} */
  let target = root;
  for (const part of ref.split("/").slice(1)) {
    const key = decodePart(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof target !== "object" || target === null) return undefined;
    target = Object.hasOwn(target, key) ? target[key] : undefined;
  }
  return target;
}

/** @param {string} part */
function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @param {unknown} value @returns {unknown[]} */
function toList(value) {
  return Array.isArray(value) ? value : [];
}

/** @param {readonly string[]} types */
function joinTypes(types) {
  const distinct = [...new Set(types.flatMap(splitUnion))];
  return distinct.length === 0 || distinct.includes(ANY)
    ? ANY
    : distinct.join(" | ");
}

/**
 * The members of a union type.
 * @param {string} annotation
 */
export function splitUnion(annotation) {
  const members = [""];
  let depth = 0;
  for (const [token] of annotation.matchAll(
    /"(?:[^"\\]|\\.)*"|[[\]|]|[^"[\]|]+/g,
  )) {
    if (token === "[") depth++;
    if (token === "]") depth--;
    if (token === "|" && depth === 0) members.push("");
    else members[members.length - 1] += token;
  }
  return members.map((member) => member.trim());
}

const LITERAL_TYPES = ["str", "int", "bool", "None"];

/** @param {readonly unknown[]} values */
function toTypeOfValues(values) {
  if (values.length === 0 || values.length > MAX_ENUM) return ANY;
  const types = joinTypes(values.map(toPythonType));
  if (types === "None") return types;
  const literals = new Set(values.map(toPythonLiteral));
  const text = `Literal[${[...literals].join(", ")}]`;
  const fits =
    values.every((value) => LITERAL_TYPES.includes(toPythonType(value))) &&
    !literals.has(undefined) &&
    text.length <= MAX_LITERAL;
  return fits ? text : types;
}

/**
 * The Python type that a JavaScript value of JSON arrives as.
 * @param {unknown} value
 */
export function toPythonType(value) {
  if (value === null) return "None";
  if (Array.isArray(value)) return "list[Any]";
  switch (typeof value) {
    case "string":
      return "str";
    case "boolean":
      return "bool";
    case "number":
      return Number.isSafeInteger(value) ? "int" : "float";
    default:
      return isRecord(value) ? ANY_DICT : ANY;
  }
}

const MAX_TEXT = 200;

/**
 * `value` in Python's syntax, if it is simple and short; else undefined.
 * @param {unknown} value
 */
export function toPythonLiteral(value) {
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "number":
      return Number.isFinite(value) ? String(value) : undefined;
    case "string":
      return value.length <= MAX_TEXT ? toPythonString(value) : undefined;
    default:
      return undefined;
  }
}

/** @param {string} text */
export function toPythonString(text) {
  return `"${escapeForPython(text, /"/g)}"`;
}

const getUnprintable = makeLazyRegExp(String.raw`[\p{C}\p{Zl}\p{Zp}]`, "gu");

/**
 * `text` for the inside of a Python string. `quotes` matches the quotes that would end it.
 * @param {string} text
 * @param {RegExp} quotes
 */
export function escapeForPython(text, quotes) {
  return text
    .replaceAll("\\", "\\\\")
    .replace(quotes, '\\"')
    .replace(getUnprintable(), escapeCharacter);
}

/** @type {{ readonly [character: string]: string }} */
const SHORT_ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** @param {string} character */
function escapeCharacter(character) {
  if (Object.hasOwn(SHORT_ESCAPES, character)) return SHORT_ESCAPES[character];
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\U${code.toString(16).padStart(8, "0")}`;
}
