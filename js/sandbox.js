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
    return this.#start(code, options).promise;
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
    const execution = new Execution(begin, this.#callbacks, checked);
    this.#running.add(execution);
    const forget = () => this.#running.delete(execution);
    execution.promise.then(forget, forget);
    return execution;
  }

  get typeStubs() {
    return typeStubs(this.#callbacks, this.#stubs);
  }

  /** Cancels what runs, and resolves when all of it has ended. */
  async close() {
    this.#closed = true;
    this.#native.close();
    await Promise.allSettled(
      [...this.#running].map((execution) => execution.promise),
    );
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
