// Building data at the top level, where much code lives, against the same in a function: the collector of reference cycles must
// not care. A global costs a little more than a local.

import { wantAtMost } from "../lib/targets.js";

const COUNT = 200_000;
const BODY = `rows = []
for i in range(${COUNT}): rows.append({"id": i, "tags": [i]})`;
/** @param {string} code */
const renderTimed = (code) => `import time
begun = time.perf_counter()
${code}
result = time.perf_counter() - begun`;
const TOP_LEVEL = renderTimed(BODY);
const FUNCTION = renderTimed(`def build():
    ${BODY.replaceAll("\n", "\n    ")}
    return rows
rows = build()`);

export const name = `${COUNT.toLocaleString("en-US")} dicts appended at the top level, against in a function`;
export const target = wantAtMost(1.2, "times");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: ({ Sandbox }) => {
      const sandbox = new Sandbox({
        resourceLimits: { maxMemoryBytes: 512 << 20 },
      });
      return measureRatio(
        async (code) => (await sandbox.execute(code)).result,
        context,
      );
    },
    python3: (peer) =>
      measureRatio((code) => peer.run(`${code}\nprint(result)`), context),
  });
}

/**
 * The best of several, in turns, so that a machine that slows down slows both.
 * @param {(code: string) => Promise<any>} measureSeconds
 * @param {{ readonly quick: boolean }} options
 */
async function measureRatio(measureSeconds, { quick }) {
  let [topLevel, inFunction] = [Infinity, Infinity];
  for (let round = 0; round < (quick ? 1 : 5); round++) {
    topLevel = Math.min(topLevel, await measureSeconds(TOP_LEVEL));
    inFunction = Math.min(inFunction, await measureSeconds(FUNCTION));
  }
  const formatSeconds = (/** @type {number} */ value) =>
    `${(value * 1000).toFixed(0)} ms`;
  const value = topLevel / inFunction;
  return {
    value,
    text: `${value.toFixed(2)} (${formatSeconds(topLevel)}, ${formatSeconds(inFunction)})`,
  };
}
