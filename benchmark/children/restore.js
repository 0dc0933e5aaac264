// Restores a snapshot that another process took, in a session that ran something before. The URL of the package is the only
// argument; the request comes from stdin.

import { readFileSync } from "node:fs";

const { snapshot, check } = JSON.parse(readFileSync(0, "utf8"));
/** @type {import("../lib/types.js").Package} */
const { Session } = await import(process.argv[2]);
const bytes = Buffer.from(snapshot, "base64");
const session = new Session();
await session.execute("pass");
const started = performance.now();
await session.restoreState(bytes);
const ms = performance.now() - started;
await session.execute(check);
await session.close();

console.log(JSON.stringify({ ms }));
