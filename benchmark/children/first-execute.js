// A new process that has done nothing else: from before the import to the first result.
// The URL of the package is the only argument.

const started = performance.now();
/** @type {import("../lib/types.js").Package} */
const { Sandbox } = await import(process.argv[2]);
const imported = performance.now();
await new Sandbox().execute("pass");
const ended = performance.now();

console.log(
  JSON.stringify({
    totalMs: ended - started,
    withoutImportMs: ended - imported,
  }),
);
