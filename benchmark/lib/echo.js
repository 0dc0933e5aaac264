// Rows about calls from Python: programs that call `echo(value)` of the host, time it with time.perf_counter, and print
// their samples in ms as a JSON list.

import { summarise } from "./timing.js";

const UNLIMITED = { maxCallbackInvocations: null };

/**
 * p50 of the samples of `source`, which both packages run.
 * @param {import("./types.js").Context} context
 * @param {string} source
 */
export function measureEcho(context, source) {
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox({
        callbacks: { echo: (value) => value },
        resourceLimits: UNLIMITED,
      });
      return summarise(JSON.parse((await sandbox.execute(source)).stdout));
    },
    pyeryx: async (peer) => summarise(await peer.runScript("echo", { source })),
  });
}

/**
 * `count` times the expression `call`, awaited, after a tenth as many that do not count.
 * @param {string} call
 * @param {number} count
 * @param {string} [setup]
 */
export function renderTimedCalls(call, count, setup = "") {
  const warmUp = Math.ceil(count / 10);
  return `import asyncio, json, time
${setup}
samples = []
for _ in range(${count + warmUp}):
    started = time.perf_counter()
    answer = await ${call}
    samples.append((time.perf_counter() - started) * 1000)
    check(answer)
print(json.dumps(samples[${warmUp}:]))
`;
}
