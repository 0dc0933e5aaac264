// What a short script of a model does: two imports that are in the image, one class.

import { wantAtMost } from "../lib/targets.js";
import { measureCalls } from "../lib/timing.js";

const CODE = `import json, re
class Point:
    def __init__(self, x):
        self.x = x
assert json.loads(json.dumps({"x": Point(1).x})) == {"x": 1} and re.match("a+", "aaa")
`;

export const name = "fresh execute: json, re, a class, p50";
export const target = wantAtMost(0.6, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox();
      return measureCalls(() => sandbox.execute(CODE), context);
    },
    pyeryx: (peer) =>
      peer.measureStatement(
        `sandbox = eryx.Sandbox(); code = ${JSON.stringify(CODE)}`,
        "sandbox.execute(code)",
        context,
      ),
    python3: (peer) => peer.measureStart(CODE, context),
  });
}
