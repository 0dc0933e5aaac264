// The cost of a fresh interpreter and of the way there and back, nothing else.

import { atMost } from "../lib/targets.js";
import { micro } from "../lib/timing.js";

export const name = 'fresh execute("pass"), back to back, p50';
export const target = atMost(0.1, "ms");

export function measure(context) {
  return context.each({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return micro(() => sandbox.execute("pass"), context);
    },
    pyeryx: (peer) =>
      peer.micro(
        "sandbox = eryx.Sandbox()",
        'sandbox.execute("pass")',
        context,
      ),
    python3: (peer) => peer.start("pass", context),
  });
}
