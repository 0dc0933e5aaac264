import { checkCallbacks } from "./callbacks.js";
import { checkOptions, checkText, refuse } from "./check.js";
import { InitializationError } from "./errors.js";
import { typeStubs } from "./stubs.js";

const parts = new WeakMap();

/** Callbacks plus Python source that wraps them plus type stubs, as one reusable unit. */
export class RuntimeLibrary {
  constructor(options) {
    const given = checkOptions("options", options, [
      "callbacks",
      "python",
      "stubs",
    ]);
    const callbacks = checkCallbacks("options.callbacks", given.callbacks);
    refuseTwice(callbacks);
    parts.set(this, {
      callbacks,
      python: text("options.python", given.python),
      stubs: text("options.stubs", given.stubs),
    });
  }

  /** A library with the parts of both: this one's Python runs first. */
  merge(other) {
    const theirs = partsOf("other", other);
    const ours = parts.get(this);
    const merged = new RuntimeLibrary();
    const made = {
      callbacks: [...ours.callbacks, ...theirs.callbacks],
      python: [...ours.python, ...theirs.python],
      stubs: [...ours.stubs, ...theirs.stubs],
    };
    refuseTwice(made.callbacks);
    parts.set(merged, made);
    return merged;
  }

  get typeStubs() {
    const { callbacks, stubs } = parts.get(this);
    return typeStubs(callbacks, stubs);
  }
}

function text(name, value) {
  return value === undefined ? [] : [checkText(name, value)];
}

function refuseTwice(callbacks) {
  const seen = new Set();
  for (const { name } of callbacks) {
    if (seen.has(name))
      throw new InitializationError(`callbacks: "${name}" is defined twice`);
    seen.add(name);
  }
}

/** What is in a library: `{ callbacks, python, stubs }`. */
export function partsOf(name, library) {
  const found = parts.get(library);
  if (found === undefined) refuse(name, library, "a RuntimeLibrary");
  return found;
}
