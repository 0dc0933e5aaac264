// The cost of a fresh interpreter and of the way there and back, nothing else.

import { wantAtMost } from "../lib/targets.js";
import { measureCalls } from "../lib/timing.js";

export const name = 'fresh execute("pass"), back to back, p50';
export const target = wantAtMost(0.1, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return measureCalls(() => sandbox.execute("pass"), context);
    },
    pyeryx: (peer) =>
      peer.measureStatement(
        "sandbox = eryx.Sandbox()",
        'sandbox.execute("pass")',
        context,
      ),
    python3: (peer) => peer.measureStart("pass", context),
  });
}
