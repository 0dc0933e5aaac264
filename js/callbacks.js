import {
  checkBoolean,
  checkFunction,
  checkMilliseconds,
  checkOptional,
  checkOptions,
  checkText,
  describe,
  refuse,
} from "./check.js";
import { InitializationError } from "./errors.js";
import { makeSignature } from "./parameters.js";
import { isPlainObject, makeValidator, toJsonSchema } from "./schema.js";
import { encode, encodeMembers, setOwn } from "./wire.js";

/** @import { CallbackContext, CallbackDefinition, Callbacks } from "../index.js" */
/** @import { Callback, NamedArguments, Parameter, Signature, Validator, Verdict } from "./types.js" */

const DEFINITION_OPTIONS = [
  "fn",
  "description",
  "schema",
  "parameters",
  "timeoutMs",
  "sync",
];

/**
 * Callbacks in either form of the contract, checked: an array of
 * `{ name, call, description, schema, signature, timeoutMs, sync }`. `signature` is null for a bare function; `schema` is
 * JSON Schema, for show.
 * @param {string} option
 * @param {Callbacks | undefined} input
 * @returns {Callback[]}
 */
export function checkCallbacks(option, input) {
  if (input === undefined) return [];
  if (Array.isArray(input)) {
    return Array.from(input, (definition, index) => {
      const path = `${option}[${index}]`;
      const name = readName(path, definition);
      return fromDefinition(path, name, definition, [
        "name",
        ...DEFINITION_OPTIONS,
      ]);
    });
  }
  if (!isPlainObject(input))
    refuse(option, input, "an object or an array of callbacks");
  return Object.entries(input).map(([name, callback]) => {
    const path = `${option}.${checkName(name)}`;
    return typeof callback === "function"
      ? fromFunction(name, callback)
      : fromDefinition(path, name, callback, DEFINITION_OPTIONS);
  });
}

/** @param {string} path @param {unknown} definition */
function readName(path, definition) {
  if (typeof definition !== "object" || definition === null)
    refuse(path, definition, "an object with name and fn");
  const { name } = /** @type {{ name?: unknown }} */ (definition);
  if (typeof name !== "string") refuse(`${path}.name`, name, "a string");
  return checkName(name);
}

/**
 * The core checks all else of names. Whatever is wrong with one, the error's class is the same.
 * @param {string} name
 */
function checkName(name) {
  if (!name.isWellFormed())
    throw new InitializationError("callbacks: a name has a lone surrogate");
  return name;
}

/** @param {string} name @param {(...args: any[]) => unknown} fn @returns {Callback} */
function fromFunction(name, fn) {
  return {
    name,
    signature: null,
    sync: false,
    call: (args, named) =>
      Object.keys(named).length === 0 ? fn(...args) : fn(...args, named),
  };
}

/**
 * @param {string} path
 * @param {string} name
 * @param {unknown} input
 * @param {readonly string[]} options
 * @returns {Callback}
 */
function fromDefinition(path, name, input, options) {
  if (typeof input !== "object" || input === null)
    refuse(path, input, "a function, or an object with fn");
  const definition = /** @type {CallbackDefinition} */ (
    checkOptions(path, input, options)
  );
  checkFunction(`${path}.fn`, definition.fn);
  const { description, schema, parameters, timeoutMs, sync } = definition;
  const validator = makeValidator(`${path}.schema`, schema);
  const jsonSchema = schema === undefined ? undefined : toJsonSchema(schema);
  const signature = makeSignature(path, { schema, parameters });
  return {
    name,
    description: checkOptional(`${path}.description`, description, checkText),
    schema: jsonSchema,
    signature,
    timeoutMs: checkTimeout(`${path}.timeoutMs`, timeoutMs),
    sync: checkOptional(`${path}.sync`, sync, checkBoolean) ?? false,
    call: makeCall(definition, signature, validator),
  };
}

/**
 * Undefined is the sandbox's limit, null is none.
 * @param {string} name
 * @param {unknown} value
 */
function checkTimeout(name, value) {
  return value === undefined || value === null
    ? value
    : checkMilliseconds(name, value);
}

/** Arguments that do not match a schema: Python sees CallbackArgumentError. */
export class ArgumentsError extends Error {}

/**
 * Makes the function that calls `definition.fn`, once the arguments are valid, and if the answer `isWanted` then.
 * @param {CallbackDefinition} definition
 * @param {Signature} signature
 * @param {Validator | undefined} validator
 * @returns {Callback["call"]}
 */
function makeCall(definition, signature, validator) {
  const names = new Set(signature.parameters.map(({ name }) => name));
  /** @type {(verdict: Verdict, context: CallbackContext) => unknown} */
  const run = (verdict, context) => {
    if (verdict.issue !== undefined) throw new ArgumentsError(verdict.issue);
    return definition.fn(verdict.value, context);
  };
  return (args, named, context, isWanted) => {
    const argument = conform(signature, names, args, named);
    if (validator === undefined) return definition.fn(argument, context);
    const verdict = validator.validate(argument);
    if (!(verdict instanceof Promise)) return run(verdict, context);
    return verdict.then((late) =>
      isWanted() ? run(late, context) : undefined,
    );
  };
}

/**
 * What Python's binding has made of the arguments, once more: hostile code can go round it.
 * @param {Signature} signature
 * @param {Set<string>} names
 * @param {unknown[]} args
 * @param {NamedArguments} named
 */
function conform({ parameters, open }, names, args, named) {
  if (args.length > 0)
    throw new ArgumentsError("unexpected positional arguments");
  const extra = Object.keys(named).find((name) => !names.has(name));
  if (extra !== undefined && !open)
    throw new ArgumentsError(`unexpected argument ${describe(extra)}`);
  for (const { name, required, default: value } of parameters) {
    if (Object.hasOwn(named, name)) continue;
    if (required)
      throw new ArgumentsError(`missing argument ${describe(name)}`);
    if (value !== undefined) setOwn(named, name, structuredClone(value));
  }
  return named;
}

/**
 * What the addon takes: undefined if there are no callbacks.
 * @param {readonly Callback[]} callbacks
 */
export function encodeCallbacks(callbacks) {
  return callbacks.length === 0
    ? undefined
    : encodeMembers(callbacks.map(toEncodable), "callbacks");
}

/**
 * `[name, description, schema, parameters, open, timeout, sync]`; a negative timeout is none.
 * @param {Callback} callback
 */
function toEncodable(callback) {
  const { name, description, schema, signature, timeoutMs, sync } = callback;
  return [
    name,
    description,
    toTransferable(schema),
    signature?.parameters.map(toEncodableParameter),
    signature?.open ?? true,
    timeoutMs === null ? -1 : timeoutMs,
    sync,
  ];
}

/**
 * `[name, required, keywordOnly, annotation, hasDefault, default]`
 * @param {Parameter} parameter
 */
function toEncodableParameter(parameter) {
  const { name, required, keywordOnly, annotation } = parameter;
  const value = toTransferable(parameter.default);
  return [
    name,
    required,
    keywordOnly === true,
    annotation,
    value !== undefined,
    value,
  ];
}

/**
 * Schemas may hold anything; what cannot cross is not shown.
 * @template T
 * @param {T} value
 * @returns {T | undefined}
 */
function toTransferable(value) {
  try {
    encode(value, "schema");
    return value;
  } catch {
    return undefined;
  }
}
