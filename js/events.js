import { describe } from "./check.js";
import { toPublicError, translateErrors } from "./errors.js";
import { AsyncResource } from "./node.js";
import { decode } from "./wire.js";

// Runs and requests whose end has not been reported yet. The addon reports through `dispatch`, in order.

// Kinds of events: eryx-node/src/events.rs.
const END = 0;
const STDOUT = 1;
const STDERR = 2;
const CALL = 3;
const ABORT = 4;
const TRACE = 5;
const ANSWER = 6;
const REFUSAL = 7;
/** What was put off and is not to be done any more. Not one of the addon's. */
const NOTHING = -1;

/** Errors of runs that were ended from outside: nobody waits for handlers any more. */
const CUT_OFF = new Set(["ERYX_TIMEOUT", "ERYX_CANCELLED"]);

const runs = new Map();
let lastId = 0;
let keepAlive;

/** The addon's events do not keep the process alive; a timer does, as long as something runs. */
function keepProcessAlive() {
  if (keepAlive === undefined) keepAlive = setInterval(() => {}, 2 ** 30);
  else if (runs.size === 1) keepAlive.ref();
}

/**
 * Registers a run: `{ end(outcome), calls, addonExecution, onStdout?, onStderr?, onTrace? }`, or a request: `{ settle(answer, error) }`.
 * Returns its id.
 */
export function register(run) {
  do lastId = lastId === 0xffffffff ? 1 : lastId + 1;
  while (runs.has(lastId));
  // Functions of the user's see the AsyncLocalStorage of whoever started the run.
  run.scope = new AsyncResource("EryxRun");
  runs.set(lastId, run);
  keepProcessAlive();
  return lastId;
}

export function unregister(id) {
  runs.delete(id);
  if (runs.size === 0) keepAlive.unref();
}

/** Called by the addon. */
export function dispatch(kind, id, payload, call, callback) {
  const run = runs.get(id);
  if (run === undefined) return;
  const event = { kind, id, payload, call, callback };
  if (run.backlog !== undefined) {
    putOff(run, event);
    return;
  }
  const delay = handle(run, event);
  if (delay !== undefined) putOffUntil(run, delay);
}

/** Puts an event off. */
function putOff(run, event) {
  const { kind, payload, call } = event;
  run.backlog.push(event);
  if (kind === ABORT) dropCall(run.backlog, event, call);
  if (kind === END && CUT_OFF.has(payload.error?.code)) hurry(run);
}

/** A call that has ended before its function was told of it: it is not made, and there is nothing to abort. */
function dropCall(events, abort, call) {
  const unmadeCall = events.find(
    (event) => event.kind === CALL && event.call === call,
  );
  if (unmadeCall === undefined) return;
  drop(unmadeCall);
  drop(abort);
}

/** The event stays in its place: what the addon counts for it is given back in order. */
function drop(event) {
  event.kind = NOTHING;
  event.payload = undefined;
}

/**
 * Puts off what a run reports until a handler's promise is settled. What was put off counts as not taken: the guest waits when
 * it is too much. The end of the run is put off too.
 */
async function putOffUntil(run, delay) {
  const backlog = [];
  run.backlog = backlog;
  run.addonExecution.hold();
  await delay;
  while (backlog.length > 0) {
    const event = backlog.shift();
    if (event.kind !== END) run.addonExecution.release();
    await handle(run, event);
  }
  run.backlog = undefined;
  run.addonExecution.release();
}

/** A promise of when a handler's is settled, or `hurry` says that nobody waits for that; undefined if it has said so. */
function waitInTime(run, delay) {
  if (run.isHurried) return undefined;
  return new Promise((resolve) => {
    run.stopWaiting = resolve;
    delay.then(resolve);
  });
}

/**
 * The run is cancelled, or its time is over: its promise settles without waiting for handlers. Those of what is still to be
 * handed over are called all the same. Calls that were put off are not made, as nobody wants what they do any more. They are
 * not answered either: Python might take them for failed and try again. The end of the run does not wait for calls.
 */
export function hurry(run) {
  run.isHurried = true;
  for (const event of run.backlog ?? []) {
    if (event.kind === CALL) drop(event);
  }
  run.stopWaiting?.();
}

/** Does what an event says. A promise if what comes next has to wait for it. */
function handle(run, event) {
  const { kind, id, payload } = event;
  switch (kind) {
    case END:
      unregister(id);
      run.end(payload);
      return undefined;
    case ANSWER:
      unregister(id);
      run.settle(payload);
      return undefined;
    case REFUSAL:
      unregister(id);
      run.settle(undefined, payload);
      return undefined;
    default:
      return run.scope.runInAsyncScope(passOn, null, run, event);
  }
}

/** Passes on what happens while a run lasts. */
function passOn(run, { kind, payload, call, callback }) {
  switch (kind) {
    case STDOUT:
      return notify(run, "onStdout", payload);
    case STDERR:
      return notify(run, "onStderr", payload);
    case CALL:
      run.calls.start(call, callback, payload);
      return undefined;
    case ABORT:
      run.calls.abort(call, callback !== 0);
      return undefined;
    case TRACE:
      return notifyOfEach(run, "onTrace", decode(payload));
    default:
      return undefined;
  }
}

/** Calls a handler of the user's for each item, one after the other. */
function notifyOfEach(run, handler, items, first = 0) {
  for (let index = first; index < items.length; index++) {
    const delay = notify(run, handler, items[index]);
    if (delay !== undefined)
      return delay.then(() => notifyOfEach(run, handler, items, index + 1));
  }
  return undefined;
}

/** Calls a handler of the user's: a promise if it is async. If it throws or rejects, that is a warning, and the run goes on. */
function notify(run, handler, argument) {
  const warnOf = (error) => warn(handler, error);
  try {
    const returned = run[handler](argument);
    if (typeof returned?.then !== "function") return undefined;
    return waitInTime(run, Promise.resolve(returned).catch(warnOf));
  } catch (error) {
    warnOf(error);
    return undefined;
  }
}

function warn(handler, error) {
  const warning = new Error(`${handler} threw ${describeThrown(error)}`, {
    cause: error,
  });
  warning.name = "EryxWarning";
  process.emitWarning(warning);
}

/** What was thrown may be anything: looking at it may throw too. */
function describeThrown(error) {
  try {
    return error instanceof Error
      ? `${error.name}: ${error.message}`
      : describe(error);
  } catch {
    return "an object whose properties throw";
  }
}

/** Something asked of the addon that one event answers. */
export class Request {
  /** Resolves at the end, never rejects. What the end was, `getAnswer()` tells. */
  ended;
  #resolveEnded;
  #answer;
  #error;

  constructor() {
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  /** Asks, once: `begin(id)` is the call of the addon. Until it is answered it is in `running`. */
  start(begin, running) {
    const settle = (answer, error) => {
      this.#answer = answer;
      this.#error = error;
      running.delete(this);
      this.#resolveEnded();
    };
    const id = register({ settle });
    try {
      translateErrors(() => begin(id));
    } catch (error) {
      unregister(id);
      throw error;
    }
    running.add(this);
  }

  /** The answer, once it has come; throws its error. As with `Execution.outcome()`, the stack leads to the caller's `await`. */
  getAnswer() {
    if (this.#error === undefined) return this.#answer;
    const error = toPublicError(this.#error);
    Error.captureStackTrace(error, this.getAnswer);
    throw error;
  }
}
