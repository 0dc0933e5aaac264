import { checkText, isRecord, pattern, refuse } from "./check.js";
import { invalidArgument } from "./errors.js";
import { jsonSchemaOf } from "./schema.js";

// The signature that Python has of a callback, and the Python types of its parameters.

/**
 * The signature of a callback that takes one object of arguments:
 * `{ parameters: [{ name, required, annotation, default?, keywordOnly? }], open }`. Positional arguments are bound in
 * this order; `open` says that any other keyword is taken too. `path` names the definition in errors.
 */
export function parametersOf(path, { schema, parameters }) {
  const order = checkNames(`${path}.parameters`, parameters);
  const json = jsonSchemaOf(schema);
  const parts = conjuncts(json);
  const known = propertiesOf(path, parts);
  const describe = (name) => {
    const found = parameter(name, known.get(name), json);
    // A Standard Schema fills in its defaults itself, and may make a new one for each call.
    if (json !== schema) delete found.default;
    return found;
  };
  const rest = [...known.keys()].filter((name) => !order?.has(name));
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
      parts.some(takesMore) ||
      (order === undefined && !parts.some(declaresMembers)),
  };
}

function checkNames(path, names) {
  if (names === undefined) return undefined;
  if (!Array.isArray(names)) refuse(path, names, "an array of distinct names");
  const seen = new Set();
  for (const [index, name] of names.entries()) {
    if (checkText(`${path}[${index}]`, name) === "")
      refuse(`${path}[${index}]`, name, "a name");
    if (seen.has(name)) {
      throw invalidArgument(
        `${path}[${index}]: expected distinct names, got ${JSON.stringify(name)} twice`,
      );
    }
    seen.add(name);
  }
  return seen;
}

// ---------------------------------------------------------------- the members of the argument object

/** The schemas that all hold for the arguments: the schema, what it refers to, and its `allOf`. */
function conjuncts(json) {
  const found = new Set(json === undefined ? [] : [json]);
  // What is added on the way is visited too.
  for (const schema of found) {
    const target = pointed(json, schema.$ref);
    for (const part of [target, ...listOf(schema.allOf)])
      if (isRecord(part)) found.add(part);
  }
  return [...found];
}

/** By name: `{ schema, required }` of each member, in the declared order. */
function propertiesOf(path, parts) {
  const found = new Map();
  for (const { properties } of parts) {
    for (const [name, schema] of Object.entries(properties ?? {}))
      if (!found.has(name)) found.set(name, { schema, required: false });
  }
  for (const name of parts.flatMap(({ required }) => listOf(required)))
    found.set(name, { schema: found.get(name)?.schema, required: true });
  for (const name of found.keys()) checkText(`${path}.schema.properties`, name);
  return found;
}

/** Whether a schema names members by other means than `properties`. */
function takesMore(schema) {
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

function declaresMembers({ properties, additionalProperties }) {
  return properties !== undefined || additionalProperties === false;
}

/** A member without a schema is required: nothing says that it may be left out. */
function parameter(name, { schema, required } = { required: true }, root) {
  const described = { name, required, annotation: annotationOf(schema, root) };
  if (!isRecord(schema) || schema.default === undefined) return described;
  return { ...described, required: false, default: schema.default };
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
const SCALARS = {
  string: "str",
  integer: "int",
  number: "float",
  boolean: "bool",
  null: "None",
};

function annotationOf(schema, root) {
  const state = { root, left: MAX_SCHEMAS, following: new Set() };
  return typeOf(schema, state, 0);
}

function typeOf(schema, state, depth) {
  if (!isRecord(schema) || depth > MAX_DEPTH || state.left-- <= 0) return ANY;
  const type = typeOfKeywords(schema, state, depth + 1);
  return schema.nullable === true ? union([type, "None"]) : type;
}

function typeOfKeywords(schema, state, depth) {
  if (schema.$ref !== undefined) return typeOfTarget(schema.$ref, state, depth);
  if (schema.const !== undefined) return typeOfValues([schema.const]);
  if (Array.isArray(schema.enum)) return typeOfValues(schema.enum);
  if (schema.type !== undefined) {
    const types = [schema.type].flat();
    return union(types.map((type) => typeNamed(type, schema, state, depth)));
  }
  const branches = listOf(schema.anyOf ?? schema.oneOf);
  if (branches.length > 0)
    return union(branches.map((branch) => typeOf(branch, state, depth)));
  const all = listOf(schema.allOf);
  if (all.length === 1) return typeOf(all[0], state, depth);
  return schema.properties === undefined ? ANY : ANY_DICT;
}

function typeNamed(type, schema, state, depth) {
  if (type === "array") return listType(schema, state, depth);
  if (type === "object") return dictType(schema, state, depth);
  return Object.hasOwn(SCALARS, type) ? SCALARS[type] : ANY;
}

function listType({ prefixItems, items, additionalItems }, state, depth) {
  // Before 2020-12, `items` was what `prefixItems` is, and `additionalItems` what `items` is.
  const first = listOf(prefixItems ?? items);
  const rest = prefixItems === undefined ? additionalItems : items;
  if (first.length === 0) return `list[${typeOf(items, state, depth)}]`;
  if (first.length > MAX_TUPLE || rest === true || isRecord(rest))
    return "list[Any]";
  const types = first.map((item) => typeOf(item, state, depth));
  return `tuple[${types.join(", ")}]`;
}

function dictType({ properties, additionalProperties }, state, depth) {
  return properties === undefined
    ? `dict[str, ${typeOf(additionalProperties, state, depth)}]`
    : ANY_DICT;
}

/** The type of a `$ref`'s target; one that is reached again from itself is Any. */
function typeOfTarget(ref, state, depth) {
  const target = pointed(state.root, ref);
  if (state.following.has(target)) return ANY;
  state.following.add(target);
  const type = typeOf(target, state, depth);
  state.following.delete(target);
  return type;
}

/** What a reference into the schema itself ("#/$defs/user") points at, else undefined. */
function pointed(root, ref) {
  if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) return undefined;
  let target = root;
  for (const part of ref.split("/").slice(1)) {
    const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof target !== "object" || target === null) return undefined;
    target = Object.hasOwn(target, key) ? target[key] : undefined;
  }
  return target;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function listOf(value) {
  return Array.isArray(value) ? value : [];
}

function union(types) {
  const distinct = [...new Set(types.flatMap(unionOf))];
  return distinct.length === 0 || distinct.includes(ANY)
    ? ANY
    : distinct.join(" | ");
}

/** The members of a union type. */
export function unionOf(annotation) {
  const found = [""];
  let depth = 0;
  for (const [token] of annotation.matchAll(
    /"(?:[^"\\]|\\.)*"|[[\]|]|[^"[\]|]+/g,
  )) {
    if (token === "[") depth++;
    if (token === "]") depth--;
    if (token === "|" && depth === 0) found.push("");
    else found[found.length - 1] += token;
  }
  return found.map((member) => member.trim());
}

const LITERAL_TYPES = ["str", "int", "bool", "None"];

function typeOfValues(values) {
  if (values.length === 0 || values.length > MAX_ENUM) return ANY;
  const types = union(values.map(typeOfValue));
  if (types === "None") return types;
  const literals = new Set(values.map(pythonLiteral));
  const text = `Literal[${[...literals].join(", ")}]`;
  const fits =
    values.every((value) => LITERAL_TYPES.includes(typeOfValue(value))) &&
    !literals.has(undefined) &&
    text.length <= MAX_LITERAL;
  return fits ? text : types;
}

/** The Python type that a JavaScript value of JSON arrives as. */
export function typeOfValue(value) {
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

/** `value` in Python's syntax, if it is simple and short; else undefined. */
export function pythonLiteral(value) {
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "number":
      return Number.isFinite(value) ? String(value) : undefined;
    case "string":
      return value.length <= MAX_TEXT ? pythonString(value) : undefined;
    default:
      return undefined;
  }
}

export function pythonString(text) {
  return `"${escaped(text, /"/g)}"`;
}

const unprintable = pattern(String.raw`[\p{C}\p{Zl}\p{Zp}]`, "gu");

/** `text` for the inside of a Python string. `quotes` matches the quotes that would end it. */
export function escaped(text, quotes) {
  return text
    .replaceAll("\\", "\\\\")
    .replace(quotes, '\\"')
    .replace(unprintable(), escapedCharacter);
}

const SHORT_ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapedCharacter(character) {
  if (Object.hasOwn(SHORT_ESCAPES, character)) return SHORT_ESCAPES[character];
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\U${code.toString(16).padStart(8, "0")}`;
}
