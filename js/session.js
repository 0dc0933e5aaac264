import { checkBytes, checkCount, checkMilliseconds } from "./check.js";
import { closed, translated } from "./errors.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import { addon, runtime } from "./native.js";
import { executionOptions, resumeOptions, sandboxOptions } from "./options.js";
import { Request } from "./events.js";
import { typeStubs } from "./stubs.js";
import { storageOf } from "./storage.js";

/** Forks of one call, as in the core. */
const MAX_FORKS = 10_000;

/** The key of what a Session is made of whose interpreter is there already: `{ native, settings, timeout }`. */
const MADE = Symbol("made");

function sessionOf(native, settings, timeout) {
  return new Session(undefined, { [MADE]: { native, settings, timeout } });
}

/** What a session is made of whose interpreter is yet to start. */
function begun(options) {
  const { native, storage, limits, ...settings } = sandboxOptions(options);
  return {
    native: translated(
      () => new addon.NativeSession(runtime(), native, storage),
    ),
    settings,
    timeout: limits.executionTimeoutMs,
  };
}

/** Ends a session of the addon; resolves when its interpreter has ended. */
async function close(native) {
  await new Request((id) => native.close(id), new Set()).ended;
}

/** Keeps its interpreter between execute() calls; calls are queued in order. */
export class Session {
  #native;
  #settings;
  #timeout;
  #vfs;
  /** Executions and requests whose end is yet to come: objects with a promise `ended`. */
  #pending = new Set();
  #closed = false;

  constructor(options, internal) {
    const made = internal?.[MADE] ?? begun(options);
    this.#native = made.native;
    this.#settings = made.settings;
    this.#timeout = made.timeout;
    this.#vfs = made.settings.vfs;
  }

  async execute(code, options) {
    const execution = this.#start(code, options);
    await execution.ended;
    return execution.outcome();
  }

  executeCancellable(code, options) {
    return new ExecutionHandle(this.#start(code, options));
  }

  #start(code, options) {
    const source = checkCode(code);
    const checked = executionOptions(options, this.#settings.inherited);
    this.#refuseClosed();
    // The limit is that of now, also if another one is set before this execution has its turn.
    checked.native.timeoutMs ??= this.#timeout ?? -1;
    const begin = (id, native, run) =>
      this.#native.execute(id, source, native, run);
    const { callbacks } = this.#settings;
    return new Execution(begin, callbacks, checked, this.#pending);
  }

  #refuseClosed() {
    if (this.#closed) throw closed("session");
  }

  /** Asks the addon for something that an event answers. */
  async #ask(start) {
    this.#refuseClosed();
    const request = new Request(start, this.#pending);
    await request.ended;
    return request.answer();
  }

  async reset() {
    await this.#ask((id) => this.#native.reset(id));
  }

  async clearState() {
    await this.#ask((id) => this.#native.clearState(id));
  }

  async snapshotState() {
    return this.#ask((id) => this.#native.snapshot(id));
  }

  async restoreState(snapshot) {
    const bytes = checkBytes("snapshot", snapshot);
    await this.#ask((id) => this.#native.restore(id, bytes));
  }

  /** Continues an execution that was suspended. */
  static async resume(checkpoint, options) {
    const bytes = checkBytes("checkpoint", checkpoint);
    const { session, execution, answers } = resumeOptions(options);
    const { native, storage, limits, ...settings } = sandboxOptions(session);
    const checked = executionOptions(execution, settings.inherited);
    let made;
    const begin = (id, executing, run) => {
      made = addon.NativeSession.resume(
        runtime(),
        native,
        bytes,
        answers,
        id,
        executing,
        run,
        storage,
      );
      return null;
    };
    const { callbacks } = settings;
    const resumed = new Execution(begin, callbacks, checked, new Set());
    await resumed.ended;
    try {
      const result = resumed.outcome();
      const timeout = limits.executionTimeoutMs;
      return { session: sessionOf(made, settings, timeout), result };
    } catch (error) {
      if (made !== undefined) await close(made);
      throw error;
    }
  }

  async fork(count) {
    const wanted =
      count === undefined ? 1 : checkCount("count", count, MAX_FORKS);
    const timeout = this.#timeout;
    const natives = await this.#ask((id) => this.#native.fork(id, wanted));
    const forks = natives.map((native) =>
      sessionOf(native, this.#settings, timeout),
    );
    return count === undefined ? forks[0] : forks;
  }

  get executionCount() {
    return this.#native.executionCount;
  }

  get executionTimeoutMs() {
    return this.#timeout;
  }

  set executionTimeoutMs(limit) {
    this.#timeout =
      limit === null ? null : checkMilliseconds("executionTimeoutMs", limit);
    this.#native.setExecutionTimeout(limit ?? -1);
  }

  /** The storage of the options, or the session's own. */
  get vfs() {
    this.#vfs ??= storageOf(this.#native.vfs());
    return this.#vfs;
  }

  get vfsMountPath() {
    return this.#native.vfsMountPath;
  }

  get typeStubs() {
    return typeStubs(this.#settings.callbacks, this.#settings.stubs);
  }

  /** Cancels what runs, refuses what is queued, and resolves when all of it and the interpreter have ended. */
  async close() {
    this.#closed = true;
    const closing = close(this.#native);
    for (const pending of this.#pending) pending.cancel?.();
    await Promise.all([...this.#pending].map(({ ended }) => ended));
    await closing;
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
