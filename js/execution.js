import { addon } from "./addon.js";
import { Calls } from "./calls.js";
import { checkText, refuse } from "./check.js";
import {
  CancelledError,
  makeArgumentError,
  toPublicError,
  translateErrors,
} from "./errors.js";
import { hurry, register, unregister } from "./events.js";
import { AsyncResource, setMaxListeners } from "./node.js";
import { toError, toResult } from "./outcome.js";

/** @import { ExecuteResult } from "../index.js" */
/** @import { AddonExecutionOptions, Begin, Callback, CheckedExecutionOptions, ExecutionListener, Outcome, Running } from "./types.js" */

/** Bytes of source that the core takes. A UTF-16 unit is at least one byte of UTF-8. */
const MAX_CODE = 16 * 1024 * 1024;

/** @param {unknown} code */
export function checkCode(code) {
  if (typeof code !== "string") refuse("code", code, "a string");
  if (code.length > MAX_CODE) {
    throw makeArgumentError(
      `code: expected at most ${MAX_CODE} bytes, got ${code.length} characters`,
    );
  }
  return checkText("code", code);
}

/**
 * Any number of executions may share a signal: Node's warning about many listeners means leaks, which these are not.
 * @param {AbortSignal} signal
 * @param {() => void} cancel
 */
function listenOnce(signal, cancel) {
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  signal.addEventListener("abort", cancel, { once: true });
}

/**
 * What an error of an execution that `signal` has cancelled says: `{ message, cause }`.
 * @param {AbortSignal} signal
 */
function describeCancellation({ reason }) {
  const message = `execution was cancelled${explainAbort(reason)}`;
  return reason === undefined ? { message } : { message, cause: reason };
}

/**
 * The reason of an abort in a message. What `abort()` gives without one says nothing that is not said already.
 * @param {any} reason
 */
function explainAbort(reason) {
  try {
    if (typeof reason === "string") return `: ${reason}`;
    if (typeof reason?.message !== "string" || reason.name === "AbortError")
      return "";
    return `: ${String(reason.name)}: ${reason.message}`;
  } catch {
    return ""; // a getter that throws
  }
}

/** One execution, from its start to its end. */
export class Execution {
  isRunning = false;
  /** @type {() => void} */
  #resolveEnded = () => {};
  /**
   * Resolves at the end, never rejects. What the end was, `getResult()` tells.
   * @type {Promise<void>}
   */
  ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  #addonExecution = new addon.Execution();
  /** @type {AddonExecutionOptions} */
  #addonOptions;
  /** @type {AbortSignal | undefined} */
  #signal;
  /** @type {ExecutionListener} */
  #listener;
  /**
   * What else runs, while this does.
   * @type {Running | undefined}
   */
  #running;
  /** @type {Outcome | undefined} */
  #outcome;
  /**
   * Why it was not started.
   * @type {unknown}
   */
  #refusal;
  /**
   * The signal, once it has cancelled this.
   * @type {AbortSignal | undefined}
   */
  #canceller;

  /**
   * Makes one that is yet to start, of what `checkExecutionOptions` gives.
   * @param {readonly Callback[]} callbacks
   * @param {CheckedExecutionOptions} options
   */
  constructor(callbacks, { addonOptions, handlers, signal }) {
    this.#addonOptions = addonOptions;
    this.#signal = signal;
    this.#listener = {
      end: (outcome) => this.#finish(outcome),
      calls: new Calls(callbacks, this.#addonExecution),
      addonExecution: this.#addonExecution,
      scope: new AsyncResource("EryxRun"),
      ...handlers,
    };
  }

  /**
   * Starts it, once. `begin(id, addonOptions, addonExecution)` asks the addon, which gives an error if it refuses. As long as it
   * runs, it is in `running`.
   * @param {Begin} begin
   * @param {Running} running
   */
  start(begin, running) {
    const signal = this.#signal;
    if (signal?.aborted) {
      const { message, ...fields } = describeCancellation(signal);
      this.#refuse(new CancelledError(message, fields));
      return;
    }
    const error = this.#begin(begin);
    if (error !== undefined) {
      this.#refuse(error);
      return;
    }
    this.isRunning = true;
    this.#running = running;
    running.add(this);
    if (signal !== undefined) listenOnce(signal, this.#cancelBySignal);
  }

  /**
   * An error if nothing was started.
   * @param {Begin} begin
   */
  #begin(begin) {
    const id = register(this.#listener);
    try {
      const error = translateErrors(() =>
        begin(id, this.#addonOptions, this.#addonExecution),
      );
      if (error === null) return undefined;
      unregister(id);
      return toPublicError(error);
    } catch (error) {
      unregister(id);
      return error;
    }
  }

  /** @param {unknown} error */
  #refuse(error) {
    this.#refusal = error;
    this.#resolveEnded();
  }

  /** @param {Outcome} outcome */
  #finish(outcome) {
    this.isRunning = false;
    this.#outcome = outcome;
    this.#running?.delete(this);
    this.#signal?.removeEventListener("abort", this.#cancelBySignal);
    this.#resolveEnded();
  }

  #cancelBySignal = () => {
    this.#canceller = this.#signal;
    this.cancel();
  };

  /**
   * The result, once it has ended; throws its error. Called by the async function whose promise the caller has: an error made
   * there has a stack that leads to the caller's `await`.
   */
  getResult() {
    const outcome = this.#outcome;
    if (outcome === undefined) return this.#throw(this.#refusal);
    if (outcome.ok !== undefined)
      return toResult(outcome, this.#addonOptions.trace);
    const canceller =
      outcome.error.code === "ERYX_CANCELLED" ? this.#canceller : undefined;
    const error = toError(
      outcome,
      this.#addonOptions.trace,
      canceller ? describeCancellation(canceller) : undefined,
    );
    return this.#throw(error);
  }

  /**
   * Leaves out of the stack what is above the function that the caller called.
   * @param {unknown} error
   * @returns {never}
   */
  #throw(error) {
    Error.captureStackTrace(/** @type {object} */ (error), this.getResult);
    throw error;
  }

  cancel() {
    if (!this.isRunning) return;
    this.#addonExecution.cancel();
    hurry(this.#listener);
  }
}

/** A running execution that can be waited for and cancelled. */
export class ExecutionHandle {
  #execution;
  /** @type {Promise<ExecuteResult> | undefined} */
  #result;
  #isCancelled = false;

  /** @param {Execution} execution */
  constructor(execution) {
    this.#execution = execution;
  }

  wait() {
    this.#result ??= this.#wait();
    if (this.#isCancelled) expectRejection(this.#result);
    return this.#result;
  }

  async #wait() {
    await this.#execution.ended;
    return this.#execution.getResult();
  }

  cancel() {
    this.#isCancelled = true;
    this.#execution.cancel();
    expectRejection(this.#result);
  }

  get isRunning() {
    return this.#execution.isRunning;
  }
}

/**
 * Whoever cancels has seen the error coming, and need not look at the promise.
 * @param {Promise<unknown> | undefined} promise
 */
function expectRejection(promise) {
  promise?.catch(() => {});
}
