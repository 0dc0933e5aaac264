/** @import * as Public from "../index.js" */
/** @import { AddonError } from "./types.js" */

/** The key of the code that errors of a class have by themselves. */
const CODE = Symbol("code");

/** Base of all errors. What the execution left before the failure is on it: nothing where nothing ran. */
export class EryxError extends Error {
  /** @param {string} [message] @param {Public.ErrorFields<Public.EryxError>} [fields] */
  constructor(message, fields) {
    const values = fields ?? {};
    super(message, "cause" in values ? { cause: values.cause } : undefined);
    /** @type {Public.ErrorCode} */
    this.code = values.code ?? /** @type {any} */ (this)[CODE];
    this.stdout = values.stdout ?? "";
    this.stderr = values.stderr ?? "";
    this.outputTruncated = values.outputTruncated ?? false;
    /** @type {readonly Public.Warning[]} */
    this.warnings = values.warnings ?? [];
    this.durationMs = values.durationMs ?? 0;
    this.callbackInvocations = values.callbackInvocations ?? 0;
    this.peakMemoryBytes = values.peakMemoryBytes ?? 0;
    this.stateLost = values.stateLost ?? false;
    this.stdoutBytes = values.stdoutBytes ?? new Uint8Array(0);
    this.stderrBytes = values.stderrBytes ?? new Uint8Array(0);
    hide(this, "stdoutBytes");
    hide(this, "stderrBytes");
    setIfGiven(this, values, ["fuelConsumed", "trace", "traceTruncated"]);
  }
}

/**
 * The field does not show any more where an error is printed: the text is there already.
 * @param {object} error
 * @param {PropertyKey} name
 */
function hide(error, name) {
  Object.defineProperty(error, name, { enumerable: false });
}

/**
 * @template {object} Values
 * @param {object} error
 * @param {Values} values
 * @param {readonly (keyof Values)[]} names
 */
function setIfGiven(error, values, names) {
  for (const name of names)
    if (values[name] !== undefined)
      Object.assign(error, { [name]: values[name] });
}

export class ExecutionError extends EryxError {
  /** @param {string} [message] @param {Public.ErrorFields<Public.ExecutionError>} [fields] */
  constructor(message, fields) {
    super(message, fields);
    this.pythonType = fields?.pythonType ?? "Exception";
    this.traceback = fields?.traceback ?? this.message;
    this.frames = fields?.frames ?? [];
    setIfGiven(this, fields ?? {}, ["exitCode"]);
  }
}

export class TimeoutError extends EryxError {}
export class CancelledError extends EryxError {}
export class InitializationError extends EryxError {}
export class SnapshotError extends EryxError {}
export class PackageError extends EryxError {}
export class PoolError extends EryxError {}

export class SuspendedError extends EryxError {
  /** @param {string} [message] @param {Public.ErrorFields<Public.SuspendedError>} [fields] */
  constructor(message, fields) {
    super(message, fields);
    this.reason = fields?.reason ?? "";
    this.pending = fields?.pending ?? [];
    this.checkpoint = fields?.checkpoint ?? new Uint8Array(0);
  }
}

export class ResourceLimitError extends EryxError {
  /** @param {string} [message] @param {Public.ErrorFields<Public.ResourceLimitError>} [fields] */
  constructor(message, fields) {
    super(message, fields);
    this.limit = fields?.limit ?? "maxMemoryBytes";
  }
}

/** @type {{ readonly [code: string]: typeof EryxError }} */
const CLASSES = {
  ERYX_EXECUTION: ExecutionError,
  ERYX_TIMEOUT: TimeoutError,
  ERYX_CANCELLED: CancelledError,
  ERYX_RESOURCE_LIMIT: ResourceLimitError,
  ERYX_INITIALIZATION: InitializationError,
  ERYX_SNAPSHOT: SnapshotError,
  ERYX_SUSPENDED: SuspendedError,
  ERYX_PACKAGE: PackageError,
  ERYX_POOL_CLOSED: PoolError,
  ERYX_POOL_TIMEOUT: PoolError,
};

/** Thrown by a callback to stop the execution at its `await` and hand the caller a checkpoint. */
export class SuspendExecution extends Error {
  constructor(reason = "") {
    super(reason);
  }
}

// On the prototypes, as the names of JavaScript's own errors: they do not show as fields of each error.
for (const Class of [
  EryxError,
  SuspendExecution,
  ...new Set(Object.values(CLASSES)),
])
  setHidden(Class.prototype, "name", Class.name);
setHidden(EryxError.prototype, CODE, "ERYX_INTERNAL");
for (const [code, Class] of Object.entries(CLASSES))
  setHidden(Class.prototype, CODE, code);

/**
 * @param {object} prototype
 * @param {PropertyKey} name
 * @param {string} value
 */
function setHidden(prototype, name, value) {
  Object.defineProperty(prototype, name, {
    value,
    configurable: true,
    writable: true,
  });
}

/**
 * An argument that cannot be used: says which, what came, and what is expected.
 * @param {string} message
 */
export function makeArgumentError(message) {
  return Object.assign(new TypeError(message), {
    code: "ERYX_INVALID_ARGUMENT",
  });
}

/**
 * The public error for one that the addon reports: `code`, `message` and the fields of the class.
 * @param {Omit<AddonError, "pending">} reported
 * @param {Partial<Public.ExecutionRecord>} [record]
 */
export function toPublicError(reported, record = {}) {
  if (reported.code === "ERYX_INVALID_ARGUMENT")
    return makeArgumentError(reported.message);
  // A closed sandbox is not asked at all.
  if (reported.code === "ERYX_CLOSED") return makeClosedError("session");
  const Class = CLASSES[reported.code] ?? EryxError;
  return new Class(reported.message, { ...reported, ...record });
}

/**
 * Runs `call`, a call into the addon that throws errors as "CODE message".
 * @template T
 * @param {() => T} call
 * @returns {T}
 */
export function translateErrors(call) {
  try {
    return call();
  } catch (/** @type {any} */ error) {
    const [, code, message] =
      /^(ERYX_[A-Z_]+) ([^]*)$/.exec(error.message) ?? [];
    throw code === undefined
      ? error
      : toPublicError({
          code: /** @type {Public.ErrorCode} */ (code),
          message,
        });
  }
}

/**
 * For calls on something that was closed.
 * @param {string} what
 */
export function makeClosedError(what) {
  return new EryxError(`the ${what} is closed`, { code: "ERYX_CLOSED" });
}
