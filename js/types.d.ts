// Shapes that only js/ and the addon know. What users see is in ../index.d.ts.

import type { AsyncResource } from "node:async_hooks";
import type {
  CallbackContext,
  ErrorCode,
  ExecutionOptions,
  ResourceLimits,
  Session,
  VfsStorage,
} from "../index.js";
import type { Calls } from "./calls.js";

// ---------------------------------------------------------------- the addon: crates/eryx-node/src

export interface Addon {
  readonly Runtime: new (directory: string, dispatch: Dispatch) => AddonRuntime;
  readonly Sandbox: new (
    runtime: AddonRuntime,
    options: AddonSandboxOptions,
    storage?: AddonStorage,
  ) => AddonSandbox;
  readonly Session: {
    new (
      runtime: AddonRuntime,
      options: AddonSandboxOptions,
      storage?: AddonStorage,
    ): AddonSession;
    resume(
      runtime: AddonRuntime,
      options: AddonSandboxOptions,
      checkpoint: Uint8Array,
      answers: Uint8Array,
      id: number,
      executionOptions: AddonExecutionOptions,
      execution: AddonExecution,
      storage?: AddonStorage,
    ): AddonSession;
  };
  readonly Storage: {
    new (maxBytes?: number): AddonStorage;
    fromSnapshot(snapshot: Uint8Array, maxBytes?: number): AddonStorage;
  };
  readonly Execution: new () => AddonExecution;
}

export interface AddonRuntime {
  /** Of Python, of wasmtime, of the runtime. */
  versions(): [string, string, string];
}

export interface AddonSandbox {
  execute: AddonExecute;
  close(): void;
}

export interface AddonSession {
  execute: AddonExecute;
  reset(id: number): void;
  clearState(id: number): void;
  snapshot(id: number): void;
  restore(id: number, snapshot: Uint8Array): void;
  fork(id: number, count: number): void;
  close(id: number): void;
  vfs(): AddonStorage;
  readonly vfsMountPath: string;
  readonly executionCount: number;
  setExecutionTimeout(limit: number): void;
}

/** An error if nothing was started. */
export type AddonExecute = (
  id: number,
  code: string,
  options: AddonExecutionOptions,
  execution: AddonExecution,
) => AddonError | null;

export interface AddonExecution {
  cancel(): void;
  hold(): void;
  release(): void;
  answer(call: number, value: Uint8Array): void;
  fail(call: number, name: string, message: string): void;
  suspend(call: number, reason: string): void;
  refuse(call: number, message: string): void;
}

export interface AddonStorage extends Pick<
  VfsStorage,
  "readFile" | "readdir" | "stat" | "exists" | "rename" | "snapshot"
> {
  writeFile(path: string, data: Uint8Array): void;
  mkdir(path: string, recursive: boolean): void;
  remove(path: string, recursive: boolean): void;
  usedBytes(): number;
}

export interface AddonSandboxOptions {
  executionTimeoutMs?: number;
  callbackTimeoutMs?: number;
  maxCallbackInvocations?: number;
  maxMemoryBytes?: number;
  maxOutputBytes?: number;
  maxVfsBytes?: number;
  maxFuel?: bigint;
  env: string[];
  resultVariable?: string;
  callbacks?: Uint8Array;
  libraries: string[];
  vfsMountPath?: string;
  volumes: { hostPath: string; guestPath: string; readOnly: boolean }[];
  /** Infinity is never. */
  sleepAfterMs?: number;
}

export interface AddonExecutionOptions {
  timeoutMs?: number;
  inputs?: Uint8Array;
  stdin?: Uint8Array;
  filename?: string;
  streams: number;
  trace: boolean;
}

/** Fields of the other classes of errors are there too: those of `code`. */
export interface AddonError {
  code: ErrorCode;
  message: string;
  pending?: Uint8Array;
}

export interface Success {
  result?: Uint8Array;
  resultError?: string;
  value?: Uint8Array;
  valueRepr?: string;
  valueError?: string;
}

/** Of `ok` and `error`, one is there. */
export type Outcome = OutcomeRecord &
  ({ ok: Success; error?: undefined } | { ok?: undefined; error: AddonError });

interface OutcomeRecord {
  stdout?: Uint8Array;
  stderr?: Uint8Array;
  truncated: boolean;
  trace?: Uint8Array;
  traceTruncated: boolean;
  warnings?: Uint8Array;
  callbackInvocations: number;
  durationMs: number;
  peakMemoryBytes: number;
  fuelConsumed?: bigint;
}

export type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

// ---------------------------------------------------------------- events

/** `payload` is that of the event's kind: see ExecutionEvent and RequestListener. */
export type Dispatch = (
  kind: number,
  id: number,
  payload: unknown,
  call: number,
  callback: number,
) => void;

/** The numbers of the kinds are in events.js. Those of `call` and `callback` are 0 where they mean nothing. */
export type ExecutionEvent = { id: number; call: number; callback: number } & (
  | { kind: 0; payload: Outcome }
  | { kind: 1 | 2; payload: string }
  | { kind: 3 | 5; payload: Uint8Array }
  | { kind: 4; payload: null }
  | { kind: -1; payload: undefined }
);

export type Handlers = Pick<
  ExecutionOptions,
  "onStdout" | "onStderr" | "onTrace"
>;

/** Who hears of the events of an execution. */
export interface ExecutionListener extends Handlers {
  end(outcome: Outcome): void;
  readonly calls: Calls;
  readonly addonExecution: AddonExecution;
  /** The user's functions see the AsyncLocalStorage of whoever started the execution. */
  readonly scope: AsyncResource;
  /** Events that are put off, while a handler's promise is awaited. */
  backlog?: ExecutionEvent[];
  /** Ends the wait for that promise. */
  stopWaiting?: () => void;
  isHurried?: boolean;
}

/** Who hears of the answer to a request: the answer, or an error. */
export interface RequestListener {
  settle(answer: unknown, error?: AddonError): void;
}

/** Asks the addon for an execution: an error if nothing was started. */
export type Begin = (
  id: number,
  options: AddonExecutionOptions,
  execution: AddonExecution,
) => AddonError | null;

/** Executions and requests whose end is yet to come. */
export type Running = Set<{ readonly ended: Promise<void>; cancel?(): void }>;

// ---------------------------------------------------------------- options

export type Limits = {
  [Name in Exclude<keyof ResourceLimits, "maxFuel">]-?: number | null;
} & { maxFuel: bigint | null };

export type ResumeOptions = NonNullable<Parameters<typeof Session.resume>[1]>;

/** What executions have of their sandbox, unless they bring their own. */
export interface Inherited {
  handlers: Handlers;
  trace: boolean;
}

export interface CheckedSandboxOptions {
  addonOptions: AddonSandboxOptions;
  storage?: AddonStorage;
  limits: Limits;
  inherited: Inherited;
  callbacks: Callback[];
  stubs: string[];
  vfs?: VfsStorage;
}

export interface CheckedExecutionOptions {
  addonOptions: AddonExecutionOptions;
  handlers: Handlers;
  signal?: AbortSignal;
}

export interface LibraryParts {
  callbacks: Callback[];
  python: string[];
  stubs: string[];
}

// ---------------------------------------------------------------- callbacks

/** A callback's definition, checked. */
export interface Callback extends CallbackForShow {
  /** Undefined is the sandbox's limit, null is none. */
  timeoutMs?: number | null;
  call(
    args: unknown[],
    named: NamedArguments,
    context: CallbackContext,
    isWanted: () => boolean,
  ): unknown;
}

/** What stubs tell of a callback. */
export interface CallbackForShow {
  name: string;
  description?: string;
  /** For show. */
  schema?: JsonSchema;
  /** null for a bare function. */
  signature: Signature | null;
  sync?: boolean;
}

export type NamedArguments = { [name: string]: unknown };

/** Positional arguments are bound in this order; `open` says that any other keyword is taken too. */
export interface Signature {
  parameters: Parameter[];
  open: boolean;
}

export interface Parameter {
  name: string;
  required: boolean;
  annotation: string;
  default?: unknown;
  keywordOnly?: boolean;
}

export type JsonSchema = { readonly [keyword: string]: unknown };

/** Arguments as the validator leaves them, or what is wrong with them. */
export type Verdict =
  { value: unknown; issue?: undefined } | { value?: undefined; issue: string };

export interface Validator {
  /** Never throws. */
  validate(args: unknown): Verdict | Promise<Verdict>;
}
