import { attempt, describe, isRecord, refuse } from "./check.js";
import { makeArgumentError } from "./errors.js";
import { requirePackage, types } from "./node.js";

/** @import { ErrorObject } from "ajv" */
/** @import { JsonSchema, Validator, Verdict } from "./types.js" */

// Checks of callback arguments: a JSON Schema, which ajv compiles, or a Standard Schema, which validates by itself.

/**
 * `make`, called once per object. What it throws is not kept.
 * @template {object} Key
 * @template {unknown[]} Rest
 * @template Result
 * @param {(key: Key, ...rest: Rest) => Result} make
 * @returns {(key: Key, ...rest: Rest) => Result}
 */
function memoize(make) {
  const results = new WeakMap();
  return (object, ...rest) => {
    if (!results.has(object)) results.set(object, make(object, ...rest));
    return results.get(object);
  };
}

/**
 * Schema libraries that are not Standard Schema have classes: to ajv these would be schemas that accept everything.
 * @param {unknown} value
 * @returns {value is JsonSchema}
 */
export function isPlainObject(value) {
  if (!isRecord(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * The `~standard` properties of a Standard Schema, else undefined.
 * @param {any} schema
 */
function getStandard(schema) {
  return isRecord(schema) || typeof schema === "function"
    ? schema["~standard"]
    : undefined;
}

/**
 * What checks the arguments of a callback: `validate(args)` gives `{ value }` or `{ issue }`, or a promise of it, and
 * never throws. undefined without a schema. `path` names the option in errors.
 * @param {string} path
 * @param {unknown} schema
 * @returns {Validator | undefined}
 */
export function makeValidator(path, schema) {
  if (schema === undefined) return undefined;
  const standard = getStandard(schema);
  if (standard !== undefined) {
    const validator = makeStandardValidator(path, standard);
    checkTakesObjects(path, toJsonSchema(schema));
    return validator;
  }
  if (!isPlainObject(schema))
    refuse(path, schema, "a JSON Schema or a Standard Schema");
  return makeJsonValidator(path, schema);
}

/**
 * Refuses a schema that no arguments match, as they are one object: every call would fail.
 * @param {string} path
 * @param {JsonSchema | undefined} json
 */
function checkTakesObjects(path, json) {
  const type = collectTypes(json);
  if (type !== undefined && !type.includes("object")) {
    const typeText = type.length === 1 ? type[0] : type.join(" or ");
    refuse(`${path}.type`, typeText, '"object", as arguments are one object');
  }
}

/** Unions in unions that are looked into. */
const MAX_UNIONS = 16;

/**
 * The JSON types that a schema takes, as far as it says; undefined if it does not.
 * @param {unknown} json
 * @param {number} [depth]
 * @returns {unknown[] | undefined}
 */
function collectTypes(json, depth = 0) {
  if (!isRecord(json) || depth > MAX_UNIONS) return undefined;
  if (json.type !== undefined) return [json.type].flat();
  const branches = json.anyOf ?? json.oneOf;
  if (!Array.isArray(branches)) return undefined;
  const types = branches.map((branch) => collectTypes(branch, depth + 1));
  return types.length === 0 || types.includes(undefined)
    ? undefined
    : [...new Set(types.flat())];
}

// ---------------------------------------------------------------- Standard Schema

/** @param {string} path @param {any} standard @returns {Validator} */
function makeStandardValidator(path, standard) {
  const { version, validate } = Object(standard);
  if (version !== 1) refuse(`${path}["~standard"].version`, version, "1");
  if (typeof validate !== "function")
    refuse(`${path}["~standard"].validate`, validate, "a function");
  return {
    validate(args) {
      try {
        const result = standard.validate(args);
        return typeof result?.then === "function"
          ? awaitVerdict(result)
          : toVerdict(result);
      } catch (error) {
        return { issue: getMessage(error) };
      }
    },
  };
}

/** @param {PromiseLike<unknown>} promise */
async function awaitVerdict(promise) {
  try {
    return toVerdict(await promise);
  } catch (error) {
    return { issue: getMessage(error) };
  }
}

/** @param {any} result @returns {Verdict} */
function toVerdict(result) {
  // arktype returns an array that has `issues`.
  if (typeof result !== "object" || result === null)
    return { issue: `the validator returned ${describe(result)}` };
  if (!result.issues) return { value: result.value };
  const [first] = result.issues;
  return { issue: toIssue(first) };
}

/** @param {any} issue */
function toIssue(issue) {
  const message = String(issue?.message ?? "invalid arguments");
  const keys = Array.from(issue?.path ?? [], (part) => part?.key ?? part);
  const path = formatPath(keys);
  // arktype's messages begin with the path.
  return prefixPath(
    path,
    message.startsWith(`${path} `) ? message.slice(path.length + 1) : message,
  );
}

/** @param {any} error @returns {string} */
function getMessage(error) {
  return typeof error?.message === "string" ? error.message : describe(error);
}

// ---------------------------------------------------------------- JSON Schema

/** @typedef {{ readonly module: string, readonly meta: string }} Draft */

/** @type {Draft} */
const DRAFT_07 = {
  module: "ajv/dist/ajv.js",
  meta: "http://json-schema.org/draft-07/schema",
};
/** @type {Draft} */
const DRAFT_2020_12 = {
  module: "ajv/dist/2020.js",
  meta: "https://json-schema.org/draft/2020-12/schema",
};
/** @type {{ readonly [name: string]: Draft }} */
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

/**
 * `ownProperties`: an inherited `constructor` is no argument. `strictNumbers`: inf and nan are no JSON numbers.
 * @type {import("ajv").Options}
 */
const AJV = {
  strict: false,
  strictNumbers: true,
  ownProperties: true,
  validateFormats: false,
  logger: false,
};

/** @param {string} path @param {JsonSchema} schema @returns {Validator} */
function makeJsonValidator(path, schema) {
  const draft = findDraft(path, schema.$schema);
  checkTakesObjects(path, schema);
  const check = compileOrRefuse(path, schema, draft);
  return {
    validate(args) {
      try {
        const view = isJson(args) ? args : toJsonView(args);
        return check(view)
          ? { value: args }
          : { issue: formatIssue(check.errors ?? [], view) };
      } catch (error) {
        return { issue: getMessage(error) };
      }
    },
  };
}

/** @param {string} path @param {unknown} id @returns {Draft} */
function findDraft(path, id) {
  if (id === undefined) return DRAFT_2020_12;
  const name = typeof id === "string" ? id.replace(DRAFT_ID, "$1") : "";
  if (!Object.hasOwn(DRAFTS, name)) {
    const expected = "the id of JSON Schema draft 2020-12, 2019-09, 07 or 06";
    refuse(`${path}.$schema`, id, expected);
  }
  return DRAFTS[name];
}

/** @param {string} path @param {JsonSchema} schema @param {Draft} draft */
function compileOrRefuse(path, schema, draft) {
  try {
    return compile(schema, draft);
  } catch (/** @type {any} */ error) {
    const reason =
      error instanceof RangeError ? "it is nested too deeply" : error.message;
    throw makeArgumentError(`${path}: not a usable JSON Schema: ${reason}`);
  }
}

/** An instance keeps what it compiles and refuses an `$id` that it knows, so each schema has its own. */
const compile = memoize(
  (/** @type {JsonSchema} */ schema, /** @type {Draft} */ draft) => {
    /** @type {typeof import("ajv").Ajv} */
    const Ajv = requirePackage(draft.module);
    const meta = makeMetaValidator(draft, Ajv);
    if (!meta.validate(draft.meta, schema))
      throw new Error(formatIssue(meta.errors ?? [], schema));
    const check = new Ajv({ ...AJV, validateSchema: false }).compile(schema);
    if ("$async" in check && check.$async)
      throw new Error("$async: must not be true");
    return check;
  },
);

/** Compiling a meta-schema takes longer than all else, so one instance per draft does it. */
const makeMetaValidator = memoize(
  (/** @type {Draft} */ _draft, /** @type {typeof import("ajv").Ajv} */ Ajv) =>
    new Ajv(AJV),
);

// ---------------------------------------------------------------- what JSON has no type for

/** @param {unknown} value @returns {boolean} */
function isJson(value) {
  if (typeof value === "bigint") return false;
  if (typeof value !== "object" || value === null) return true;
  if (types.isUint8Array(value)) return false;
  return Object.values(value).every(isJson);
}

/**
 * `value` for ajv: a bigint as the nearest number, bytes as a symbol, which no JSON type fits.
 * @param {unknown} value
 * @returns {unknown}
 */
function toJsonView(value) {
  if (typeof value === "bigint") return toNearestNumber(value);
  if (typeof value !== "object" || value === null) return value;
  if (types.isUint8Array(value)) return Symbol("bytes");
  if (Array.isArray(value)) return value.map(toJsonView);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, toJsonView(item)]),
  );
}

/** @param {bigint} value */
function toNearestNumber(value) {
  const { MAX_VALUE } = Number;
  return Math.min(Math.max(Number(value), -MAX_VALUE), MAX_VALUE);
}

// ---------------------------------------------------------------- the text of an issue

const MAX_PATH = 200;
const MAX_LISTED = 20;

/** @param {readonly unknown[]} keys */
function formatPath(keys) {
  const text = keys
    .map((key, index) => {
      if (typeof key === "number") return `[${key}]`;
      return index === 0 ? String(key) : `.${String(key)}`;
    })
    .join("");
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH)}...` : text;
}

/** @param {string} path @param {string} text */
function prefixPath(path, text) {
  return path === "" ? text : `${path}: ${text}`;
}

/**
 * ajv's errors as one sentence, which names the argument first.
 * @param {readonly ErrorObject[]} errors
 * @param {unknown} data
 */
function formatIssue(errors, data) {
  const closest = findClosest(errors);
  const path = formatPath(splitPointer(closest[0].instancePath, data));
  return prefixPath(path, joinAlternatives(closest.map(toSentence)));
}

/**
 * A JSON pointer's keys. In an array, they are numbers.
 * @param {string} pointer
 * @param {any} data
 */
function splitPointer(pointer, data) {
  let value = data;
  return pointer
    .split("/")
    .slice(1)
    .map((part) => {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const keyOrIndex = Array.isArray(value) ? Number(key) : key;
      value = value?.[key];
      return keyOrIndex;
    });
}

const BRANCHING = ["anyOf", "oneOf", "if"];
/** @param {ErrorObject} error */
const getDepth = ({ instancePath }) => instancePath.split("/").length;

/**
 * Of the errors of all branches of a union, those of the branch that was probably meant: the deepest ones, and of these
 * not those that say it is another branch. All are at one place.
 * @param {readonly ErrorObject[]} errors
 * @returns {ErrorObject[]}
 */
function findClosest(errors) {
  const last = errors[errors.length - 1];
  const inner = errors.filter(({ keyword }) => !BRANCHING.includes(keyword));
  const several = Array.isArray(last.params.passingSchemas);
  if (!BRANCHING.includes(last.keyword) || several || inner.length === 0)
    return [last];
  const depth = inner.reduce((most, one) => Math.max(most, getDepth(one)), 0);
  const deepest = inner.filter((error) => getDepth(error) === depth);
  const best = deepest.find((error) => !isTag(error)) ?? deepest[0];
  return deepest.filter((error) => error.instancePath === best.instancePath);
}

/** @param {ErrorObject} error */
function isTag({ keyword }) {
  return keyword === "const" || keyword === "enum";
}

/** @param {readonly string[]} sentences */
function joinAlternatives(sentences) {
  const all = [...new Set(sentences)].slice(0, MAX_LISTED);
  const be = "must be ";
  return all.every((sentence) => sentence.startsWith(be))
    ? be + all.map((sentence) => sentence.slice(be.length)).join(" or ")
    : all.join(" or ");
}

/** @param {ErrorObject} error */
function toSentence({ keyword, params, message, instancePath }) {
  const what = instancePath === "" ? "argument" : "property";
  switch (keyword) {
    case "required":
      return `missing ${what} ${describe(params.missingProperty)}`;
    case "additionalProperties":
      return `unexpected ${what} ${describe(params.additionalProperty)}`;
    case "unevaluatedProperties":
      return `unexpected ${what} ${describe(params.unevaluatedProperty)}`;
    case "propertyNames":
      return `unexpected ${what} ${describe(params.propertyName)}`;
    case "enum":
      return `must be one of ${formatValues(params.allowedValues)}`;
    case "const":
      return `must be ${formatValues([params.allowedValue])}`;
    case "type":
      return `must be ${[params.type].flat().join(" or ")}`;
    case "false schema":
      return "must not be given";
    default:
      return message ?? keyword;
  }
}

/** @param {readonly unknown[]} values */
function formatValues(values) {
  const texts = values.slice(0, MAX_LISTED).map((value) => {
    const text = JSON.stringify(value) ?? describe(value);
    return text.length > 80 ? `${text.slice(0, 80)}...` : text;
  });
  return [...texts, ...(values.length > MAX_LISTED ? ["..."] : [])].join(", ");
}

// ---------------------------------------------------------------- the JSON Schema of any schema

/**
 * The JSON Schema that describes the arguments `schema` takes, as far as it tells: undefined if it does not.
 * @param {unknown} schema
 * @returns {JsonSchema | undefined}
 */
export function toJsonSchema(schema) {
  if (getStandard(schema) === undefined)
    return isRecord(schema) ? schema : undefined;
  return convertSchema(/** @type {object} */ (schema));
}

const convertSchema = memoize((/** @type {object} */ schema) => {
  for (const conversion of CONVERSIONS) {
    const jsonSchema = attempt(() => conversion(schema));
    if (isRecord(jsonSchema)) return jsonSchema;
  }
  return undefined;
});

/**
 * From what tells most to what tells least. `unrepresentable` is zod's: a Date or a bigint becomes `{}`, not an error.
 * @type {readonly ((schema: any) => unknown)[]}
 */
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

/** @param {unknown} members @param {(member: any) => boolean} isOptional */
function fromMembers(members, isOptional) {
  if (!isRecord(members)) return undefined;
  const names = Object.keys(members);
  return {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, {}])),
    required: names.filter((name) => !isOptional(members[name])),
  };
}

/** @param {any} member */
function isOptionalZod(member) {
  return (
    attempt(
      () => member.isOptional?.() ?? member.safeParse(undefined).success,
    ) === true
  );
}

/** @param {any} member */
function isOptionalValibot(member) {
  return ["optional", "exact_optional", "nullish"].includes(member?.type);
}
