// Node's own modules. An `import` of one takes about 0.5 ms in a new process, because the loader makes an ES module of it, and
// so many together took longer than all the rest of this package. benchmark/rows/050-first-execute.js would notice.

const getBuiltin = process.getBuiltinModule;

export const { AsyncResource } = getBuiltin("node:async_hooks");
export const { MAX_STRING_LENGTH } = getBuiltin("node:buffer").constants;
export const { setMaxListeners } = getBuiltin("node:events");
export const { existsSync, readFileSync } = getBuiltin("node:fs");
export const { join, resolve } = getBuiltin("node:path");
export const { inspect, types } = getBuiltin("node:util");

/** Not loaded before somebody asks: that takes time too. */
export const getOs = () => getBuiltin("node:os");
export const getModule = () => getBuiltin("node:module");

/**
 * `require` as CommonJS in this package has it.
 * @param {string} name
 * @returns {any}
 */
export const requirePackage = (name) =>
  getModule().createRequire(import.meta.filename)(name);
