import { Calls } from "./calls.js";
import { checkText, refuse } from "./check.js";
import {
  CancelledError,
  toPublicError,
  invalidArgument,
  translated,
} from "./errors.js";
import { addon } from "./addon.js";
import { setMaxListeners } from "./node.js";
import { hurry, register, unregister } from "./events.js";
import { failure, success } from "./outcome.js";

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
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  signal.addEventListener("abort", cancel, { once: true });
}

/** What an error of an execution that `signal` has cancelled says: `{ message, cause }`. */
function cancellation({ reason }) {
  const message = `execution was cancelled${because(reason)}`;
  return reason === undefined ? { message } : { message, cause: reason };
}

/** The reason of an abort in a message. What `abort()` gives without one says nothing that is not said already. */
function because(reason) {
  try {
    if (typeof reason === "string") return `: ${reason}`;
    if (typeof reason?.message !== "string" || reason.name === "AbortError")
      return "";
    return `: ${String(reason.name)}: ${reason.message}`;
  } catch {
    return ""; // a getter that throws
  }
}

/** One execution from its start to its end. */
export class Execution {
  running = true;
  /** Resolves at the end, never rejects. What the end was, `outcome()` tells. */
  ended;
  #addonExecution = new addon.Execution();
  #events;
  #traced;
  #outcome;
  #refusal;
  /** The signal, once it has cancelled this. */
  #cancelledBy;

  /** `begin(id, addonOptions, addonExecution)` starts it: an error of the addon if it does not. As long as it runs it is in `running`. */
  constructor(begin, callbacks, { addonOptions, handlers, signal }, running) {
    this.#traced = addonOptions.trace;
    this.ended = new Promise((resolve) => {
      const refused = (error) => {
        this.running = false;
        this.#refusal = error;
        resolve();
      };
      if (signal?.aborted) {
        const { message, ...fields } = cancellation(signal);
        refused(new CancelledError(message, fields));
        return;
      }
      const cancel = () => {
        this.#cancelledBy = signal;
        this.cancel();
      };
      const done = (outcome) => {
        this.running = false;
        this.#outcome = outcome;
        running.delete(this);
        signal?.removeEventListener("abort", cancel);
        resolve();
      };
      const calls = new Calls(callbacks, this.#addonExecution);
      this.#events = {
        done,
        calls,
        addonExecution: this.#addonExecution,
        ...handlers,
      };
      const error = this.#start(begin, register(this.#events), addonOptions);
      if (error !== undefined) {
        refused(error);
        return;
      }
      running.add(this);
      if (signal !== undefined) listen(signal, cancel);
    });
  }

  /** An error if nothing was started. */
  #start(begin, id, addonOptions) {
    try {
      const error = translated(() =>
        begin(id, addonOptions, this.#addonExecution),
      );
      if (error === null) return undefined;
      unregister(id);
      return toPublicError(error);
    } catch (error) {
      unregister(id);
      return error;
    }
  }

  /**
   * The result, once it has ended; throws its error. Called by the async function whose promise the caller has: an error made
   * there has a stack that leads to the caller's `await`.
   */
  outcome() {
    if (this.#refusal !== undefined) this.#throw(this.#refusal);
    const outcome = this.#outcome;
    if (outcome.ok !== undefined) return success(outcome, this.#traced);
    const byCaller =
      outcome.error.code === "ERYX_CANCELLED" && this.#cancelledBy;
    const error = failure(
      outcome,
      this.#traced,
      byCaller ? cancellation(byCaller) : undefined,
    );
    return this.#throw(error);
  }

  /** Leaves out of the stack what is above the function that the caller called. */
  #throw(error) {
    Error.captureStackTrace(error, this.outcome);
    throw error;
  }

  cancel() {
    if (!this.running) return;
    this.#addonExecution.cancel();
    hurry(this.#events);
  }
}

/** A running execution that can be waited for and cancelled. */
export class ExecutionHandle {
  #execution;
  #waited;
  #cancelled = false;

  constructor(execution) {
    this.#execution = execution;
  }

  wait() {
    this.#waited ??= this.#wait();
    if (this.#cancelled) expectRejection(this.#waited);
    return this.#waited;
  }

  async #wait() {
    await this.#execution.ended;
    return this.#execution.outcome();
  }

  cancel() {
    this.#cancelled = true;
    this.#execution.cancel();
    expectRejection(this.#waited);
  }

  get isRunning() {
    return this.#execution.running;
  }
}

/** Whoever cancels has seen the error coming, and need not look at the promise. */
function expectRejection(promise) {
  promise?.catch(() => {});
}
