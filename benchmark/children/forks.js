// Private memory of forks, in bytes of each: as they are made, and after one execute that writes to so many pages of what they
// share. The URL of the package is the only argument; the request comes from stdin.

import { readFileSync } from "node:fs";

import { measureMemoryAtRest } from "../lib/memory.js";

const { count, setup, pages } = JSON.parse(readFileSync(0, "utf8"));
/** @type {import("../lib/types.js").Package} */
const { Session } = await import(process.argv[2]);
const WRITE = `def write(pages):
    for page in range(pages): shared[page * 4096] = 1`;

const parent = new Session();
await parent.execute(setup);
await parent.execute(`shared = bytearray(${(pages + 1) * 4096})\n${WRITE}`);
const first = await parent.fork(2);
await Promise.all(first.map((fork) => fork.execute("write(0)")));

const before = await measureMemoryAtRest();
const forks = await parent.fork(count);
const made = await measureMemoryAtRest();
await Promise.all(forks.map((fork) => fork.execute(`write(${pages})`)));
const written = await measureMemoryAtRest();
console.log(
  JSON.stringify({
    made: (made.private - before.private) / count,
    written: (written.private - before.private) / count,
  }),
);
await Promise.all(
  [parent, ...first, ...forks].map((session) => session.close()),
);
