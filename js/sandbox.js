import { closed, translated } from "./errors.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import { addon, runtime } from "./addon.js";
import { executionOptions, sandboxOptions } from "./options.js";
import { typeStubs } from "./stubs.js";

/** Every execute() starts from the same fresh interpreter; concurrent calls are independent. */
export class Sandbox {
  #addonSandbox;
  #inherited;
  #callbacks;
  #stubs;
  #running = new Set();
  #closed = false;

  constructor(options) {
    const { addonOptions, storage, inherited, callbacks, stubs } =
      sandboxOptions(options);
    this.#addonSandbox = translated(
      () => new addon.Sandbox(runtime(), addonOptions, storage),
    );
    this.#inherited = inherited;
    this.#callbacks = callbacks;
    this.#stubs = stubs;
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
    const checked = executionOptions(options, this.#inherited);
    if (this.#closed) throw closed("sandbox");
    const begin = (id, addonOptions, addonExecution) =>
      this.#addonSandbox.execute(id, source, addonOptions, addonExecution);
    const execution = new Execution(this.#callbacks, checked);
    execution.start(begin, this.#running);
    return execution;
  }

  get typeStubs() {
    return typeStubs(this.#callbacks, this.#stubs);
  }

  /** Cancels what runs, and resolves when all of it has ended. */
  async close() {
    this.#closed = true;
    this.#addonSandbox.close();
    for (const execution of this.#running) execution.cancel();
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
