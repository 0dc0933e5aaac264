// The heaviest common import of the standard library, in a fresh interpreter each time.

import { wantAtMost } from "../lib/targets.js";
import { measureCalls } from "../lib/timing.js";

const CODE = "import urllib.request";

export const name = "fresh execute: import urllib.request, p50";
export const target = wantAtMost(5, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return measureCalls(() => sandbox.execute(CODE), context);
    },
    pyeryx: (peer) =>
      peer.measureStatement(
        "sandbox = eryx.Sandbox()",
        `sandbox.execute("${CODE}")`,
        context,
      ),
    python3: (peer) => peer.measureStart(CODE, context),
  });
}
