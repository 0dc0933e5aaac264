import { makeArgumentError } from "./errors.js";
import { inspect, types } from "./node.js";

/**
 * `value` as a message shows it: short, with its type unless that is plain to see.
 * @param {unknown} value
 */
export function describe(value) {
  if (typeof value === "string")
    return JSON.stringify(
      value.length > 40 ? `${value.slice(0, 40)}...` : value,
    );
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value)
      ? "an array"
      : `an object (${getConstructorName(value)})`;
  }
  return typeof value === "bigint" ? `${value}n` : inspect(value);
}

/** @param {any} value */
export function getConstructorName(value) {
  try {
    const name = value?.constructor?.name;
    return typeof name === "string" && name !== "" ? name : "Object";
  } catch {
    return "Object"; // a getter or a proxy that throws
  }
}

/**
 * What `call` returns; undefined if it throws.
 * @template T
 * @param {() => T} call
 * @returns {T | undefined}
 */
export function attempt(call) {
  try {
    return call();
  } catch {
    return undefined;
  }
}

/** @param {string} name @param {unknown} value @param {string} expected @returns {never} */
export function refuse(name, value, expected) {
  throw makeArgumentError(
    `${name}: expected ${expected}, got ${describe(value)}`,
  );
}

/**
 * A regular expression that is made when it is first asked for. A literal with `\p{...}` is looked at with the file that it is in,
 * which takes 0.2 ms where nobody uses it.
 * @param {string} source
 * @param {string} flags
 */
export function makeLazyRegExp(source, flags) {
  let regExp;
  return () => (regExp ??= new RegExp(source, flags));
}

/**
 * An object with named members: no array.
 * @param {unknown} value
 * @returns {value is { readonly [key: string]: unknown }}
 */
export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * As isRecord. What is of another class and has no members, such as a Promise or a Map, would pass as an empty one.
 * @param {string} name
 * @param {unknown} value
 * @param {string} expected
 * @param {readonly string[]} [inherited]
 * @returns {{ readonly [key: string]: unknown }}
 */
export function checkRecord(name, value, expected, inherited = []) {
  const isValid =
    isRecord(value) &&
    (getConstructorName(value) === "Object" ||
      Object.keys(value).length > 0 ||
      inherited.some((member) => member in value));
  if (!isValid) refuse(name, value, expected);
  return value;
}

/**
 * Text without lone surrogates: Python's source and file names are UTF-8.
 * @param {string} name
 * @param {unknown} value
 */
export function checkText(name, value) {
  if (typeof value !== "string") refuse(name, value, "a string");
  if (!value.isWellFormed()) {
    throw makeArgumentError(
      `${name}: expected well-formed text, got a string with a lone surrogate`,
    );
  }
  return value;
}

/**
 * Text that can be a path: not empty, and without NUL characters.
 * @param {string} name
 * @param {unknown} value
 */
export function checkPath(name, value) {
  const path = checkText(name, value);
  if (path === "") throw makeArgumentError(`${name}: expected a path, got ""`);
  if (path.includes("\0")) {
    throw makeArgumentError(
      `${name}: expected a path without NUL characters, got ${describe(path)}`,
    );
  }
  return path;
}

/**
 * `check(name, value)`, unless there is no value.
 * @template Value, Checked
 * @param {string} name
 * @param {Value | undefined} value
 * @param {(name: string, value: Value) => Checked} check
 */
export function checkOptional(name, value, check) {
  return value === undefined ? undefined : check(name, value);
}

/** @param {string} name @param {unknown} value */
export function checkBoolean(name, value) {
  if (typeof value !== "boolean") refuse(name, value, "a boolean");
  return value;
}

/** @template Value @param {string} name @param {Value} value @returns {Value & Function} */
export function checkFunction(name, value) {
  if (typeof value !== "function") refuse(name, value, "a function");
  return value;
}

/**
 * An object of options, whose own fields are all known. Messages do not offer those of `unlisted`.
 * @template {object} Options
 * @param {string} name
 * @param {Options | undefined} value
 * @param {readonly string[]} known
 * @param {readonly string[]} [unlisted]
 * @returns {Partial<Options>}
 */
export function checkOptions(name, value, known, unlisted = []) {
  if (value === undefined) return {};
  checkRecord(name, value, "an object", known);
  for (const key of Object.keys(value)) {
    if (!known.includes(key) && !unlisted.includes(key)) {
      throw makeArgumentError(
        `${name}.${key}: unknown option, expected one of ${known.join(", ")}`,
      );
    }
  }
  return value;
}

/**
 * An amount of something: a whole number from 1 to `max`.
 * @param {string} name
 * @param {unknown} value
 * @param {string} unit
 * @returns {number}
 */
export function checkAmount(name, value, unit, max = Number.MAX_SAFE_INTEGER) {
  const expected = `a whole number of ${unit} from 1 to ${max}, or null for no limit`;
  if (
    typeof value !== "number" ||
    !Number.isInteger(value) ||
    value < 1 ||
    value > max
  )
    refuse(name, value, expected);
  return value;
}

/** @param {string} name @param {unknown} value @param {string} [expected] */
export function checkBytes(name, value, expected = "a Uint8Array") {
  if (!types.isUint8Array(value)) refuse(name, value, expected);
  if (isDetached(value))
    throw makeArgumentError(
      `${name}: expected ${expected}, got a detached one`,
    );
  return value;
}

/**
 * Whether the buffer was transferred, or shrunk: such an array would pass as an empty one.
 * @param {Uint8Array} bytes
 */
export function isDetached(bytes) {
  if (bytes.length > 0) return false;
  try {
    bytes.keys();
    return false;
  } catch {
    return true;
  }
}

/**
 * A whole number from 1 to `max`.
 * @param {string} name
 * @param {unknown} value
 * @param {number} max
 * @returns {number}
 */
export function checkCount(name, value, max) {
  if (
    typeof value !== "number" ||
    !Number.isInteger(value) ||
    value < 1 ||
    value > max
  )
    refuse(name, value, `a whole number from 1 to ${max}`);
  return value;
}

/**
 * Milliseconds, as Node's own timers take them.
 *
 * @param {string} name
 * @param {unknown} value
 * @param {string} [ofNull] what null is
 * @returns {number}
 */
export function checkMilliseconds(name, value, ofNull = "no limit") {
  const max = 2 ** 31 - 1;
  if (typeof value !== "number" || !(value > 0) || value > max) {
    refuse(
      name,
      value,
      `a number of milliseconds above 0 and up to ${max}, or null for ${ofNull}`,
    );
  }
  return value;
}
