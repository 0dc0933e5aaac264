import { ArgumentsError } from "./callbacks.js";
import { attempt, describe } from "./check.js";
import { SuspendExecution } from "./errors.js";
import { getOs, types } from "./node.js";
import { decode, encode } from "./wire.js";

/** @import { AddonExecution, Callback } from "./types.js" */

/** Text of an error beyond so many characters is cut. */
const MAX_MESSAGE = 10_000;

/** What a function is told about its call. */
class Context {
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {DOMException | undefined} */
  #reason;

  /** @param {string} name */
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

  /**
   * Not a method, which functions would see.
   * @param {Context} context
   * @param {boolean} timedOut
   */
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

/** The calls of one execution that are not answered yet. */
export class Calls {
  #callbacks;
  #addonExecution;
  /** @type {Map<number, Context>} */
  #contexts = new Map();

  /**
   * `addonExecution` takes the answers.
   * @param {readonly Callback[]} callbacks
   * @param {AddonExecution} addonExecution
   */
  constructor(callbacks, addonExecution) {
    this.#callbacks = callbacks;
    this.#addonExecution = addonExecution;
  }

  /** @param {number} call @param {number} index @param {Uint8Array} bytes */
  start(call, index, bytes) {
    const callback = this.#callbacks[index];
    const context = new Context(callback.name);
    this.#contexts.set(call, context);
    try {
      const [args, named] = decode(bytes);
      const isWanted = () => this.#contexts.has(call);
      const outcome = callback.call(args, named, context, isWanted);
      if (isMaybeThenable(outcome)) this.#await(call, callback, outcome);
      else this.#answer(call, callback, outcome);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  /**
   * Whatever has a `then` is awaited, as `await` itself does it.
   * @param {number} call
   * @param {Callback} callback
   * @param {unknown} outcome
   */
  async #await(call, callback, outcome) {
    try {
      this.#answer(call, callback, await outcome);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  /**
   * Nobody waits for this call any more.
   * @param {number} call
   * @param {boolean} timedOut
   */
  abort(call, timedOut) {
    const context = this.#contexts.get(call);
    if (context === undefined) return;
    this.#contexts.delete(call);
    Context.abort(context, timedOut);
  }

  /** @param {number} call @param {Callback} callback @param {unknown} value */
  #answer(call, callback, value) {
    if (!this.#contexts.has(call)) return;
    let bytes;
    try {
      bytes = encode(value, `${callback.name}() result`);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    this.#contexts.delete(call);
    this.#addonExecution.answer(call, bytes);
  }

  /** @param {number} call @param {unknown} error */
  #fail(call, error) {
    if (!this.#contexts.delete(call)) return;
    const refusal = getMessageIf(error, ArgumentsError);
    const reason = getMessageIf(error, SuspendExecution);
    if (refusal !== undefined) this.#addonExecution.refuse(call, refusal);
    else if (reason !== undefined) this.#addonExecution.suspend(call, reason);
    else this.#addonExecution.fail(call, ...describeError(error));
  }
}

/**
 * Only `await` looks for the `then` itself: a getter may throw, or give another function each time.
 * @param {unknown} value
 */
function isMaybeThenable(value) {
  return typeof value === "object"
    ? value !== null
    : typeof value === "function";
}

/**
 * The message of an error of this class, else undefined. Looking at what was thrown may throw again: it may be a Proxy.
 * @param {unknown} error
 * @param {typeof ArgumentsError | typeof SuspendExecution} Class
 */
function getMessageIf(error, Class) {
  return attempt(() =>
    error instanceof Class ? String(error.message).toWellFormed() : undefined,
  );
}

/**
 * Name and message of what was thrown: neither stack nor places of the host.
 * @param {unknown} error
 * @returns {[name: string, message: string]}
 */
function describeError(error) {
  if (typeof error === "string") return ["", cleanText(error)];
  return (
    attempt(() =>
      isErrorLike(error)
        ? [cleanText(getErrorName(error)), cleanText(removeFiles(error))]
        : ["", `threw ${describe(error)}`],
    ) ?? ["", "threw an object whose properties throw"]
  );
}

/** @param {any} error @returns {error is { [property: string]: any }} */
function isErrorLike(error) {
  if (typeof error !== "object" || error === null) return false;
  if (types.isNativeError(error)) return true;
  return typeof error.name === "string" && typeof error.message === "string";
}

/** @param {{ [property: string]: any }} error */
function getErrorName({ name, constructor }) {
  if (typeof name === "string") return name;
  return typeof constructor?.name === "string" ? constructor.name : "Error";
}

/**
 * Node's own errors of system calls name the files that they are about. No other error is looked at for paths.
 * @param {{ [property: string]: any }} error
 * @returns {string}
 */
function removeFiles({ message, syscall, code, path, dest }) {
  if (typeof message !== "string") return "";
  if (typeof syscall !== "string" || typeof code !== "string") return message;
  return [path, dest]
    .filter((file) => typeof file === "string" && file !== "")
    .reduce(removeFile, message);
}

/**
 * A name without a separator may be a word of the message: it counts where it is quoted only, as Node quotes it.
 * @param {string} text
 * @param {string} file
 */
function removeFile(text, file) {
  const quoted = text.replaceAll(`'${file}'`, "'<path>'");
  return /[\\/]./.test(file)
    ? quoted.replace(matchWhole(file, "/"), "<path>")
    : quoted;
}

/**
 * Matches `path` where it is not part of a longer name. `more` are further characters that must not follow.
 * @param {string} path
 */
function matchWhole(path, more = "") {
  const escaped = path.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const inName = "\\p{L}\\p{N}_~%+@\\-";
  return new RegExp(
    `(?:(?<=://)|(?<![./${inName}]))${escaped}(?![${more}${inName}]|\\.[${inName}])`,
    "gu",
  );
}

/** @param {string} text */
function cleanText(text) {
  const folders = [attempt(process.cwd) ?? "", attempt(getOs().homedir) ?? ""];
  const hidden = folders
    .filter((folder) => folder.length > 1)
    .reduce((rest, folder) => rest.replace(matchWhole(folder), "<host>"), text);
  const cut =
    hidden.length > MAX_MESSAGE ? `${hidden.slice(0, MAX_MESSAGE)}...` : hidden;
  return cut.toWellFormed();
}
