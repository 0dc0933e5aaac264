// Many sessions in one process, each of which ran the same code once and is idle since. The URL of the package is the only
// argument; the request comes from stdin.

import { readFileSync } from "node:fs";

import { measureMemoryAtRest } from "../lib/memory.js";

const { count, code } = JSON.parse(readFileSync(0, "utf8"));
/** @type {import("../lib/types.js").Package} */
const { Session } = await import(process.argv[2]);

/** @param {number} length */
async function startSessions(length) {
  const sessions = Array.from({ length }, () => new Session());
  await Promise.all(sessions.map((session) => session.execute(code)));
  return sessions;
}

// What sessions share is mapped by two before it is measured, so that it is nobody's own.
const first = await startSessions(2);
const before = await measureMemoryAtRest();
const started = performance.now();
const sessions = await startSessions(count);
const ms = performance.now() - started;
const after = await measureMemoryAtRest();
await Promise.all([...first, ...sessions].map((session) => session.close()));

console.log(JSON.stringify({ ms, before, after }));
