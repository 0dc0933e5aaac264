import { makeArgumentError } from "./errors.js";
import { inspect, types } from "./node.js";

/** `value` as a message shows it: short, with its type unless that is plain to see. */
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

export function getConstructorName(value) {
  try {
    const name = value?.constructor?.name;
    return typeof name === "string" && name !== "" ? name : "Object";
  } catch {
    return "Object"; // a getter or a proxy that throws
  }
}

/** What `call` returns; undefined if it throws. */
export function attempt(call) {
  try {
    return call();
  } catch {
    return undefined;
  }
}

export function refuse(name, value, expected) {
  throw makeArgumentError(
    `${name}: expected ${expected}, got ${describe(value)}`,
  );
}

/**
 * A regular expression that is made when it is first asked for. A literal with `\p{...}` is looked at with the file that it is in,
 * which takes 0.2 ms where nobody uses it.
 */
export function makeLazyRegExp(source, flags) {
  let regExp;
  return () => (regExp ??= new RegExp(source, flags));
}

/** An object with named members: no array. */
export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As isRecord. What is of another class and has no members, such as a Promise or a Map, would pass as an empty one. */
export function checkRecord(name, value, expected, inherited = []) {
  const isValid =
    isRecord(value) &&
    (getConstructorName(value) === "Object" ||
      Object.keys(value).length > 0 ||
      inherited.some((member) => member in value));
  if (!isValid) refuse(name, value, expected);
  return value;
}

/** Text without lone surrogates: Python's source and file names are UTF-8. */
export function checkText(name, value) {
  if (typeof value !== "string") refuse(name, value, "a string");
  if (!value.isWellFormed()) {
    throw makeArgumentError(
      `${name}: expected well-formed text, got a string with a lone surrogate`,
    );
  }
  return value;
}

/** Text that can be a path: not empty, and without NUL characters. */
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

/** `check(name, value)`, unless there is no value. */
export function checkOptional(name, value, check) {
  return value === undefined ? undefined : check(name, value);
}

export function checkBoolean(name, value) {
  if (typeof value !== "boolean") refuse(name, value, "a boolean");
  return value;
}

export function checkFunction(name, value) {
  if (typeof value !== "function") refuse(name, value, "a function");
  return value;
}

/** An object of options, whose own fields are all known. Messages do not offer those of `unlisted`. */
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

/** An amount of something: a whole number from 1 to `max`. */
export function checkAmount(name, value, unit, max = Number.MAX_SAFE_INTEGER) {
  const expected = `a whole number of ${unit} from 1 to ${max}, or null for no limit`;
  if (!Number.isInteger(value) || value < 1 || value > max)
    refuse(name, value, expected);
  return value;
}

export function checkBytes(name, value, expected = "a Uint8Array") {
  if (!types.isUint8Array(value)) refuse(name, value, expected);
  if (isDetached(value))
    throw makeArgumentError(
      `${name}: expected ${expected}, got a detached one`,
    );
  return value;
}

/** Whether the buffer was transferred, or shrunk: such an array would pass as an empty one. */
export function isDetached(bytes) {
  if (bytes.length > 0) return false;
  try {
    bytes.keys();
    return false;
  } catch {
    return true;
  }
}

/** A whole number from 1 to `max`. */
export function checkCount(name, value, max) {
  if (!Number.isInteger(value) || value < 1 || value > max)
    refuse(name, value, `a whole number from 1 to ${max}`);
  return value;
}

/** Milliseconds, as Node's own timers take them. */
export function checkMilliseconds(name, value) {
  const max = 2 ** 31 - 1;
  if (typeof value !== "number" || !(value > 0) || value > max) {
    refuse(
      name,
      value,
      `a number of milliseconds above 0 and up to ${max}, or null for no limit`,
    );
  }
  return value;
}
