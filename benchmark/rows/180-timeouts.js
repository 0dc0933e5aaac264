// Whether limits hold under load: 50 endless loops at once, each with 200 ms.

import { allWithin } from "../lib/targets.js";

const COUNT = 50;
const TIMEOUT_MS = 200;

export const name = `timeout of ${TIMEOUT_MS} ms, ${COUNT} endless loops at once`;
export const target = allWithin(TIMEOUT_MS, 330, "ms");

export function measure(context) {
  return context.each({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox({
        resourceLimits: { executionTimeoutMs: TIMEOUT_MS },
      });
      await sandbox.execute("pass");
      return spread(
        await Promise.all(
          Array.from({ length: COUNT }, () => endless(sandbox)),
        ),
      );
    },
    pyeryx: async (peer) => {
      const { endsMs } = await peer.script("timeouts", {
        count: COUNT,
        timeoutMs: TIMEOUT_MS,
      });
      return spread(endsMs);
    },
  });
}

/** Time from the call to the rejection, which must be a timeout. */
async function endless(sandbox) {
  const started = performance.now();
  try {
    await sandbox.execute("while True: pass");
  } catch (error) {
    if (error.code === "ERYX_TIMEOUT") return performance.now() - started;
    throw error;
  }
  throw new Error("an endless loop ended without a timeout");
}

function spread(ends) {
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  return {
    value: last,
    text: `${first.toFixed(0)} - ${last.toFixed(0)} ms`,
    parts: { "first to end": first, "last to end": last },
  };
}
