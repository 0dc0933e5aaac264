import { closed, translated } from "./errors.js";
import { checkCode, Execution, ExecutionHandle } from "./execution.js";
import { addon, runtime } from "./native.js";
import { executionOptions, sandboxOptions } from "./options.js";
import { typeStubs } from "./stubs.js";

/** Every execute() starts from the same fresh interpreter; concurrent calls are independent. */
export class Sandbox {
  #native;
  #inherited;
  #callbacks;
  #stubs;
  #running = new Set();
  #closed = false;

  constructor(options) {
    const { native, storage, inherited, callbacks, stubs } =
      sandboxOptions(options);
    this.#native = translated(
      () => new addon.NativeSandbox(runtime(), native, storage),
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
    const begin = (id, native, run) =>
      this.#native.execute(id, source, native, run);
    return new Execution(begin, this.#callbacks, checked, this.#running);
  }

  get typeStubs() {
    return typeStubs(this.#callbacks, this.#stubs);
  }

  /** Cancels what runs, and resolves when all of it has ended. */
  async close() {
    this.#closed = true;
    this.#native.close();
    for (const execution of this.#running) execution.cancel();
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
