import { addon, getRuntime } from "./addon.js";
import { makeClosedError, translateErrors } from "./errors.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import { checkExecutionOptions, checkSandboxOptions } from "./options.js";
import { renderTypeStubs } from "./stubs.js";

/** @import { ExecutionOptions, SandboxOptions } from "../index.js" */
/** @import { AddonSandbox, Begin, Callback, Inherited, Running } from "./types.js" */

/** Every execute() starts from the same fresh interpreter; concurrent calls are independent. */
export class Sandbox {
  #addonSandbox;
  #inherited;
  #callbacks;
  #stubs;
  /** @type {Running} */
  #running = new Set();
  #isClosed = false;

  /** @param {SandboxOptions} [options] */
  constructor(options) {
    const { addonOptions, storage, inherited, callbacks, stubs } =
      checkSandboxOptions(options);
    this.#addonSandbox = translateErrors(
      () => new addon.Sandbox(getRuntime(), addonOptions, storage),
    );
    this.#inherited = inherited;
    this.#callbacks = callbacks;
    this.#stubs = stubs;
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
    const executionOptions = checkExecutionOptions(options, this.#inherited);
    if (this.#isClosed) throw makeClosedError("sandbox");
    /** @type {Begin} */
    const begin = (id, addonOptions, addonExecution) =>
      this.#addonSandbox.execute(id, source, addonOptions, addonExecution);
    const execution = new Execution(this.#callbacks, executionOptions);
    execution.start(begin, this.#running);
    return execution;
  }

  get typeStubs() {
    return renderTypeStubs(this.#callbacks, this.#stubs);
  }

  /** Cancels what runs, and resolves when all of it has ended. */
  async close() {
    this.#isClosed = true;
    this.#addonSandbox.close();
    for (const execution of this.#running) execution.cancel?.();
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
