import { homedir } from "node:os";
import { cwd } from "node:process";
import { ArgumentsRefused } from "./callbacks.js";
import { constructorName, shown } from "./check.js";
import { decode, encode } from "./wire.js";

/** Text of an error beyond so many characters is cut. */
const MAX_MESSAGE = 10_000;

/** What a function is told about its call. */
class Context {
  #controller;
  #reason;

  constructor(name) {
    this.name = name;
  }

  /** Made when somebody asks. */
  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Not a method, which functions would see. */
  static abort(context) {
    context.#reason = new DOMException(
      `nobody waits for ${context.name}() any more`,
      "AbortError",
    );
    context.#controller?.abort(context.#reason);
  }
}

/** The calls of one run that are not answered yet. */
export class Calls {
  #callbacks;
  #native;
  #open = new Map();

  /** `native` takes the answers. */
  constructor(callbacks, native) {
    this.#callbacks = callbacks;
    this.#native = native;
  }

  start(call, index, bytes) {
    const callback = this.#callbacks[index];
    const context = new Context(callback.name);
    this.#open.set(call, context);
    try {
      const [args, named] = decode(bytes);
      const outcome = callback.call(args, named, context);
      if (isThenable(outcome)) this.#await(call, callback, outcome);
      else this.#answer(call, callback, outcome);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #await(call, callback, promise) {
    Promise.resolve(promise).then(
      (value) => this.#answer(call, callback, value),
      (error) => this.#fail(call, error),
    );
  }

  /** Nobody waits for this call any more. */
  abort(call) {
    const context = this.#open.get(call);
    if (this.#open.delete(call)) Context.abort(context);
  }

  #answer(call, callback, value) {
    if (!this.#open.has(call)) return;
    let bytes;
    try {
      bytes = encode(value, `${callback.name}() result`);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    this.#open.delete(call);
    this.#native.answer(call, bytes);
  }

  #fail(call, error) {
    if (!this.#open.delete(call)) return;
    if (error instanceof ArgumentsRefused)
      this.#native.refuse(call, error.message);
    else this.#native.fail(call, ...told(error));
  }
}

function isThenable(value) {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof value.then === "function"
  );
}

/** Name and message of what was thrown: neither stack nor places of the host. */
function told(error) {
  if (typeof error === "string") return ["", clean(error)];
  try {
    const { name, message } = error;
    if (typeof name === "string" && typeof message === "string")
      return [clean(name), clean(withoutPaths(error, message))];
    return ["", `threw ${shown(error)}`];
  } catch {
    // null, undefined, or something whose properties throw
    return ["", `threw ${constructorName(error)}`];
  }
}

function clean(text) {
  const cut =
    text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}...` : text;
  return cut.toWellFormed();
}

/** Node's own errors name the file they are about; others may name files of the program. */
function withoutPaths(error, message) {
  const named = [error.path, error.dest].filter(
    (path) => typeof path === "string" && path.length > 1,
  );
  const places = [cwd(), homedir()].filter((place) => place.length > 1);
  let text = message;
  for (const path of named) text = text.replaceAll(path, "<path>");
  for (const place of places) text = text.replaceAll(place, "<host>");
  return text;
}
