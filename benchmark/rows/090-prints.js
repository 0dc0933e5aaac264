// The cost of output: 10,000 lines collected, and the same with a listener.

import { atMost } from "../lib/targets.js";
import { micro } from "../lib/timing.js";

const CODE = "for i in range(10000): print(i)";

export const name = "10,000 prints, p50";
export const target = atMost(6, "ms");

export function measure(context) {
  return context.each({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox();
      await check(sandbox);
      return withListener(
        await micro(() => sandbox.execute(CODE), context),
        await micro(
          () => sandbox.execute(CODE, { onStdout: () => {} }),
          context,
        ),
      );
    },
    pyeryx: async (peer) =>
      withListener(
        await peer.micro(
          "sandbox = eryx.Sandbox()",
          `sandbox.execute("${CODE}")`,
          context,
        ),
        await peer.micro(
          "sandbox = eryx.Sandbox(on_stdout=lambda chunk: None)",
          `sandbox.execute("${CODE}")`,
          context,
        ),
      ),
    python3: (peer) => peer.start(CODE, context),
  });
}

async function check(sandbox) {
  const { stdout } = await sandbox.execute(CODE);
  if (!stdout.endsWith("\n9999")) throw new Error("output is not complete");
}

function withListener(plain, listening) {
  return { ...plain, parts: { "with a listener": listening.value } };
}
