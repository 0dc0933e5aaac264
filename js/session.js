import { addon, getRuntime } from "./addon.js";
import { checkBytes, checkCount, checkMilliseconds } from "./check.js";
import { makeClosedError, translateErrors } from "./errors.js";
import { Request } from "./events.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import {
  checkExecutionOptions,
  checkResumeOptions,
  checkSandboxOptions,
} from "./options.js";
import { toVfsStorage } from "./storage.js";
import { renderTypeStubs } from "./stubs.js";

/** @import { ExecuteResult, ExecutionOptions, SandboxOptions } from "../index.js" */
/** @typedef {Omit<CheckedSandboxOptions, "addonOptions" | "storage" | "limits">} Settings */
/** @typedef {{ addonSession: AddonSession, settings: Settings, timeout: number | null }} SessionParts */
/** @import { AddonSession, Begin, CheckedSandboxOptions, ResumeOptions, Running } from "./types.js" */

/** Forks of one call, as in the core. */
const MAX_FORKS = 10_000;

/** The key of what a Session is made of whose interpreter is there already: `{ addonSession, settings, timeout }`. */
const PARTS = Symbol("parts");

/** @param {AddonSession} addonSession @param {Settings} settings @param {number | null} timeout */
function makeSession(addonSession, settings, timeout) {
  return new Session(undefined, {
    [PARTS]: { addonSession, settings, timeout },
  });
}

/**
 * What a session is made of whose interpreter is yet to start.
 * @param {SandboxOptions | undefined} options
 * @returns {SessionParts}
 */
function makeParts(options) {
  const { addonOptions, storage, limits, ...settings } =
    checkSandboxOptions(options);
  return {
    addonSession: translateErrors(
      () => new addon.Session(getRuntime(), addonOptions, storage),
    ),
    settings,
    timeout: limits.executionTimeoutMs,
  };
}

/**
 * Ends a session of the addon; resolves when its interpreter has ended.
 * @param {AddonSession} addonSession
 */
async function closeAddonSession(addonSession) {
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
  /**
   * Executions and requests whose end is yet to come.
   * @type {Running}
   */
  #running = new Set();
  #isClosed = false;

  /** @param {SandboxOptions} [options] @param {{ [PARTS]?: SessionParts }} [internal] */
  constructor(options, internal) {
    const parts = internal?.[PARTS] ?? makeParts(options);
    this.#addonSession = parts.addonSession;
    this.#settings = parts.settings;
    this.#timeout = parts.timeout;
    this.#vfs = parts.settings.vfs;
  }

  /** @param {string} code @param {ExecutionOptions} [options] */
  async execute(code, options) {
    const execution = this.#start(code, options);
    await execution.ended;
    return execution.getResult();
  }

  /** @param {string} code @param {ExecutionOptions} [options] */
  executeCancellable(code, options) {
    return new ExecutionHandle(this.#start(code, options));
  }

  /** @param {string} code @param {ExecutionOptions | undefined} options */
  #start(code, options) {
    const source = checkCode(code);
    const executionOptions = checkExecutionOptions(
      options,
      this.#settings.inherited,
    );
    this.#checkOpen();
    // The limit is that of now, also if another one is set before this execution has its turn.
    executionOptions.addonOptions.timeoutMs ??= this.#timeout ?? -1;
    /** @type {Begin} */
    const begin = (id, addonOptions, addonExecution) =>
      this.#addonSession.execute(id, source, addonOptions, addonExecution);
    const execution = new Execution(this.#settings.callbacks, executionOptions);
    execution.start(begin, this.#running);
    return execution;
  }

  #checkOpen() {
    if (this.#isClosed) throw makeClosedError("session");
  }

  /**
   * Asks the addon for something that an event answers.
   * @template Answer
   * @param {(id: number) => void} begin
   * @returns {Promise<Answer>}
   */
  async #ask(begin) {
    this.#checkOpen();
    const request = new Request();
    request.start(begin, this.#running);
    await request.ended;
    return request.getAnswer();
  }

  async reset() {
    await this.#ask((id) => this.#addonSession.reset(id));
  }

  async clearState() {
    await this.#ask((id) => this.#addonSession.clearState(id));
  }

  /** @returns {Promise<Uint8Array>} */
  async snapshotState() {
    return this.#ask((id) => this.#addonSession.snapshot(id));
  }

  /** @param {Uint8Array} snapshot */
  async restoreState(snapshot) {
    const bytes = checkBytes("snapshot", snapshot);
    await this.#ask((id) => this.#addonSession.restore(id, bytes));
  }

  /**
   * Continues an execution that was suspended.
   * @param {Uint8Array} checkpoint
   * @param {ResumeOptions} [options]
   */
  static async resume(checkpoint, options) {
    const bytes = checkBytes("checkpoint", checkpoint);
    const { sessionOptions, executionOptions, answers } =
      checkResumeOptions(options);
    const { addonOptions, storage, limits, ...settings } =
      checkSandboxOptions(sessionOptions);
    const execution = new Execution(
      settings.callbacks,
      checkExecutionOptions(executionOptions, settings.inherited),
    );
    /** @type {AddonSession | undefined} */
    let addonSession;
    /** @type {Begin} */
    const begin = (id, addonExecutionOptions, addonExecution) => {
      addonSession = addon.Session.resume(
        getRuntime(),
        addonOptions,
        bytes,
        answers,
        id,
        addonExecutionOptions,
        addonExecution,
        storage,
      );
      return null;
    };
    execution.start(begin, new Set());
    await execution.ended;
    try {
      const result = execution.getResult();
      const session = makeSession(
        /** @type {AddonSession} */ (/** @type {unknown} */ (addonSession)),
        settings,
        limits.executionTimeoutMs,
      );
      return { session, result };
    } catch (error) {
      if (addonSession !== undefined) await closeAddonSession(addonSession);
      throw error;
    }
  }

  /**
   * @overload
   * @returns {Promise<Session>}
   *
   * @overload
   * @param {number} count
   * @returns {Promise<Session[]>}
   *
   * @param {number} [count]
   * @returns {Promise<Session | Session[]>}
   */
  async fork(count) {
    const number =
      count === undefined ? 1 : checkCount("count", count, MAX_FORKS);
    const timeout = this.#timeout;
    /** @type {AddonSession[]} */
    const addonSessions = await this.#ask((id) =>
      this.#addonSession.fork(id, number),
    );
    const forks = addonSessions.map((addonSession) =>
      makeSession(addonSession, this.#settings, timeout),
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
    return renderTypeStubs(this.#settings.callbacks, this.#settings.stubs);
  }

  /** Cancels what runs, refuses what is queued, and resolves when all of it and the interpreter have ended. */
  async close() {
    this.#isClosed = true;
    const closing = closeAddonSession(this.#addonSession);
    for (const task of this.#running) task.cancel?.();
    await Promise.all([...this.#running].map(({ ended }) => ended));
    await closing;
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
