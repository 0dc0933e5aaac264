// What one test would otherwise wait for, and lose its time limit over on a busy machine: the code that counts instructions is
// compiled once for a machine.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const CODE = `
  import { Sandbox } from "./${process.env.ERYX_SOURCES ? "js/index.js" : "index.js"}";
  const resourceLimits = { maxFuel: 10n ** 9n, executionTimeoutMs: 600_000 };
  const sandbox = new Sandbox({ resourceLimits });
  await sandbox.execute("pass");
  await sandbox.close();
`;

/** Runs before all tests, in a process of its own: what is compiled is kept on disk. */
export function setup() {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const arguments_ = ["--input-type=module", "--eval", CODE];
  execFileSync(process.execPath, arguments_, { cwd, stdio: "inherit" });
}
