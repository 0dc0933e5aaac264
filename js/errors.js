/** Base of all errors. Whatever was printed before the failure is on it. */
export class EryxError extends Error {
  constructor(message, { code, stdout = "", stderr = "", stateLost = false }) {
    super(message);
    this.code = code;
    this.stdout = stdout;
    this.stderr = stderr;
    this.stateLost = stateLost;
  }
}

export class ExecutionError extends EryxError {
  constructor(message, fields) {
    super(message, fields);
    this.pythonType = fields.pythonType;
    this.traceback = fields.traceback;
    this.frames = fields.frames;
    if (fields.exitCode !== undefined) this.exitCode = fields.exitCode;
  }
}

export class TimeoutError extends EryxError {}
export class CancelledError extends EryxError {}
export class InitializationError extends EryxError {}
export class SnapshotError extends EryxError {}
export class PackageError extends EryxError {}
export class PoolError extends EryxError {}

export class SuspendedError extends EryxError {
  constructor(message, fields) {
    super(message, fields);
    this.reason = fields.reason;
    this.pending = fields.pending;
    this.checkpoint = fields.checkpoint;
  }
}

export class ResourceLimitError extends EryxError {
  constructor(message, fields) {
    super(message, fields);
    this.limit = fields.limit;
  }
}

const CLASSES = {
  ERYX_EXECUTION: ExecutionError,
  ERYX_TIMEOUT: TimeoutError,
  ERYX_CANCELLED: CancelledError,
  ERYX_RESOURCE_LIMIT: ResourceLimitError,
  ERYX_INITIALIZATION: InitializationError,
  ERYX_SNAPSHOT: SnapshotError,
  ERYX_SUSPENDED: SuspendedError,
  ERYX_PACKAGE: PackageError,
  ERYX_POOL_TIMEOUT: PoolError,
  ERYX_POOL_CLOSED: PoolError,
};

/** Thrown by a callback to stop the execution at its `await` and hand the caller a checkpoint. */
export class SuspendExecution extends Error {
  constructor(reason = "") {
    super(reason);
  }
}

for (const Class of new Set([
  EryxError,
  SuspendExecution,
  ...Object.values(CLASSES),
])) {
  // On the prototype, as for JavaScript's own errors: it does not show as a field of each error.
  Object.defineProperty(Class.prototype, "name", {
    value: Class.name,
    configurable: true,
    writable: true,
  });
}

/** An argument that cannot be used: says which, what came, and what is expected. */
export function invalidArgument(message) {
  const error = new TypeError(message);
  error.code = "ERYX_INVALID_ARGUMENT";
  return error;
}

/** The public error for one that the addon reports: `code`, `message` and the fields of the class. */
export function fromNative(native, output = {}) {
  if (native.code === "ERYX_INVALID_ARGUMENT")
    return invalidArgument(native.message);
  // A closed sandbox is not asked at all.
  if (native.code === "ERYX_CLOSED") return closed("session");
  const Class = CLASSES[native.code] ?? EryxError;
  return new Class(native.message, { ...native, ...output });
}

/** Runs `call`, a call into the addon that throws errors as "CODE message". */
export function translated(call) {
  try {
    return call();
  } catch (error) {
    const [, code, message] =
      /^(ERYX_[A-Z_]+) ([^]*)$/.exec(error.message) ?? [];
    throw code === undefined ? error : fromNative({ code, message });
  }
}

/** For calls on something that was closed. */
export function closed(what) {
  return new EryxError(`the ${what} is closed`, { code: "ERYX_CLOSED" });
}
