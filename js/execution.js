import { setMaxListeners } from "node:events";
import { Calls } from "./calls.js";
import { checkText, refuse } from "./check.js";
import {
  CancelledError,
  fromNative,
  invalidArgument,
  translated,
} from "./errors.js";
import { addon } from "./native.js";
import { register, unregister } from "./pending.js";
import { failure, success } from "./result.js";

/** Bytes of source that the core takes. A UTF-16 unit is at least one byte of UTF-8. */
const MAX_CODE = 16 * 1024 * 1024;

export function checkCode(code) {
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
export class Execution {
  running = true;
  #native = new addon.NativeRun();

  /** `begin(id, native, run)` starts it: an error of the addon if it does not. */
  constructor(begin, callbacks, { native, handlers, signal }) {
    this.promise = new Promise((resolve, reject) => {
      if (signal?.aborted) return this.#refused(reject, cancelled());
      const cancel = () => this.cancel();
      const done = (outcome) => {
        this.running = false;
        signal?.removeEventListener("abort", cancel);
        try {
          if (outcome.ok === undefined) throw failure(outcome, native.trace);
          resolve(success(outcome, native.trace));
        } catch (error) {
          reject(error);
        }
      };
      const calls = new Calls(callbacks, this.#native);
      const id = register({ done, calls, ...handlers });
      const error = this.#start(begin, id, native);
      if (error !== undefined) {
        unregister(id);
        return this.#refused(reject, error);
      }
      return listen(signal, cancel);
    });
  }

  /** An error if nothing was started. */
  #start(begin, id, native) {
    try {
      const error = translated(() => begin(id, native, this.#native));
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
