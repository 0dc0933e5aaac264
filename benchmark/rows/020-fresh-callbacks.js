// What callbacks cost a run that calls none: 20 of them, each with a description and a schema, as the tools of a model.

import { summarise, takeSamples } from "../lib/timing.js";

const COUNT = 20;
const MAX_MS = 0.12;
const MAX_ADDED_MS = 0.02;

export const name = `fresh execute("pass"), ${COUNT} callbacks registered, p50`;
/** @type {import("../lib/types.js").Target} */
export const target = {
  unit: "ms",
  better: "lower",
  text: `<= ${MAX_MS} ms, adds <= ${MAX_ADDED_MS} ms`,
  met: ({ ours }) =>
    ours.value <= MAX_MS && ours.parts["added by them"] <= MAX_ADDED_MS,
};

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const count = context.quick ? 2_000 : 15_000;
      const [plain, registered] = await takeTurns(
        [new Sandbox(), new Sandbox({ callbacks: makeCallbacks() })],
        count,
      );
      return {
        ...registered,
        parts: { "added by them": registered.value - plain.value },
      };
    },
    pyeryx: (peer) =>
      peer.measureStatement(
        `registry = eryx.CallbackRegistry()
for n in range(${COUNT}): registry.callback(name=f"tool_{n}", description="A tool.")(lambda text, limit=10: text)
sandbox = eryx.Sandbox(callbacks=registry)`,
        'sandbox.execute("pass")',
        context,
      ),
  });
}

/**
 * In blocks of 100 calls, so that a machine that slows down slows both.
 * @param {import("../../index.js").Sandbox[]} sandboxes
 * @param {number} count
 */
async function takeTurns(sandboxes, count) {
  /** @type {number[][]} */
  const samples = sandboxes.map(() => []);
  for (let done = 0; done < count; done += 100) {
    for (const [index, sandbox] of sandboxes.entries()) {
      const call = () => sandbox.execute("pass");
      samples[index].push(...(await takeSamples(call, { count: 100 })));
    }
  }
  return samples.map(summarise);
}

function makeCallbacks() {
  return Array.from({ length: COUNT }, (_, n) => ({
    name: `tool_${n}`,
    description: "A tool.",
    schema: {
      type: "object",
      properties: {
        text: { type: "string" },
        limit: { type: "integer", default: 10 },
      },
      required: ["text"],
    },
    fn: (/** @type {{ text: string }} */ { text }) => text,
  }));
}
