import { setMaxListeners } from "node:events";
import { Calls } from "./calls.js";
import { checkText, refuse } from "./check.js";
import {
  CancelledError,
  closed,
  fromNative,
  invalidArgument,
  translated,
} from "./errors.js";
import { addon, runtime } from "./native.js";
import { executionOptions, sandboxOptions } from "./options.js";
import { register, unregister } from "./pending.js";
import { failure, success } from "./result.js";
import { typeStubs } from "./stubs.js";

/** Bytes of source that the core takes. A UTF-16 unit is at least one byte of UTF-8. */
const MAX_CODE = 16 * 1024 * 1024;

function checkCode(code) {
  if (typeof code !== "string") refuse("code", code, "a string");
  if (code.length > MAX_CODE) {
    throw invalidArgument(
      `code: expected at most ${MAX_CODE} bytes, got ${code.length} characters`,
    );
  }
  return checkText("code", code);
}

/** Any number of executions may share a signal: Node's warning about many listeners means leaks, which these are not. */
function listen(signal, cancel) {
  if (signal === undefined) return;
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  signal.addEventListener("abort", cancel, { once: true });
}

function cancelled() {
  return new CancelledError("execution was cancelled", {
    code: "ERYX_CANCELLED",
  });
}

/** One execution from its start to its end. */
class Execution {
  running = true;
  #native = new addon.NativeRun();

  constructor(sandbox, callbacks, code, { native, handlers, signal }) {
    this.promise = new Promise((resolve, reject) => {
      if (signal?.aborted) return this.#refused(reject, cancelled());
      const cancel = () => this.cancel();
      const done = (outcome) => {
        this.running = false;
        signal?.removeEventListener("abort", cancel);
        if (outcome.ok === undefined) reject(failure(outcome, native.trace));
        else resolve(success(outcome, native.trace));
      };
      const calls = new Calls(callbacks, this.#native);
      const id = register({ done, calls, ...handlers });
      const error = this.#start(sandbox, id, code, native);
      if (error !== undefined) {
        unregister(id);
        return this.#refused(reject, error);
      }
      return listen(signal, cancel);
    });
  }

  /** An error if nothing was started. */
  #start(sandbox, id, code, native) {
    try {
      const error = translated(() =>
        sandbox.execute(id, code, native, this.#native),
      );
      return error === null ? undefined : fromNative(error);
    } catch (error) {
      return error;
    }
  }

  #refused(reject, error) {
    this.running = false;
    reject(error);
  }

  cancel() {
    if (this.running) this.#native.cancel();
  }
}

/** A running execution that can be waited for and cancelled. */
export class ExecutionHandle {
  #execution;

  constructor(execution) {
    this.#execution = execution;
    // Whoever cancels and never waits has seen the error coming.
    execution.promise.catch(() => {});
  }

  wait() {
    return this.#execution.promise;
  }

  cancel() {
    this.#execution.cancel();
  }

  get isRunning() {
    return this.#execution.running;
  }
}

/** Every execute() starts from the same fresh interpreter; concurrent calls are independent. */
export class Sandbox {
  #native;
  #inherited;
  #callbacks;
  #stubs;
  #running = new Set();
  #closed = false;

  constructor(options) {
    const { native, vfs, inherited, callbacks, stubs } =
      sandboxOptions(options);
    this.#native = translated(
      () => new addon.NativeSandbox(runtime(), native, vfs),
    );
    this.#inherited = inherited;
    this.#callbacks = callbacks;
    this.#stubs = stubs;
  }

  async execute(code, options) {
    return this.#start(code, options).promise;
  }

  executeCancellable(code, options) {
    return new ExecutionHandle(this.#start(code, options));
  }

  #start(code, options) {
    const source = checkCode(code);
    const checked = executionOptions(options, this.#inherited);
    if (this.#closed) throw closed("sandbox");
    const execution = new Execution(
      this.#native,
      this.#callbacks,
      source,
      checked,
    );
    this.#running.add(execution);
    const forget = () => this.#running.delete(execution);
    execution.promise.then(forget, forget);
    return execution;
  }

  get typeStubs() {
    return typeStubs(this.#callbacks, this.#stubs);
  }

  /** Cancels what runs, and resolves when all of it has ended. */
  async close() {
    this.#closed = true;
    this.#native.close();
    await Promise.allSettled(
      [...this.#running].map((execution) => execution.promise),
    );
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
