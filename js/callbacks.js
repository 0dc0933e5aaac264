import {
  checkBoolean,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkText,
  optional,
  refuse,
  shown,
} from "./check.js";
import { InitializationError } from "./errors.js";
import { parametersOf } from "./parameters.js";
import { isPlain, jsonSchemaOf, validatorFor } from "./schema.js";
import { encode, encodeMembers, setOwn } from "./wire.js";

const DEFINITION = [
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
 */
export function checkCallbacks(option, given) {
  if (given === undefined) return [];
  if (Array.isArray(given)) {
    return Array.from(given, (definition, index) => {
      const path = `${option}[${index}]`;
      const name = nameIn(path, definition);
      return fromDefinition(path, name, definition, ["name", ...DEFINITION]);
    });
  }
  if (!isPlain(given))
    refuse(option, given, "an object or an array of callbacks");
  return Object.entries(given).map(([name, callback]) => {
    const path = `${option}.${checkName(name)}`;
    return typeof callback === "function"
      ? bare(name, callback)
      : fromDefinition(path, name, callback, DEFINITION);
  });
}

function nameIn(path, definition) {
  if (typeof definition !== "object" || definition === null)
    refuse(path, definition, "an object with name and fn");
  const { name } = definition;
  if (typeof name !== "string") refuse(`${path}.name`, name, "a string");
  return checkName(name);
}

/** The core checks all else of names. Whatever is wrong with one, the error's class is the same. */
function checkName(name) {
  if (!name.isWellFormed())
    throw new InitializationError("callbacks: a name has a lone surrogate");
  return name;
}

function bare(name, fn) {
  return {
    name,
    signature: null,
    sync: false,
    call: (args, named) =>
      Object.keys(named).length === 0 ? fn(...args) : fn(...args, named),
  };
}

function fromDefinition(path, name, given, known) {
  if (typeof given !== "object" || given === null)
    refuse(path, given, "a function, or an object with fn");
  const definition = checkOptions(path, given, known);
  checkFunction(`${path}.fn`, definition.fn);
  const { description, schema, parameters, timeoutMs, sync } = definition;
  const validator = validatorFor(`${path}.schema`, schema);
  const described = schema === undefined ? undefined : jsonSchemaOf(schema);
  const signature = parametersOf(path, { schema, parameters });
  return {
    name,
    description: optional(`${path}.description`, description, checkText),
    schema: described,
    signature,
    timeoutMs: checkTimeout(`${path}.timeoutMs`, timeoutMs),
    sync: optional(`${path}.sync`, sync, checkBoolean) ?? false,
    call: caller(definition, signature, validator),
  };
}

/** Undefined is the sandbox's limit, null is none. */
function checkTimeout(name, value) {
  return value === undefined || value === null
    ? value
    : checkMilliseconds(name, value);
}

/** Arguments that do not match a schema: Python sees CallbackArgumentError. */
export class ArgumentsRefused extends Error {}

/** What calls `definition.fn`, once its arguments are valid, and if the answer `isWanted` then. */
function caller(definition, signature, validator) {
  const known = new Set(signature.parameters.map(({ name }) => name));
  const run = (checked, context) => {
    if (checked.issue !== undefined) throw new ArgumentsRefused(checked.issue);
    return definition.fn(checked.value, context);
  };
  return (args, named, context, isWanted) => {
    const bound = conform(signature, known, args, named);
    if (validator === undefined) return definition.fn(bound, context);
    const checked = validator.validate(bound);
    if (!(checked instanceof Promise)) return run(checked, context);
    return checked.then((done) =>
      isWanted() ? run(done, context) : undefined,
    );
  };
}

/** What Python's binding has made of the arguments, once more: hostile code can go round it. */
function conform({ parameters, open }, known, args, named) {
  if (args.length > 0)
    throw new ArgumentsRefused("unexpected positional arguments");
  const extra = Object.keys(named).find((name) => !known.has(name));
  if (extra !== undefined && !open)
    throw new ArgumentsRefused(`unexpected argument ${shown(extra)}`);
  for (const { name, required, default: initial } of parameters) {
    if (Object.hasOwn(named, name)) continue;
    if (required) throw new ArgumentsRefused(`missing argument ${shown(name)}`);
    if (initial !== undefined) setOwn(named, name, structuredClone(initial));
  }
  return named;
}

/** What the addon takes: undefined if there are no callbacks. */
export function encodeCallbacks(callbacks) {
  return callbacks.length === 0
    ? undefined
    : encodeMembers(callbacks.map(encodable), "callbacks");
}

/** `[name, description, schema, parameters, open, timeout, sync]`; a negative timeout is none. */
function encodable(callback) {
  const { name, description, schema, signature, timeoutMs, sync } = callback;
  return [
    name,
    description,
    transferable(schema),
    signature?.parameters.map(encodableParameter),
    signature?.open ?? true,
    timeoutMs === null ? -1 : timeoutMs,
    sync,
  ];
}

/** `[name, required, keywordOnly, annotation, hasDefault, default]` */
function encodableParameter(parameter) {
  const { name, required, keywordOnly, annotation } = parameter;
  const initial = transferable(parameter.default);
  return [
    name,
    required,
    keywordOnly === true,
    annotation,
    initial !== undefined,
    initial,
  ];
}

/** Schemas may hold anything; what cannot cross is not shown. */
function transferable(value) {
  try {
    encode(value, "schema");
    return value;
  } catch {
    return undefined;
  }
}
