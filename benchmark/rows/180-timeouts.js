// Whether limits hold under load: 50 endless loops at once, each with 200 ms.

import { wantAllWithin } from "../lib/targets.js";

const COUNT = 50;
const TIMEOUT_MS = 200;

export const name = `timeout of ${TIMEOUT_MS} ms, ${COUNT} endless loops at once`;
export const target = wantAllWithin(TIMEOUT_MS, 330, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox({
        resourceLimits: { executionTimeoutMs: TIMEOUT_MS },
      });
      await sandbox.execute("pass");
      return toMeasurement(
        await Promise.all(
          Array.from({ length: COUNT }, () => measureEndless(sandbox)),
        ),
      );
    },
    pyeryx: async (peer) => {
      const { endsMs } = await peer.runScript("timeouts", {
        count: COUNT,
        timeoutMs: TIMEOUT_MS,
      });
      return toMeasurement(endsMs);
    },
  });
}

/**
 * Time from the call to the rejection, which must be a timeout.
 * @param {import("../../index.js").Sandbox} sandbox
 */
async function measureEndless(sandbox) {
  const started = performance.now();
  try {
    await sandbox.execute("while True: pass");
  } catch (/** @type {any} */ error) {
    if (error.code === "ERYX_TIMEOUT") return performance.now() - started;
    throw error;
  }
  throw new Error("an endless loop ended without a timeout");
}

/** @param {readonly number[]} ends */
function toMeasurement(ends) {
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  return {
    value: last,
    text: `${first.toFixed(0)} - ${last.toFixed(0)} ms`,
    parts: { "first to end": first, "last to end": last },
  };
}
