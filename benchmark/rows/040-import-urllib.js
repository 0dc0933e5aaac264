// The heaviest common import of the standard library, in a fresh interpreter each time.

import { atMost } from "../lib/targets.js";
import { micro } from "../lib/timing.js";

const CODE = "import urllib.request";

export const name = "fresh execute: import urllib.request, p50";
export const target = atMost(5, "ms");

export function measure(context) {
  return context.each({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return micro(() => sandbox.execute(CODE), context);
    },
    pyeryx: (peer) =>
      peer.micro(
        "sandbox = eryx.Sandbox()",
        `sandbox.execute("${CODE}")`,
        context,
      ),
    python3: (peer) => peer.start(CODE, context),
  });
}
