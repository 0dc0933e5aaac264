/**
 * What crosses between JavaScript and Python, in both directions.
 *
 * | Python                | JavaScript                                               |
 * | --------------------- | -------------------------------------------------------- |
 * | None                  | null (undefined becomes None)                            |
 * | bool, str             | boolean, string                                          |
 * | int                   | number if |n| <= 2^53 - 1, else bigint; both ways exact  |
 * | float, nan, inf       | number (a whole number arrives in Python as int)         |
 * | bytes, bytearray      | Uint8Array (Buffer accepted)                             |
 * | list, tuple, set      | Array                                                    |
 * | dict with str keys    | plain object                                             |
 *
 * Anything else is a clear error on the side that sent it, naming the type and
 * the path to it (`result.rows[3].when: datetime.datetime is not transferable`).
 * One value may be nested 256 levels deep, hold 1,048,576 values and take 64 MiB.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Value[]
  | { [key: string]: Value };

/**
 * What may be given where a value is expected: also `undefined`, readonly arrays, and objects whose type is an interface. Members
 * of these are checked when they are sent.
 */
export type ValueInput =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly ValueInput[]
  | { readonly [key: string]: ValueInput }
  | PlainObject;
/** Objects that are not seen to be of a class that does not cross: no Date, Map, Promise, RegExp, URL and no function. */
export type PlainObject = object & {
  readonly [Symbol.hasInstance]?: never;
  readonly [Symbol.iterator]?: never;
  readonly [Symbol.match]?: never;
  readonly [Symbol.toPrimitive]?: never;
  readonly [Symbol.toStringTag]?: never;
  readonly toJSON?: never;
};

// ---------------------------------------------------------------- limits

export interface ResourceLimits {
  /** Wall clock of one execute(), waits included. Default 30_000. null = none. */
  executionTimeoutMs?: number | null;
  /** One callback. Python sees TimeoutError. Default 10_000. null = none. */
  callbackTimeoutMs?: number | null;
  /** Linear memory, interpreter included. Python sees MemoryError. Default 134_217_728. null = 4 GiB. */
  maxMemoryBytes?: number | null;
  /** Callbacks per execute(). Over it Python sees CallbackLimitError. Default 1000. null = none. */
  maxCallbackInvocations?: number | null;
  /**
   * Wasm instructions per execute(); setting it turns counting on. Over it: ResourceLimitError. Default null = none. The first run with it on a machine waits some
   * seconds for code that counts, within its `executionTimeoutMs`; later ones find it in the cache.
   */
  maxFuel?: number | bigint | null;
  /** stdout + stderr kept per execute(); the rest is dropped, and `outputTruncated` is true. Default 10_485_760. null = none. */
  maxOutputBytes?: number | null;
  /**
   * Files of one execute() outside of `vfs` and `volumes`: contents, names and directories. Python sees OSError ENOSPC.
   * Default 67_108_864. null = none.
   */
  maxVfsBytes?: number | null;
}
export declare const ResourceLimits: {
  /** Every limit null. For code that is trusted. */
  unlimited(): Required<ResourceLimits>;
};

// ------------------------------------------------------------- callbacks

export interface CallbackContext {
  /** Aborted when the guest task is cancelled, times out, or the execution ends. */
  readonly signal: AbortSignal;
  readonly name: string;
}
/** `await add(1, b=2)` in Python calls `add(1, { b: 2 })`: positionals first, then one object if keywords were given. */
export type CallbackFunction = (...args: any[]) => unknown | Promise<unknown>;
export interface CallbackDefinition<Args = any> {
  /** Called with ONE object. Positional arguments are bound in the declared order of `parameters` / `schema.properties`. */
  fn: (args: Args, context: CallbackContext) => unknown | Promise<unknown>;
  /** The docstring. */
  description?: string;
  /**
   * JSON Schema of the argument object, or any Standard Schema (zod, valibot, arktype): arguments are validated before fn
   * runs. Arguments that do not match are a CallbackArgumentError in Python. `default` of a property is applied;
   * `format` is not checked. It is a schema of objects: one of strings or arrays is refused.
   */
  schema?: ArgumentSchema;
  /** Names of the parameters in positional order. Without a schema all of them are required. */
  parameters?: readonly string[];
  /** In place of `resourceLimits.callbackTimeoutMs`; null = none. */
  timeoutMs?: number | null;
  /**
   * Python calls it as a plain function, `price("tea")`, and waits below the call, also if `fn` is async. An event loop that
   * runs stands still meanwhile. SuspendExecution is a CallbackError there. Default false: `await price("tea")`.
   */
  sync?: boolean;
}
/** A JSON Schema, or a Standard Schema of an object. */
export type ArgumentSchema =
  | { readonly "~standard"?: undefined; readonly [keyword: string]: unknown }
  | (object & { readonly "~standard"?: undefined })
  | {
      readonly "~standard": {
        readonly version: 1;
        readonly vendor: string;
        readonly validate: (value: unknown) => unknown;
        readonly types?: { readonly input: PlainObject | null | undefined };
      };
    };
/**
 * Keys may be dotted: `"http.get"` becomes `await http.get(...)` in Python. The first part is a Python identifier that is
 * no keyword, no builtin and not the result variable; the others may be any text: `http["odd-name"]`. A name that cannot be
 * used is an InitializationError from the constructor, whatever is wrong with it.
 *
 * What a function throws is CallbackError in Python, with the error's name and message and nothing else; its timeout is
 * TimeoutError; a call beyond `maxCallbackInvocations` is CallbackLimitError.
 */
export type Callbacks =
  | Record<string, CallbackFunction | CallbackDefinition>
  | ReadonlyArray<CallbackDefinition & { name: string }>;

/** Callbacks plus Python source that wraps them plus type stubs, as one reusable unit. */
export declare class RuntimeLibrary {
  /** `python` runs before the code, in the same namespace, as `<library>`, `<library 2>`, ..; 4 MiB per sandbox. */
  constructor(options?: {
    callbacks?: Callbacks;
    python?: string;
    stubs?: string;
  });
  /** A library with the parts of both; this one's Python runs first. A name that both define is an error. */
  merge(other: RuntimeLibrary): RuntimeLibrary;
  /** `.pyi` text of every callback (signature from the schema, description as docstring) plus `stubs`. */
  readonly typeStubs: string;
}

/**
 * Thrown by a callback to stop the execution at its `await` and hand the caller a checkpoint.
 *
 * The code must await it at the top level, in what top-level code runs by `asyncio.run()`, or in tasks of these; below a function
 * that calls `asyncio.run()` Python sees a CallbackError. Other calls in flight are aborted, and wait as this one does.
 */
export declare class SuspendExecution extends Error {
  constructor(reason?: string);
}

// --------------------------------------------------------------- options

export interface ExecutionOptions {
  /**
   * Aborting it ends the execution with a CancelledError, whose `cause` is the reason: for `AbortSignal.timeout()` a
   * DOMException called "TimeoutError". The class TimeoutError is for `timeoutMs` and `executionTimeoutMs`.
   */
  signal?: AbortSignal;
  /** In place of `resourceLimits.executionTimeoutMs`; null = none. */
  timeoutMs?: number | null;
  /** Variables set before the code runs. No keywords, and none of Python's own such as `__builtins__` and `__spec__`. */
  inputs?: { readonly [name: string]: ValueInput } | PlainObject;
  stdin?: string | Uint8Array;
  /**
   * Called in order, decoded, while the code runs; all calls are made before the promise settles. A promise that it returns is
   * awaited before anything else of the execution is handed over, and the code waits when too much has piled up. What it throws
   * or rejects with is a process warning, "EryxWarning", and the execution goes on. The execution's time limit does not cover
   * what handlers take after its code has ended.
   */
  onStdout?: (chunk: string) => unknown;
  onStderr?: (chunk: string) => unknown;
  /** As `onStdout`, with one event. */
  onTrace?: (event: TraceEvent) => unknown;
  /** Collect events into result.trace. Default false. */
  trace?: boolean;
  /** Shown in tracebacks. Default "<sandbox>". */
  filename?: string;
}
export interface SandboxOptions extends Pick<
  ExecutionOptions,
  "onStdout" | "onStderr" | "onTrace" | "trace"
> {
  resourceLimits?: ResourceLimits;
  callbacks?: Callbacks;
  libraries?: readonly RuntimeLibrary[];
  /** Added to os.environ, which otherwise holds HOME only. */
  env?: { readonly [name: string]: string };
  /** Files that stay, at `vfsMountPath`. Without it every run has an empty directory of its own there. */
  vfs?: VfsStorage;
  /**
   * The working directory. Absolute, without ".", ".." and empty parts, at most 1,024 bytes and 32 parts, not "/" and not in
   * "/usr" or "/dev". Default "/data".
   */
  vfsMountPath?: string;
  /** At most 64. */
  volumes?: readonly Volume[];
  /** The variable returned as `result`. No keyword, and none of Python's own. Default "result". */
  resultVariable?: string;
  /**
   * Sessions only. Milliseconds without use, after which a session's memory is packed: after `print(1)` about 24 KB in place of
   * 0.4 MB. The next use unpacks it, in about a millisecond. Above 0, at most 2_147_483_647. Default 10_000. null = never.
   */
  sleepAfterMs?: number | null;
}

/**
 * A directory or a single file of the host.
 *
 * Symbolic links are followed as far as they stay in it. Devices, sockets and pipes cannot be opened; entries whose names
 * are not UTF-8 are not seen. Python sees names, contents, sizes and times of modification; no owners and no permissions.
 */
export interface Volume {
  /** Has to exist: else InitializationError. Relative to the working directory of the process. A link here is followed. */
  hostPath: string;
  /** As `vfsMountPath`. Apart from it and from other volumes: none is in another one. */
  guestPath: string;
  /**
   * Every change is an OSError EROFS. Default true. What a writable volume takes is bounded by the host's disk only, and code
   * in it can make links only to what is below their own directory.
   */
  readOnly?: boolean;
}

// --------------------------------------------------------------- results

export interface ExecuteResult {
  /** Text of stdout without trailing newlines; of its first 536,870,888 bytes if there are more, which is flagged. */
  readonly stdout: string;
  readonly stderr: string;
  /** Exactly the bytes written. */
  readonly stdoutBytes: Uint8Array;
  readonly stderrBytes: Uint8Array;
  readonly outputTruncated: boolean;
  /** Mistakes that are easily missed: see Warning. At most 100. */
  readonly warnings: readonly Warning[];
  /** The variable `result` if the code set it, else undefined. */
  readonly result?: Value;
  /** Why `result` could not cross, if it could not. */
  readonly resultError?: string;
  /** The last statement's value if it is an expression that is not None; undefined if it cannot cross (valueRepr still set). */
  readonly value?: Value;
  /** `repr` of that value, cut at 10,000 characters. */
  readonly valueRepr?: string;
  /** Why that value could not cross, if it could not. */
  readonly valueError?: string;
  /** From the start of the run to its end. */
  readonly durationMs: number;
  /** Calls that were handed to JavaScript. */
  readonly callbackInvocations: number;
  /** Linear memory, interpreter included. */
  readonly peakMemoryBytes: number;
  /** Only when maxFuel is set. Deterministic for the same code and inputs. */
  readonly fuelConsumed?: bigint;
  /** Only with `trace: true`. At most 100,000 events and 16 MiB of names and details. */
  readonly trace?: TraceEvent[];
  /** Only with `trace: true`: whether events were dropped. */
  readonly traceTruncated?: boolean;
}
/** What every execution leaves, however it ended: on its result and on its error. */
export interface ExecutionRecord extends Omit<
  ExecuteResult,
  "result" | "resultError" | "value" | "valueRepr" | "valueError"
> {}
/** Something that is probably a mistake in the code, though it ran on. */
export interface Warning {
  /**
   * "never-awaited": a coroutine was made and not awaited, so nothing of it ran; a callback needs `await` unless it is `sync`.
   * "not-transferable": the same as `resultError` or `valueError`.
   */
  kind: "never-awaited" | "not-transferable";
  message: string;
  /** kind "never-awaited": the callback, if it is one. */
  callback?: string;
}
/** What the user's own code did. Libraries and the standard library are not traced. */
export interface TraceEvent {
  kind:
    | "line"
    | "call"
    | "return"
    | "exception"
    | "callback-start"
    | "callback-end";
  /** From 1; 0 if there is none. */
  line: number;
  /** `<module>` at the top level. */
  function?: string;
  /** kind "exception": type and message; "callback-*": name, and on end durationMs and error. */
  detail?: { [key: string]: Value };
}

// ---------------------------------------------------------------- errors

export type ErrorCode =
  | "ERYX_EXECUTION"
  | "ERYX_TIMEOUT"
  | "ERYX_CANCELLED"
  | "ERYX_RESOURCE_LIMIT"
  | "ERYX_INITIALIZATION"
  | "ERYX_SUSPENDED"
  | "ERYX_SNAPSHOT"
  | "ERYX_PACKAGE"
  | "ERYX_POOL_TIMEOUT"
  | "ERYX_POOL_CLOSED"
  | "ERYX_CLOSED"
  | "ERYX_INVALID_ARGUMENT"
  | "ERYX_INTERNAL";
/** Fields of an error that is made by hand, all of them optional. What is left out is empty, zero or false. */
export type ErrorFields<E extends Error> = ErrorOptions &
  Partial<Omit<E, keyof Error>>;
/**
 * Base of all. What was printed, called and used before the failure is on it, as on a result; nothing where nothing ran.
 *
 * An argument that cannot be used is a TypeError with `code` "ERYX_INVALID_ARGUMENT" instead, as in Node itself. Users may make
 * errors of all classes, for tests: each class has its `code` by itself.
 */
export declare class EryxError extends Error {
  constructor(message?: string, fields?: ErrorFields<EryxError>);
  readonly code: ErrorCode;
  readonly stdout: string;
  readonly stderr: string;
  /** True if a session's Python state was lost and the next execute() starts fresh. */
  readonly stateLost: boolean;
}
export interface EryxError extends ExecutionRecord {}
/** The Python code raised. `message` is "ValueError: oops"; `traceback` has only the user's frames, with true line numbers. */
export declare class ExecutionError extends EryxError {
  constructor(message?: string, fields?: ErrorFields<ExecutionError>);
  readonly pythonType: string;
  readonly traceback: string;
  readonly frames: { filename: string; line: number; function: string }[];
  /** sys.exit(n) with n != 0. */
  readonly exitCode?: number;
}
/** It took longer than `timeoutMs` or `executionTimeoutMs`. */
export declare class TimeoutError extends EryxError {}
/** The caller ended it. `cause` is the reason of the `signal` that did. */
export declare class CancelledError extends EryxError {}
export declare class ResourceLimitError extends EryxError {
  constructor(message?: string, fields?: ErrorFields<ResourceLimitError>);
  /** Of one made by hand "maxMemoryBytes", unless it is given. */
  readonly limit: keyof ResourceLimits;
}
export declare class InitializationError extends EryxError {}
export declare class SnapshotError extends EryxError {}
export declare class PackageError extends EryxError {}
export declare class PoolError extends EryxError {}
/**
 * A callback threw SuspendExecution. A session's interpreter is in the state before the execution; files keep what was
 * written.
 */
export declare class SuspendedError extends EryxError {
  constructor(message?: string, fields?: ErrorFields<SuspendedError>);
  readonly reason: string;
  /**
   * The calls that wait for an answer, oldest first. Arguments are those of the code: no schema may have seen those of a call
   * that was not begun.
   */
  readonly pending: {
    id: number;
    name: string;
    args: Value[];
    kwargs: { [key: string]: Value };
  }[];
  /** Resume with Session.resume(), in this process or another with the same runtime. */
  readonly checkpoint: Uint8Array;
}

// --------------------------------------------------------------- classes

/** Every execute() starts from the same fresh interpreter; concurrent calls are independent. */
export declare class Sandbox implements AsyncDisposable {
  constructor(options?: SandboxOptions);
  execute(code: string, options?: ExecutionOptions): Promise<ExecuteResult>;
  /** For code that wants a handle instead of an AbortSignal. */
  executeCancellable(code: string, options?: ExecutionOptions): ExecutionHandle;
  /** `.pyi` text of its callbacks and the stubs of its libraries; "" if there are none. */
  readonly typeStubs: string;
  /** Cancels what runs, and resolves when all of it has ended. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
/**
 * Keeps its interpreter between execute() calls; calls are queued in order, and a limit counts from the start of the run.
 *
 * After any failure it works at once. An execution that had to be cut off (a trap, fuel, `os._exit`, code that ignores the
 * interrupt) leaves nothing behind in Python: the state is that before it. Files keep what was written.
 */
export declare class Session implements AsyncDisposable {
  constructor(options?: SandboxOptions);
  execute(code: string, options?: ExecutionOptions): Promise<ExecuteResult>;
  executeCancellable(code: string, options?: ExecutionOptions): ExecutionHandle;
  /** New interpreter; files in `vfs` stay; executionCount returns to 0. */
  reset(): Promise<void>;
  /** Removes the user's variables; imported modules stay loaded, callbacks and what libraries define stay. */
  clearState(): Promise<void>;
  /**
   * The whole interpreter heap as a compressed difference to its base image. Nothing is skipped. Open files are opened
   * again by path when it is restored.
   */
  snapshotState(): Promise<Uint8Array>;
  /**
   * Replaces the interpreter. The bytes may come from anywhere; what is no snapshot of this version and runtime is a
   * SnapshotError, and the session is as before.
   */
  restoreState(snapshot: Uint8Array): Promise<void>;
  /** Independent copies of this session as it is now, sharing memory until they write. */
  fork(): Promise<Session>;
  /** At most 10,000; the machine may have room for fewer. */
  fork(count: number): Promise<Session[]>;
  /**
   * Continues an execution that was suspended. `results` answers pending callbacks by id, `errors` fails them with a
   * CallbackError; the others are called again. Limits count from here. What was not read of stdin is not in the checkpoint.
   *
   * `env` and the Python of `libraries` apply after a reset() only, `resultVariable` from the next execute(): until then
   * those of the checkpoint hold. `inputs` and `filename` are refused.
   */
  static resume(
    checkpoint: Uint8Array,
    options?: SandboxOptions &
      ExecutionOptions & {
        results?: { readonly [id: number]: ValueInput };
        errors?: { readonly [id: number]: string };
      },
  ): Promise<{ session: Session; result: ExecuteResult }>;
  /** Executions since the beginning or the last reset, failed ones included. */
  readonly executionCount: number;
  /** The limit of executions that bring none of their own, as it is when they are asked for; null = none. */
  executionTimeoutMs: number | null;
  /**
   * The files of its working directory: the storage of the options, or its own, which is forked, saved and restored with
   * it. Files elsewhere in the tree are private.
   */
  readonly vfs: VfsStorage;
  readonly vfsMountPath: string;
  readonly typeStubs: string;
  /**
   * Cancels what runs, refuses what is queued, has Python finish what it left open, such as files and functions of `atexit`, and
   * resolves when all of it has ended.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
export declare class ExecutionHandle {
  private constructor();
  wait(): Promise<ExecuteResult>;
  cancel(): void;
  readonly isRunning: boolean;
}

/**
 * In-memory files. Shared by every sandbox it is given to, wherever each one mounts it.
 *
 * Paths are absolute or relative to the top of the storage; both mean the same. ".." at the top stays there. Links are
 * followed inside the storage only; an absolute one starts at its top. Errors are as those of node:fs: `code` "ENOENT",
 * `syscall` and `path`. An argument that cannot be used is a TypeError with `code` "ERYX_INVALID_ARGUMENT".
 */
export declare class VfsStorage {
  /** `maxBytes`: contents, names and directories. Python sees OSError ENOSPC. Default 67_108_864. null = none. */
  constructor(options?: { maxBytes?: number | null });
  /** EFBIG for a file that is longer than the storage may hold, which one with holes can be, or than 2 GiB. */
  readFile(path: string): Uint8Array;
  /** A TypeError if it is not UTF-8. */
  readTextFile(path: string): string;
  /** Makes the file or replaces its contents. Its directory has to be there. ENOSPC: it holds what fits. */
  writeFile(path: string, data: string | Uint8Array): void;
  /** With `recursive` also what is above it, and no error if it is there. Default false. */
  mkdir(path: string, options?: { recursive?: boolean }): void;
  /** In the order in which they were made. `size`: bytes, or entries of a directory. */
  readdir(
    path: string,
  ): { name: string; kind: "file" | "directory" | "symlink"; size: number }[];
  /** A link at the end is not followed. */
  stat(path: string): {
    kind: "file" | "directory" | "symlink";
    size: number;
    mtimeMs: number;
  };
  /** Links are followed: false for one that leads nowhere. */
  exists(path: string): boolean;
  /** A file, a link, an empty directory; with `recursive` a directory with all that is in it. Default false. */
  remove(path: string, options?: { recursive?: boolean }): void;
  /** Replaces a file or an empty directory at `to`. */
  rename(from: string, to: string): void;
  /** What is charged: contents, and 512 bytes per node, 400 per name, 256 per 16 KiB of contents. */
  readonly usedBytes: number;
  /** Everything in it at one moment, compressed. Files that are unlinked and still open are left out. */
  snapshot(): Uint8Array;
  /**
   * The bytes may come from anywhere: they are a SnapshotError unless they are a whole snapshot within the quota.
   * `maxBytes`: default is that of the storage that was saved, up to 1_073_741_824. null = none.
   */
  static from(
    snapshot: Uint8Array,
    options?: { maxBytes?: number | null },
  ): VfsStorage;
}

/** Package version, Python version, runtime hash. */
export declare const versions: {
  eryx: string;
  python: string;
  wasmtime: string;
  runtime: string;
};
