// What one more session costs that has run something and waits for more. For native Python: one more process.

import { measureSessions } from "../lib/sessions.js";
import { wantAtMost } from "../lib/targets.js";

const MB = 1_000_000;

/** Prints KiB. */
const PROCESS = `import sys
print(1, file=sys.stderr)
with open("/proc/self/smaps_rollup") as file:
    print(next(line.split()[1] for line in file if line.startswith("Anonymous:")))
`;

export const name = "an idle session after print(1), private memory";
export const target = wantAtMost(1, "MB");

/** @param {import("../lib/types.js").Context} context */
export async function measure(context) {
  const count = context.quick ? 50 : 200;
  const sessions = await measureSessions(
    context,
    count,
    ({ before, after }) => ({
      value: (after.private - before.private) / count / MB,
      count,
    }),
  );
  const processes = await context.measureEach({
    python3: async (peer) => ({
      value: ((await peer.run(PROCESS)) * 1024) / MB,
    }),
  });
  return { ...sessions, ...processes };
}
