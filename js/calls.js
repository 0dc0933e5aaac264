import { ArgumentsRefused } from "./callbacks.js";
import { shown } from "./check.js";
import { SuspendExecution } from "./errors.js";
import { os, types } from "./node.js";
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
  static abort(context, timedOut) {
    context.#reason = timedOut
      ? new DOMException(`${context.name}() took too long`, "TimeoutError")
      : new DOMException(
          `nobody waits for ${context.name}() any more`,
          "AbortError",
        );
    context.#controller?.abort(context.#reason);
  }
}

/** The calls of one run that are not answered yet. */
export class Calls {
  #callbacks;
  #addonExecution;
  #open = new Map();

  /** `addonExecution` takes the answers. */
  constructor(callbacks, addonExecution) {
    this.#callbacks = callbacks;
    this.#addonExecution = addonExecution;
  }

  start(call, index, bytes) {
    const callback = this.#callbacks[index];
    const context = new Context(callback.name);
    this.#open.set(call, context);
    try {
      const [args, named] = decode(bytes);
      const isWanted = () => this.#open.has(call);
      const outcome = callback.call(args, named, context, isWanted);
      if (mayHaveThen(outcome)) this.#await(call, callback, outcome);
      else this.#answer(call, callback, outcome);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  /** Whatever has a `then` is awaited, as `await` itself does it. */
  async #await(call, callback, outcome) {
    try {
      this.#answer(call, callback, await outcome);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  /** Nobody waits for this call any more. */
  abort(call, timedOut) {
    const context = this.#open.get(call);
    if (this.#open.delete(call)) Context.abort(context, timedOut);
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
    this.#addonExecution.answer(call, bytes);
  }

  #fail(call, error) {
    if (!this.#open.delete(call)) return;
    const refusal = messageIf(error, ArgumentsRefused);
    const reason = messageIf(error, SuspendExecution);
    if (refusal !== undefined) this.#addonExecution.refuse(call, refusal);
    else if (reason !== undefined) this.#addonExecution.suspend(call, reason);
    else this.#addonExecution.fail(call, ...told(error));
  }
}

/** Only `await` looks for the `then` itself: a getter may throw, or give another function each time. */
function mayHaveThen(value) {
  return typeof value === "object"
    ? value !== null
    : typeof value === "function";
}

/** Looking at what was thrown may throw again: it may be a Proxy. */
function attempt(look) {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** The message of an error of this class, else undefined. */
function messageIf(error, Class) {
  return attempt(() =>
    error instanceof Class ? String(error.message).toWellFormed() : undefined,
  );
}

/** Name and message of what was thrown: neither stack nor places of the host. */
function told(error) {
  if (typeof error === "string") return ["", clean(error)];
  return (
    attempt(() =>
      isErrorLike(error)
        ? [clean(nameOf(error)), clean(withoutFiles(error))]
        : ["", `threw ${shown(error)}`],
    ) ?? ["", "threw an object whose properties throw"]
  );
}

function isErrorLike(error) {
  if (typeof error !== "object" || error === null) return false;
  if (types.isNativeError(error)) return true;
  return typeof error.name === "string" && typeof error.message === "string";
}

function nameOf({ name, constructor }) {
  if (typeof name === "string") return name;
  return typeof constructor?.name === "string" ? constructor.name : "Error";
}

/** Node's own errors of system calls name the files that they are about. No other error is looked at for paths. */
function withoutFiles({ message, syscall, code, path, dest }) {
  if (typeof message !== "string") return "";
  if (typeof syscall !== "string" || typeof code !== "string") return message;
  return [path, dest]
    .filter((file) => typeof file === "string" && file !== "")
    .reduce(withoutFile, message);
}

/** A name without a separator may be a word of the message: it counts where it is quoted only, as Node quotes it. */
function withoutFile(text, file) {
  const quoted = text.replaceAll(`'${file}'`, "'<path>'");
  return /[\\/]./.test(file)
    ? quoted.replace(whole(file, "/"), "<path>")
    : quoted;
}

/** `path` where it is not part of a longer name. `more` are further characters that must not follow. */
function whole(path, more = "") {
  const escaped = path.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const inName = "\\p{L}\\p{N}_~%+@\\-";
  return new RegExp(
    `(?:(?<=://)|(?<![./${inName}]))${escaped}(?![${more}${inName}]|\\.[${inName}])`,
    "gu",
  );
}

function clean(text) {
  const places = [attempt(process.cwd), attempt(os().homedir)];
  const told = places
    .filter((place) => place?.length > 1)
    .reduce((rest, place) => rest.replace(whole(place), "<host>"), text);
  const cut =
    told.length > MAX_MESSAGE ? `${told.slice(0, MAX_MESSAGE)}...` : told;
  return cut.toWellFormed();
}
