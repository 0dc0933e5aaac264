// Rows about many idle sessions: a child process that makes so many, runs `print(1)` in each, and weighs itself before and after.

import { runChild } from "./process.js";

/** @typedef {ReturnType<typeof import("./memory.js").measureMemory>} Memory */

const CODE = "print(1)";

/** pyeryx refuses more than 1,000 in a process, and two are there before the others. */
const MOST_OF_PYERYX = 998;

/**
 * What `read` makes of the child's answer: `{ ms, before, after }`, memory in bytes.
 * @param {import("./types.js").Context} context
 * @param {number} count
 * @param {(answer: { ms: number, before: Memory, after: Memory }) => import("./types.js").Measurement} read
 */
export function measureSessions(context, count, read) {
  const request = { count, code: CODE };
  return context.measureEach({
    ours: async () =>
      read(await runChild("sessions", context.packageUrl, request)),
    pyeryx: async (peer) => {
      const most = Math.min(count, MOST_OF_PYERYX);
      return read(
        await peer.runScript("sessions", { ...request, count: most }),
      );
    },
  });
}
