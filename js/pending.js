import { shown } from "./check.js";

// Runs whose end has not been reported yet. The addon reports through `dispatch`, in order.

const DONE = 0;
const STDOUT = 1;

const runs = new Map();
let nextId = 1;
let keepAlive;

/** The addon's events do not keep the process alive; a timer does, as long as something runs. */
function hold() {
  if (keepAlive === undefined) keepAlive = setInterval(() => {}, 2 ** 30);
  else if (runs.size === 1) keepAlive.ref();
}

/** Registers a run: `{ done(outcome), onStdout?, onStderr? }`. Returns its id. */
export function register(run) {
  while (runs.has(nextId)) nextId = nextId === 0xffffffff ? 1 : nextId + 1;
  const id = nextId;
  nextId = id === 0xffffffff ? 1 : id + 1;
  runs.set(id, run);
  hold();
  return id;
}

export function unregister(id) {
  runs.delete(id);
  if (runs.size === 0) keepAlive.unref();
}

/** Calls a handler of the user's. What it throws is a warning: the run goes on. */
function notify(handler, chunk) {
  try {
    handler(chunk);
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
export function dispatch(kind, id, payload) {
  const run = runs.get(id);
  if (run === undefined) return;
  if (kind === DONE) {
    unregister(id);
    run.done(payload);
  } else {
    notify(kind === STDOUT ? run.onStdout : run.onStderr, payload);
  }
}
