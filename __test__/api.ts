// index.d.ts says what js/ is, but for the constructor of ExecutionHandle, which nobody calls from outside. This does not run: tsc
// checks it.

declare const js: Omit<typeof import("../js/index.js"), "ExecutionHandle">;
js satisfies Omit<typeof import("../index.js"), "ExecutionHandle">;
