import {
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkText,
  refuse,
} from "./check.js";
import { parametersOf } from "./parameters.js";
import { jsonSchemaOf, validatorFor } from "./schema.js";
import { encode, encodeMembers } from "./wire.js";

const DEFINITION = ["fn", "description", "schema", "parameters", "timeoutMs"];

/**
 * Callbacks in either form of the contract, checked: an array of `{ name, call, description, schema, signature, timeoutMs }`.
 * `signature` is null for a bare function; `schema` is JSON Schema, for show.
 */
export function checkCallbacks(option, given) {
  if (given === undefined) return [];
  if (Array.isArray(given)) {
    return given.map((definition, index) =>
      fromDefinition(
        `${option}[${index}]`,
        named(`${option}[${index}]`, definition),
        definition,
        ["name", ...DEFINITION],
      ),
    );
  }
  if (typeof given !== "object" || given === null)
    refuse(option, given, "an object or an array of callbacks");
  return Object.entries(given).map(([name, callback]) => {
    const path = `${option}.${checkText(option, name)}`;
    return typeof callback === "function"
      ? bare(name, callback)
      : fromDefinition(path, name, callback, DEFINITION);
  });
}

function named(path, definition) {
  if (typeof definition !== "object" || definition === null)
    refuse(path, definition, "an object with name and fn");
  return checkText(`${path}.name`, definition.name);
}

function bare(name, fn) {
  return {
    name,
    signature: null,
    call: (args, named) =>
      Object.keys(named).length === 0 ? fn(...args) : fn(...args, named),
  };
}

function fromDefinition(path, name, given, known) {
  if (typeof given !== "object" || given === null)
    refuse(path, given, "a function, or an object with fn");
  const definition = checkOptions(path, given, known);
  checkFunction(`${path}.fn`, definition.fn);
  const { description, schema, parameters, timeoutMs } = definition;
  const validator = validatorFor(`${path}.schema`, schema);
  const shown = schema === undefined ? undefined : jsonSchemaOf(schema);
  return {
    name,
    description:
      description === undefined
        ? undefined
        : checkText(`${path}.description`, description),
    schema: shown,
    signature: parametersOf(path, { schema, parameters }),
    timeoutMs: checkTimeout(`${path}.timeoutMs`, timeoutMs),
    call: caller(definition, validator),
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

/** What calls `definition.fn`, once its arguments are valid. */
function caller(definition, validator) {
  if (validator === undefined)
    return (_, args, context) => definition.fn(args, context);
  const run = (checked, context) => {
    if (checked.issue !== undefined) throw new ArgumentsRefused(checked.issue);
    return definition.fn(checked.value, context);
  };
  return (_, args, context) => {
    const checked = validator.validate(args);
    return checked instanceof Promise
      ? checked.then((done) => run(done, context))
      : run(checked, context);
  };
}

/** What the addon takes: undefined if there are no callbacks. */
export function encodeCallbacks(callbacks) {
  return callbacks.length === 0
    ? undefined
    : encodeMembers(callbacks.map(encodable), "callbacks");
}

/** `[name, description, schema, parameters, open, timeout]`; a negative timeout is none. */
function encodable({ name, description, schema, signature, timeoutMs }) {
  return [
    name,
    description,
    transferable(schema),
    signature?.parameters.map(encodableParameter),
    signature?.open ?? true,
    timeoutMs === null ? -1 : timeoutMs,
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
