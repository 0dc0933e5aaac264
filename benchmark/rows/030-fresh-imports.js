// What a short script of a model does: two imports that are in the image, one class.

import { atMost } from "../lib/targets.js";
import { micro } from "../lib/timing.js";

const CODE = `import json, re
class Point:
    def __init__(self, x):
        self.x = x
assert json.loads(json.dumps({"x": Point(1).x})) == {"x": 1} and re.match("a+", "aaa")
`;

export const name = "fresh execute: json, re, a class, p50";
export const target = atMost(0.6, "ms");

export function measure(context) {
  return context.each({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return micro(() => sandbox.execute(CODE), context);
    },
    pyeryx: (peer) =>
      peer.micro(
        `sandbox = eryx.Sandbox(); code = ${JSON.stringify(CODE)}`,
        "sandbox.execute(code)",
        context,
      ),
    python3: (peer) => peer.start(CODE, context),
  });
}
