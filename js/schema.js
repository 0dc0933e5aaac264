import { isRecord, refuse, shown } from "./check.js";
import { invalidArgument } from "./errors.js";
import { required, types } from "./node.js";

// Checks of callback arguments: a JSON Schema, which ajv compiles, or a Standard Schema, which validates by itself.

/** `make`, called once per object. What it throws is not kept. */
function once(make) {
  const made = new WeakMap();
  return (object, ...rest) => {
    if (!made.has(object)) made.set(object, make(object, ...rest));
    return made.get(object);
  };
}

/** Schema libraries that are not Standard Schema have classes: to ajv these would be schemas that accept everything. */
export function isPlain(value) {
  if (!isRecord(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The `~standard` properties of a Standard Schema, else undefined. */
function standardOf(schema) {
  return isRecord(schema) || typeof schema === "function"
    ? schema["~standard"]
    : undefined;
}

/**
 * What checks the arguments of a callback: `validate(args)` gives `{ value }` or `{ issue }`, or a promise of it, and
 * never throws. undefined without a schema. `path` names the option in errors.
 */
export function validatorFor(path, schema) {
  if (schema === undefined) return undefined;
  const standard = standardOf(schema);
  if (standard !== undefined) {
    const validator = standardValidator(path, standard);
    checkTakesObjects(path, jsonSchemaOf(schema));
    return validator;
  }
  if (!isPlain(schema))
    refuse(path, schema, "a JSON Schema or a Standard Schema");
  return jsonValidator(path, schema);
}

/** Refuses a schema that no arguments match, as they are one object: every call would fail. */
function checkTakesObjects(path, json) {
  const type = typesOf(json);
  if (type !== undefined && !type.includes("object")) {
    const shownType = type.length === 1 ? type[0] : type.join(" or ");
    refuse(`${path}.type`, shownType, '"object", as arguments are one object');
  }
}

/** Unions in unions that are looked into. */
const MAX_UNIONS = 16;

/** The JSON types that a schema takes, as far as it says; undefined if it does not. */
function typesOf(json, depth = 0) {
  if (!isRecord(json) || depth > MAX_UNIONS) return undefined;
  if (json.type !== undefined) return [json.type].flat();
  const branches = json.anyOf ?? json.oneOf;
  if (!Array.isArray(branches)) return undefined;
  const types = branches.map((branch) => typesOf(branch, depth + 1));
  return types.length === 0 || types.includes(undefined)
    ? undefined
    : [...new Set(types.flat())];
}

// ---------------------------------------------------------------- Standard Schema

function standardValidator(path, standard) {
  const { version, validate } = Object(standard);
  if (version !== 1) refuse(`${path}["~standard"].version`, version, "1");
  if (typeof validate !== "function")
    refuse(`${path}["~standard"].validate`, validate, "a function");
  return {
    validate(args) {
      try {
        const result = standard.validate(args);
        return typeof result?.then === "function"
          ? settled(result)
          : verdict(result);
      } catch (error) {
        return { issue: messageOf(error) };
      }
    },
  };
}

async function settled(promise) {
  try {
    return verdict(await promise);
  } catch (error) {
    return { issue: messageOf(error) };
  }
}

function verdict(result) {
  // arktype returns an array that has `issues`.
  if (typeof result !== "object" || result === null)
    return { issue: `the validator returned ${shown(result)}` };
  if (!result.issues) return { value: result.value };
  const [first] = result.issues;
  return { issue: standardIssue(first) };
}

function standardIssue(issue) {
  const message = String(issue?.message ?? "invalid arguments");
  const keys = Array.from(issue?.path ?? [], (part) => part?.key ?? part);
  const path = pathText(keys);
  // arktype's messages begin with the path.
  return at(
    path,
    message.startsWith(`${path} `) ? message.slice(path.length + 1) : message,
  );
}

function messageOf(error) {
  return typeof error?.message === "string" ? error.message : shown(error);
}

// ---------------------------------------------------------------- JSON Schema

const DRAFT_07 = {
  module: "ajv/dist/ajv.js",
  meta: "http://json-schema.org/draft-07/schema",
};
const DRAFT_2020_12 = {
  module: "ajv/dist/2020.js",
  meta: "https://json-schema.org/draft/2020-12/schema",
};
const DRAFTS = {
  "draft-06": DRAFT_07, // the meta-schema of 07 only adds keywords
  "draft-07": DRAFT_07,
  "draft/2019-09": {
    module: "ajv/dist/2019.js",
    meta: "https://json-schema.org/draft/2019-09/schema",
  },
  "draft/2020-12": DRAFT_2020_12,
};

const DRAFT_ID = /^https?:\/\/json-schema\.org\/(.+)\/schema#?$/;

/** `ownProperties`: an inherited `constructor` is no argument. `strictNumbers`: inf and nan are no JSON numbers. */
const AJV = {
  strict: false,
  strictNumbers: true,
  ownProperties: true,
  validateFormats: false,
  logger: false,
};

function jsonValidator(path, schema) {
  const draft = draftOf(path, schema.$schema);
  checkTakesObjects(path, schema);
  const check = compiled(path, schema, draft);
  return {
    validate(args) {
      try {
        const view = isJson(args) ? args : jsonView(args);
        return check(view)
          ? { value: args }
          : { issue: issueText(check.errors, view) };
      } catch (error) {
        return { issue: messageOf(error) };
      }
    },
  };
}

function draftOf(path, id) {
  if (id === undefined) return DRAFT_2020_12;
  const name = typeof id === "string" ? id.replace(DRAFT_ID, "$1") : "";
  if (!Object.hasOwn(DRAFTS, name)) {
    const expected = "the id of JSON Schema draft 2020-12, 2019-09, 07 or 06";
    refuse(`${path}.$schema`, id, expected);
  }
  return DRAFTS[name];
}

function compiled(path, schema, draft) {
  try {
    return compile(schema, draft);
  } catch (error) {
    const reason =
      error instanceof RangeError ? "it is nested too deeply" : error.message;
    throw invalidArgument(`${path}: not a usable JSON Schema: ${reason}`);
  }
}

/** An instance keeps what it compiles and refuses an `$id` that it knows, so each schema has its own. */
const compile = once((schema, draft) => {
  const Ajv = required(draft.module);
  const meta = metaValidator(draft, Ajv);
  if (!meta.validate(draft.meta, schema))
    throw new Error(issueText(meta.errors, schema));
  const check = new Ajv({ ...AJV, validateSchema: false }).compile(schema);
  if (check.$async) throw new Error("$async: must not be true");
  return check;
});

/** Compiling a meta-schema takes longer than all else, so one instance per draft does it. */
const metaValidator = once((_draft, Ajv) => new Ajv(AJV));

// ---------------------------------------------------------------- what JSON has no type for

function isJson(value) {
  if (typeof value === "bigint") return false;
  if (typeof value !== "object" || value === null) return true;
  if (types.isUint8Array(value)) return false;
  return Object.values(value).every(isJson);
}

/** `value` for ajv: a bigint as the nearest number, bytes as a symbol, which no JSON type fits. */
function jsonView(value) {
  if (typeof value === "bigint") return nearestNumber(value);
  if (typeof value !== "object" || value === null) return value;
  if (types.isUint8Array(value)) return Symbol("bytes");
  if (Array.isArray(value)) return value.map(jsonView);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, jsonView(item)]),
  );
}

function nearestNumber(value) {
  const { MAX_VALUE } = Number;
  return Math.min(Math.max(Number(value), -MAX_VALUE), MAX_VALUE);
}

// ---------------------------------------------------------------- the text of an issue

const MAX_PATH = 200;
const MAX_LISTED = 20;

function pathText(keys) {
  const text = keys
    .map((key, index) => {
      if (typeof key === "number") return `[${key}]`;
      return index === 0 ? String(key) : `.${String(key)}`;
    })
    .join("");
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH)}...` : text;
}

function at(path, text) {
  return path === "" ? text : `${path}: ${text}`;
}

/** ajv's errors as one sentence, which names the argument first. */
function issueText(errors, data) {
  const chosen = closest(errors);
  const path = pathText(keysOf(chosen[0].instancePath, data));
  return at(path, alternatives(chosen.map(sentence)));
}

/** A JSON pointer's keys. In an array, they are numbers. */
function keysOf(pointer, data) {
  let value = data;
  return pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const shownKey = Array.isArray(value) ? Number(key) : key;
      value = value?.[key];
      return shownKey;
    });
}

const BRANCHING = ["anyOf", "oneOf", "if"];
const depthOf = ({ instancePath }) => instancePath.split("/").length;

/**
 * Of the errors of all branches of a union, those of the branch that was probably meant: the deepest ones, and of these
 * not those that say it is another branch. All are at one place.
 */
function closest(errors) {
  const last = errors.at(-1);
  const inner = errors.filter(({ keyword }) => !BRANCHING.includes(keyword));
  const several = Array.isArray(last.params.passingSchemas);
  if (!BRANCHING.includes(last.keyword) || several || inner.length === 0)
    return [last];
  const depth = inner.reduce((most, one) => Math.max(most, depthOf(one)), 0);
  const deepest = inner.filter((error) => depthOf(error) === depth);
  const [best] = deepest.toSorted((a, b) => isTag(a) - isTag(b));
  return deepest.filter((error) => error.instancePath === best.instancePath);
}

function isTag({ keyword }) {
  return keyword === "const" || keyword === "enum";
}

function alternatives(sentences) {
  const all = [...new Set(sentences)].slice(0, MAX_LISTED);
  const be = "must be ";
  return all.every((sentence) => sentence.startsWith(be))
    ? be + all.map((sentence) => sentence.slice(be.length)).join(" or ")
    : all.join(" or ");
}

function sentence({ keyword, params, message, instancePath }) {
  const what = instancePath === "" ? "argument" : "property";
  switch (keyword) {
    case "required":
      return `missing ${what} ${shown(params.missingProperty)}`;
    case "additionalProperties":
      return `unexpected ${what} ${shown(params.additionalProperty)}`;
    case "unevaluatedProperties":
      return `unexpected ${what} ${shown(params.unevaluatedProperty)}`;
    case "propertyNames":
      return `unexpected ${what} ${shown(params.propertyName)}`;
    case "enum":
      return `must be one of ${listed(params.allowedValues)}`;
    case "const":
      return `must be ${listed([params.allowedValue])}`;
    case "type":
      return `must be ${[params.type].flat().join(" or ")}`;
    case "false schema":
      return "must not be given";
    default:
      return message;
  }
}

function listed(values) {
  const texts = values.slice(0, MAX_LISTED).map((value) => {
    const text = JSON.stringify(value) ?? shown(value);
    return text.length > 80 ? `${text.slice(0, 80)}...` : text;
  });
  return [...texts, ...(values.length > MAX_LISTED ? ["..."] : [])].join(", ");
}

// ---------------------------------------------------------------- the JSON Schema of any schema

/** The JSON Schema that describes the arguments `schema` takes, as far as it tells: undefined if it does not. */
export function jsonSchemaOf(schema) {
  if (standardOf(schema) === undefined)
    return isRecord(schema) ? schema : undefined;
  return converted(schema);
}

const converted = once((schema) => {
  for (const conversion of CONVERSIONS) {
    const found = attempt(() => conversion(schema));
    if (isRecord(found)) return found;
  }
  return undefined;
});

/** From what tells most to what tells least. `unrepresentable` is zod's: a Date or a bigint becomes `{}`, not an error. */
const CONVERSIONS = [
  (schema) =>
    schema["~standard"].jsonSchema?.input({
      target: "draft-2020-12",
      libraryOptions: { unrepresentable: "any" },
    }),
  (schema) => schema.toJsonSchema?.(),
  (schema) => fromMembers(schema.shape, isOptionalZod),
  (schema) => fromMembers(schema.entries, isOptionalValibot),
];

function attempt(call) {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function fromMembers(members, isOptional) {
  if (!isRecord(members)) return undefined;
  const names = Object.keys(members);
  return {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, {}])),
    required: names.filter((name) => !isOptional(members[name])),
  };
}

function isOptionalZod(member) {
  return (
    attempt(
      () => member.isOptional?.() ?? member.safeParse(undefined).success,
    ) === true
  );
}

function isOptionalValibot(member) {
  return ["optional", "exact_optional", "nullish"].includes(member?.type);
}
