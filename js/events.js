import { describe } from "./check.js";
import { toPublicError, translateErrors } from "./errors.js";
import { decode } from "./wire.js";

/** @import { TraceEvent } from "../index.js" */
/** @import { AddonError, Dispatch, ExecutionEvent, ExecutionListener, Handlers, RequestListener, Running } from "./types.js" */

// Executions and requests whose end has not been reported yet. The addon reports through `dispatch`, in order.

// Kinds of events: eryx-node/src/events.rs.
const END = 0;
const STDOUT = 1;
const STDERR = 2;
const CALL = 3;
const ABORT = 4;
const TRACE = 5;
/** The answer to a request. The other kind that a request hears of, 7, is an error. */
const ANSWER = 6;
/** What was put off and is not to be done any more. Not one of the addon's. */
const NOTHING = -1;

/** Errors of executions that were ended from outside: nobody waits for handlers any more. */
const CUT_OFF = new Set(["ERYX_TIMEOUT", "ERYX_CANCELLED"]);

/** @type {Map<number, ExecutionListener | RequestListener>} */
const listeners = new Map();
let lastId = 0;
/** @type {NodeJS.Timeout | undefined} */
let keepAlive;

/** The addon's events do not keep the process alive; a timer does, as long as something runs. */
function keepProcessAlive() {
  if (keepAlive === undefined) keepAlive = setInterval(() => {}, 2 ** 30);
  else if (listeners.size === 1) keepAlive.ref();
}

/**
 * The id under which the addon reports to `listener`.
 * @param {ExecutionListener | RequestListener} listener
 */
export function register(listener) {
  do lastId = lastId === 0xffffffff ? 1 : lastId + 1;
  while (listeners.has(lastId));
  listeners.set(lastId, listener);
  keepProcessAlive();
  return lastId;
}

/** @param {number} id */
export function unregister(id) {
  listeners.delete(id);
  if (listeners.size === 0) keepAlive?.unref();
}

/**
 * Called by the addon.
 * @type {Dispatch}
 */
export function dispatch(kind, id, payload, call, callback) {
  const listener = listeners.get(id);
  if (listener === undefined) return;
  if ("settle" in listener) {
    unregister(id);
    if (kind === ANSWER) listener.settle(payload);
    else listener.settle(undefined, /** @type {AddonError} */ (payload));
    return;
  }
  const event = /** @type {ExecutionEvent} */ ({
    kind,
    id,
    payload,
    call,
    callback,
  });
  if (listener.backlog !== undefined) {
    putOff(listener, listener.backlog, event);
    return;
  }
  const delay = handle(listener, event);
  if (delay !== undefined) putOffUntil(listener, delay);
}

/**
 * Puts an event off.
 * @param {ExecutionListener} listener
 * @param {ExecutionEvent[]} backlog
 * @param {ExecutionEvent} event
 */
function putOff(listener, backlog, event) {
  backlog.push(event);
  if (event.kind === ABORT) dropCall(backlog, event);
  if (event.kind === END && CUT_OFF.has(event.payload.error?.code ?? ""))
    hurry(listener);
}

/**
 * A call that has ended before its function was told of it: it is not made, and there is nothing to abort.
 * @param {ExecutionEvent[]} backlog
 * @param {ExecutionEvent} abort
 */
function dropCall(backlog, abort) {
  const unmadeCall = backlog.find(
    (event) => event.kind === CALL && event.call === abort.call,
  );
  if (unmadeCall === undefined) return;
  drop(unmadeCall);
  drop(abort);
}

/**
 * The event stays in its place: what the addon counts for it is given back in order.
 * @param {ExecutionEvent} event
 */
function drop(event) {
  Object.assign(event, { kind: NOTHING, payload: undefined });
}

/**
 * Puts off what is reported of an execution until a handler's promise is settled. What was put off counts as not taken: the guest
 * waits when it is too much. The end of the execution is put off too.
 * @param {ExecutionListener} listener
 * @param {Promise<void>} delay
 */
async function putOffUntil(listener, delay) {
  /** @type {ExecutionEvent[]} */
  const backlog = [];
  listener.backlog = backlog;
  listener.addonExecution.hold();
  await delay;
  for (
    let event = backlog.shift();
    event !== undefined;
    event = backlog.shift()
  ) {
    if (event.kind !== END) listener.addonExecution.release();
    await handle(listener, event);
  }
  listener.backlog = undefined;
  listener.addonExecution.release();
}

/**
 * A promise of when a handler's is settled, or `hurry` says that nobody waits for that; undefined if it has said so.
 * @param {ExecutionListener} listener
 * @param {Promise<void>} delay
 * @returns {Promise<void> | undefined}
 */
function waitInTime(listener, delay) {
  if (listener.isHurried) return undefined;
  return new Promise((resolve) => {
    listener.stopWaiting = resolve;
    delay.then(resolve);
  });
}

/**
 * The execution is cancelled, or its time is over: its promise settles without waiting for handlers. Those of what is still to be
 * handed over are called all the same. Calls that were put off are not made, as nobody wants what they do any more. They are
 * not answered either: Python might take them for failed and try again. The end of the execution does not wait for calls.
 * @param {ExecutionListener} listener
 */
export function hurry(listener) {
  listener.isHurried = true;
  for (const event of listener.backlog ?? []) {
    if (event.kind === CALL) drop(event);
  }
  listener.stopWaiting?.();
}

/**
 * Does what an event says. A promise if what comes next has to wait for it.
 * @param {ExecutionListener} listener
 * @param {ExecutionEvent} event
 */
function handle(listener, event) {
  if (event.kind === END) {
    unregister(event.id);
    listener.end(event.payload);
    return undefined;
  }
  return listener.scope.runInAsyncScope(passOn, null, listener, event);
}

/**
 * Passes on what happens while an execution lasts.
 * @param {ExecutionListener} listener
 * @param {ExecutionEvent} event
 */
function passOn(listener, event) {
  switch (event.kind) {
    case STDOUT:
      return notify(listener, "onStdout", event.payload);
    case STDERR:
      return notify(listener, "onStderr", event.payload);
    case CALL:
      listener.calls.start(event.call, event.callback, event.payload);
      return undefined;
    case ABORT:
      listener.calls.abort(event.call, event.callback !== 0);
      return undefined;
    case TRACE:
      return notifyOfEach(listener, decode(event.payload));
    default:
      return undefined;
  }
}

/**
 * Calls the user's `onTrace` for each event, one after the other.
 * @param {ExecutionListener} listener
 * @param {TraceEvent[]} events
 * @param {number} [first]
 * @returns {Promise<void> | undefined}
 */
function notifyOfEach(listener, events, first = 0) {
  for (let index = first; index < events.length; index++) {
    const delay = notify(listener, "onTrace", events[index]);
    if (delay !== undefined)
      return delay.then(() => notifyOfEach(listener, events, index + 1));
  }
  return undefined;
}

/**
 * Calls a handler of the user's: a promise if it is async. If it throws or rejects, that is a warning, and the execution goes on.
 * @template {keyof Handlers} Name
 * @param {ExecutionListener} listener
 * @param {Name} name
 * @param {Parameters<Required<Handlers>[Name]>[0]} argument
 */
function notify(listener, name, argument) {
  const warnOf = (/** @type {unknown} */ error) => warn(name, error);
  try {
    const outcome = /** @type {any} */ (listener)[name](argument);
    if (typeof outcome?.then !== "function") return undefined;
    return waitInTime(listener, Promise.resolve(outcome).catch(warnOf));
  } catch (error) {
    warnOf(error);
    return undefined;
  }
}

/**
 * @param {keyof Handlers} name
 * @param {unknown} error
 */
function warn(name, error) {
  const warning = new Error(`${name} threw ${describeThrown(error)}`, {
    cause: error,
  });
  warning.name = "EryxWarning";
  process.emitWarning(warning);
}

/**
 * What was thrown may be anything: looking at it may throw too.
 * @param {unknown} error
 */
function describeThrown(error) {
  try {
    return error instanceof Error
      ? `${error.name}: ${error.message}`
      : describe(error);
  } catch {
    return "an object whose properties throw";
  }
}

/**
 * Something asked of the addon that one event answers.
 * @template Answer
 */
export class Request {
  /** @type {() => void} */
  #resolveEnded = () => {};
  /**
   * Resolves at the end, never rejects. What the end was, `getAnswer()` tells.
   * @type {Promise<void>}
   */
  ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  /** @type {unknown} */
  #answer;
  /** @type {AddonError | undefined} */
  #error;

  /**
   * Asks, once: `begin(id)` is the call of the addon. Until it is answered it is in `running`.
   * @param {(id: number) => void} begin
   * @param {Running} running
   */
  start(begin, running) {
    const id = register({
      settle: (answer, error) => {
        this.#answer = answer;
        this.#error = error;
        running.delete(this);
        this.#resolveEnded();
      },
    });
    try {
      translateErrors(() => begin(id));
    } catch (error) {
      unregister(id);
      throw error;
    }
    running.add(this);
  }

  /** The answer, once it has come; throws its error. As with `Execution.getResult()`, the stack leads to the caller's `await`. */
  getAnswer() {
    if (this.#error === undefined) return /** @type {Answer} */ (this.#answer);
    const error = toPublicError(this.#error);
    Error.captureStackTrace(error, this.getAnswer);
    throw error;
  }
}
