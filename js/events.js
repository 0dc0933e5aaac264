import { shown } from "./check.js";
import { toPublicError, translated } from "./errors.js";
import { AsyncResource } from "./node.js";
import { decode } from "./wire.js";

// Runs and requests whose end has not been reported yet. The addon reports through `dispatch`, in order.

// Kinds of events: eryx-node/src/events.rs.
const DONE = 0;
const STDOUT = 1;
const STDERR = 2;
const CALL = 3;
const ABORT = 4;
const TRACE = 5;
const ANSWERED = 6;
const REFUSED = 7;
/** What was put off and is not to be done any more. Not one of the addon's. */
const DROPPED = -1;

/** Errors of runs that were ended from outside: nobody waits for handlers any more. */
const CUT_OFF = new Set(["ERYX_TIMEOUT", "ERYX_CANCELLED"]);

const runs = new Map();
let lastId = 0;
let keepAlive;

/** The addon's events do not keep the process alive; a timer does, as long as something runs. */
function hold() {
  if (keepAlive === undefined) keepAlive = setInterval(() => {}, 2 ** 30);
  else if (runs.size === 1) keepAlive.ref();
}

/**
 * Registers a run: `{ done(outcome), calls, addonExecution, onStdout?, onStderr?, onTrace? }`, or a request: `{ answered(answer, error) }`.
 * Returns its id.
 */
export function register(run) {
  do lastId = lastId === 0xffffffff ? 1 : lastId + 1;
  while (runs.has(lastId));
  // Functions of the user's see the AsyncLocalStorage of whoever started the run.
  run.scope = new AsyncResource("EryxRun");
  runs.set(lastId, run);
  hold();
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
  if (run.putOff !== undefined) {
    append(run, event);
    return;
  }
  const handled = handle(run, event);
  if (handled !== undefined) putOff(run, handled);
}

/** Puts an event off. */
function append(run, event) {
  const { kind, payload, call } = event;
  run.putOff.push(event);
  if (kind === ABORT) dropCall(run.putOff, event, call);
  if (kind === DONE && CUT_OFF.has(payload.error?.code)) hurry(run);
}

/** A call that has ended before its function was told of it: it is not made, and there is nothing to abort. */
function dropCall(events, abort, call) {
  const unmade = events.find(
    (event) => event.kind === CALL && event.call === call,
  );
  if (unmade === undefined) return;
  drop(unmade);
  drop(abort);
}

/** The event stays in its place: what the addon counts for it is given back in order. */
function drop(event) {
  event.kind = DROPPED;
  event.payload = undefined;
}

/**
 * Puts off what a run reports until a handler's promise is settled. What was put off counts as not taken: the guest waits when
 * it is too much. The end of the run is put off too.
 */
async function putOff(run, handled) {
  const events = [];
  run.putOff = events;
  run.addonExecution.hold();
  await handled;
  while (events.length > 0) {
    const event = events.shift();
    if (event.kind !== DONE) run.addonExecution.release();
    await handle(run, event);
  }
  run.putOff = undefined;
  run.addonExecution.release();
}

/** A promise of when a handler's is settled, or `hurry` says that nobody waits for that; undefined if it has said so. */
function inTime(run, handled) {
  if (run.hurried) return undefined;
  return new Promise((resolve) => {
    run.goOn = resolve;
    handled.then(resolve);
  });
}

/**
 * The run is cancelled, or its time is over: its promise settles without waiting for handlers. Those of what is still to be
 * handed over are called all the same. Calls that were put off are not made, as nobody wants what they do any more. They are
 * not answered either: Python might take them for failed and try again. The end of the run does not wait for calls.
 */
export function hurry(run) {
  run.hurried = true;
  for (const event of run.putOff ?? []) {
    if (event.kind === CALL) drop(event);
  }
  run.goOn?.();
}

/** Does what an event says. A promise if what comes next has to wait for it. */
function handle(run, event) {
  const { kind, id, payload } = event;
  switch (kind) {
    case DONE:
      unregister(id);
      run.done(payload);
      return undefined;
    case ANSWERED:
      unregister(id);
      run.answered(payload);
      return undefined;
    case REFUSED:
      unregister(id);
      run.answered(undefined, payload);
      return undefined;
    default:
      return run.scope.runInAsyncScope(tell, null, run, event);
  }
}

/** Passes on what happens while a run lasts. */
function tell(run, { kind, payload, call, callback }) {
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
      return notifyOfAll(run, "onTrace", decode(payload));
    default:
      return undefined;
  }
}

/** Calls a handler of the user's for each item, one after the other. */
function notifyOfAll(run, handler, items, first = 0) {
  for (let index = first; index < items.length; index++) {
    const handled = notify(run, handler, items[index]);
    if (handled !== undefined)
      return handled.then(() => notifyOfAll(run, handler, items, index + 1));
  }
  return undefined;
}

/** Calls a handler of the user's: a promise if it is async. If it throws or rejects, that is a warning, and the run goes on. */
function notify(run, handler, argument) {
  const failed = (error) => warn(handler, error);
  try {
    const outcome = run[handler](argument);
    if (typeof outcome?.then !== "function") return undefined;
    return inTime(run, Promise.resolve(outcome).catch(failed));
  } catch (error) {
    failed(error);
    return undefined;
  }
}

function warn(handler, error) {
  const warning = new Error(`${handler} threw ${described(error)}`, {
    cause: error,
  });
  warning.name = "EryxWarning";
  process.emitWarning(warning);
}

/** What was thrown may be anything: looking at it may throw too. */
function described(error) {
  try {
    return error instanceof Error
      ? `${error.name}: ${error.message}`
      : shown(error);
  } catch {
    return "an object whose properties throw";
  }
}

/** Something asked of the addon that one event answers. */
export class Request {
  /** Resolves at the end, never rejects. What the end was, `answer()` tells. */
  ended;
  #resolveEnded;
  #answer;
  #error;

  constructor() {
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  /** Asks, once: `begin(id)` is the call of the addon. Until it is answered it is in `running`. */
  start(begin, running) {
    const answered = (answer, error) => {
      this.#answer = answer;
      this.#error = error;
      running.delete(this);
      this.#resolveEnded();
    };
    const id = register({ answered });
    try {
      translated(() => begin(id));
    } catch (error) {
      unregister(id);
      throw error;
    }
    running.add(this);
  }

  /** The answer, once it has come; throws its error. As with `Execution.outcome()`, the stack leads to the caller's `await`. */
  answer() {
    if (this.#error === undefined) return this.#answer;
    const error = toPublicError(this.#error);
    Error.captureStackTrace(error, this.answer);
    throw error;
  }
}
