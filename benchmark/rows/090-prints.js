// The cost of output: 10,000 lines collected, and the same with a listener.

import { wantAtMost } from "../lib/targets.js";
import { measureCalls } from "../lib/timing.js";

/** @import { Measurement } from "../lib/types.js" */

const CODE = "for i in range(10000): print(i)";

export const name = "10,000 prints, p50";
export const target = wantAtMost(6, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox();
      await checkOutput(sandbox);
      return addListenerPart(
        await measureCalls(() => sandbox.execute(CODE), context),
        await measureCalls(
          () => sandbox.execute(CODE, { onStdout: () => {} }),
          context,
        ),
      );
    },
    pyeryx: async (peer) =>
      addListenerPart(
        await peer.measureStatement(
          "sandbox = eryx.Sandbox()",
          `sandbox.execute("${CODE}")`,
          context,
        ),
        await peer.measureStatement(
          "sandbox = eryx.Sandbox(on_stdout=lambda chunk: None)",
          `sandbox.execute("${CODE}")`,
          context,
        ),
      ),
    python3: (peer) => peer.measureStart(CODE, context),
  });
}

/** @param {import("../../index.js").Sandbox} sandbox */
async function checkOutput(sandbox) {
  const { stdout } = await sandbox.execute(CODE);
  if (!stdout.endsWith("\n9999")) throw new Error("output is not complete");
}

/** @param {Measurement} plain @param {Measurement} listening */
function addListenerPart(plain, listening) {
  return { ...plain, parts: { "with a listener": listening.value } };
}
