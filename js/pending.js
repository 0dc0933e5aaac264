import { AsyncResource } from "node:async_hooks";
import { shown } from "./check.js";
import { fromNative, translated } from "./errors.js";
import { decode } from "./wire.js";

// Runs and requests whose end has not been reported yet. The addon reports through `dispatch`, in order.

// Kinds of events: eryx-node/src/dispatch.rs.
const DONE = 0;
const STDOUT = 1;
const STDERR = 2;
const CALL = 3;
const ABORT = 4;
const TRACE = 5;
const ANSWERED = 6;
const REFUSED = 7;

const runs = new Map();
let lastId = 0;
let keepAlive;

/** The addon's events do not keep the process alive; a timer does, as long as something runs. */
function hold() {
  if (keepAlive === undefined) keepAlive = setInterval(() => {}, 2 ** 30);
  else if (runs.size === 1) keepAlive.ref();
}

/**
 * Registers a run: `{ done(outcome), calls, onStdout?, onStderr?, onTrace? }`, or a request: `{ resolve, reject }`. Returns
 * its id.
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

/** Calls a handler of the user's. What it throws is a warning: the run goes on. */
function notify(handler, argument) {
  try {
    handler(argument);
  } catch (error) {
    process.emitWarning(
      error instanceof Error ? error : `a handler threw ${shown(error)}`,
      {
        type: "EryxHandlerWarning",
      },
    );
  }
}

/** Called by the addon. */
export function dispatch(kind, id, payload, call, callback) {
  const run = runs.get(id);
  if (run === undefined) return;
  switch (kind) {
    case DONE:
      unregister(id);
      run.done(payload);
      break;
    case ANSWERED:
      unregister(id);
      run.resolve(payload);
      break;
    case REFUSED:
      unregister(id);
      run.reject(fromNative(payload));
      break;
    default:
      run.scope.runInAsyncScope(tell, null, run, kind, payload, call, callback);
  }
}

/** Passes on what happens while a run lasts. */
function tell(run, kind, payload, call, callback) {
  switch (kind) {
    case STDOUT:
      notify(run.onStdout, payload);
      break;
    case STDERR:
      notify(run.onStderr, payload);
      break;
    case CALL:
      run.calls.start(call, callback, payload);
      break;
    case ABORT:
      run.calls.abort(call, callback !== 0);
      break;
    case TRACE:
      for (const event of decode(payload)) notify(run.onTrace, event);
      break;
  }
}

/** Starts something that one event answers: `start(id)`. */
export function ask(start) {
  return new Promise((resolve, reject) => {
    const id = register({ resolve, reject });
    try {
      translated(() => start(id));
    } catch (error) {
      unregister(id);
      reject(error);
    }
  });
}
