import { checkCallbacks } from "./callbacks.js";
import { checkOptions, checkText, refuse } from "./check.js";
import { InitializationError } from "./errors.js";
import { renderTypeStubs } from "./stubs.js";

/** @import * as Public from "../index.js" */
/** @import { Callback, LibraryParts } from "./types.js" */

/** @type {WeakMap<object, LibraryParts>} */
const partsByLibrary = new WeakMap();

/** Callbacks plus Python source that wraps them plus type stubs, as one reusable unit. */
export class RuntimeLibrary {
  /** @param {ConstructorParameters<typeof Public.RuntimeLibrary>[0]} [options] */
  constructor(options) {
    const input = checkOptions("options", options, [
      "callbacks",
      "python",
      "stubs",
    ]);
    const callbacks = checkCallbacks("options.callbacks", input.callbacks);
    refuseDuplicates(callbacks);
    partsByLibrary.set(this, {
      callbacks,
      python: toTexts("options.python", input.python),
      stubs: toTexts("options.stubs", input.stubs),
    });
  }

  /**
   * A library with the parts of both: this one's Python runs first.
   * @param {RuntimeLibrary} other
   */
  merge(other) {
    const theirs = getLibraryParts("other", other);
    const ours = getLibraryParts("this", this);
    const merged = new RuntimeLibrary();
    const parts = {
      callbacks: [...ours.callbacks, ...theirs.callbacks],
      python: [...ours.python, ...theirs.python],
      stubs: [...ours.stubs, ...theirs.stubs],
    };
    refuseDuplicates(parts.callbacks);
    partsByLibrary.set(merged, parts);
    return merged;
  }

  get typeStubs() {
    const { callbacks, stubs } = getLibraryParts("this", this);
    return renderTypeStubs(callbacks, stubs);
  }
}

/** @param {string} name @param {unknown} value */
function toTexts(name, value) {
  return value === undefined ? [] : [checkText(name, value)];
}

/** @param {readonly Callback[]} callbacks */
function refuseDuplicates(callbacks) {
  const seen = new Set();
  for (const { name } of callbacks) {
    if (seen.has(name))
      throw new InitializationError(`callbacks: "${name}" is defined twice`);
    seen.add(name);
  }
}

/**
 * What is in a library: `{ callbacks, python, stubs }`.
 * @param {string} name
 * @param {object} library
 * @returns {LibraryParts}
 */
export function getLibraryParts(name, library) {
  const parts = partsByLibrary.get(library);
  if (parts === undefined) refuse(name, library, "a RuntimeLibrary");
  return parts;
}
