import { checkBytes, checkCount, checkMilliseconds } from "./check.js";
import { closed, translated } from "./errors.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import { addon, runtime } from "./addon.js";
import { executionOptions, resumeOptions, sandboxOptions } from "./options.js";
import { Request } from "./events.js";
import { typeStubs } from "./stubs.js";
import { toVfsStorage } from "./storage.js";

/** Forks of one call, as in the core. */
const MAX_FORKS = 10_000;

/** The key of what a Session is made of whose interpreter is there already: `{ addonSession, settings, timeout }`. */
const MADE = Symbol("made");

function sessionOf(addonSession, settings, timeout) {
  return new Session(undefined, {
    [MADE]: { addonSession, settings, timeout },
  });
}

/** What a session is made of whose interpreter is yet to start. */
function begun(options) {
  const { addonOptions, storage, limits, ...settings } =
    sandboxOptions(options);
  return {
    addonSession: translated(
      () => new addon.Session(runtime(), addonOptions, storage),
    ),
    settings,
    timeout: limits.executionTimeoutMs,
  };
}

/** Ends a session of the addon; resolves when its interpreter has ended. */
async function close(addonSession) {
  const request = new Request();
  request.start((id) => addonSession.close(id), new Set());
  await request.ended;
}

/** Keeps its interpreter between execute() calls; calls are queued in order. */
export class Session {
  #addonSession;
  #settings;
  #timeout;
  #vfs;
  /** Executions and requests whose end is yet to come: objects with a promise `ended`. */
  #pending = new Set();
  #closed = false;

  constructor(options, internal) {
    const made = internal?.[MADE] ?? begun(options);
    this.#addonSession = made.addonSession;
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
    checked.addonOptions.timeoutMs ??= this.#timeout ?? -1;
    const begin = (id, addonOptions, addonExecution) =>
      this.#addonSession.execute(id, source, addonOptions, addonExecution);
    const execution = new Execution(this.#settings.callbacks, checked);
    execution.start(begin, this.#pending);
    return execution;
  }

  #refuseClosed() {
    if (this.#closed) throw closed("session");
  }

  /** Asks the addon for something that an event answers. */
  async #ask(begin) {
    this.#refuseClosed();
    const request = new Request();
    request.start(begin, this.#pending);
    await request.ended;
    return request.answer();
  }

  async reset() {
    await this.#ask((id) => this.#addonSession.reset(id));
  }

  async clearState() {
    await this.#ask((id) => this.#addonSession.clearState(id));
  }

  async snapshotState() {
    return this.#ask((id) => this.#addonSession.snapshot(id));
  }

  async restoreState(snapshot) {
    const bytes = checkBytes("snapshot", snapshot);
    await this.#ask((id) => this.#addonSession.restore(id, bytes));
  }

  /** Continues an execution that was suspended. */
  static async resume(checkpoint, options) {
    const bytes = checkBytes("checkpoint", checkpoint);
    const { session, execution, answers } = resumeOptions(options);
    const { addonOptions, storage, limits, ...settings } =
      sandboxOptions(session);
    const checked = executionOptions(execution, settings.inherited);
    let made;
    const begin = (id, executionOptions, addonExecution) => {
      made = addon.Session.resume(
        runtime(),
        addonOptions,
        bytes,
        answers,
        id,
        executionOptions,
        addonExecution,
        storage,
      );
      return null;
    };
    const resumed = new Execution(settings.callbacks, checked);
    resumed.start(begin, new Set());
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
    const addonSessions = await this.#ask((id) =>
      this.#addonSession.fork(id, wanted),
    );
    const forks = addonSessions.map((addonSession) =>
      sessionOf(addonSession, this.#settings, timeout),
    );
    return count === undefined ? forks[0] : forks;
  }

  get executionCount() {
    return this.#addonSession.executionCount;
  }

  get executionTimeoutMs() {
    return this.#timeout;
  }

  set executionTimeoutMs(limit) {
    this.#timeout =
      limit === null ? null : checkMilliseconds("executionTimeoutMs", limit);
    this.#addonSession.setExecutionTimeout(limit ?? -1);
  }

  /** The storage of the options, or the session's own. */
  get vfs() {
    this.#vfs ??= toVfsStorage(this.#addonSession.vfs());
    return this.#vfs;
  }

  get vfsMountPath() {
    return this.#addonSession.vfsMountPath;
  }

  get typeStubs() {
    return typeStubs(this.#settings.callbacks, this.#settings.stubs);
  }

  /** Cancels what runs, refuses what is queued, and resolves when all of it and the interpreter have ended. */
  async close() {
    this.#closed = true;
    const closing = close(this.#addonSession);
    for (const pending of this.#pending) pending.cancel?.();
    await Promise.all([...this.#pending].map(({ ended }) => ended));
    await closing;
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
