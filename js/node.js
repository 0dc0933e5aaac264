// Node's own modules. An `import` of one takes about 0.5 ms in a new process, because the loader makes an ES module of it, and
// so many together took longer than all the rest of this package. benchmark/rows/050-first-execute.js would notice.

const builtin = process.getBuiltinModule;

export const { AsyncResource } = builtin("node:async_hooks");
export const { MAX_STRING_LENGTH } = builtin("node:buffer").constants;
export const { setMaxListeners } = builtin("node:events");
export const { existsSync, readFileSync } = builtin("node:fs");
export const { join, resolve } = builtin("node:path");
export const { inspect, types } = builtin("node:util");

/** Not loaded before somebody asks: that takes time too. */
export const os = () => builtin("node:os");
export const Module = () => builtin("node:module");

/** `require` as CommonJS in this package has it. */
export const required = (name) =>
  Module().createRequire(import.meta.filename)(name);
