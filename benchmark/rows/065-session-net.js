// What a session does between two executions: above all it keeps its state, to fall back to when the next one is cut off.
// Seen from outside as time per execution when many are queued at once, less the time that each says it took: nothing else is
// done in it, and it waits for nobody.

import { summarise } from "../lib/timing.js";
import { wantAtMost } from "../lib/targets.js";

const QUEUED = 100;
/** Pages that an execution writes on top of those that `pass` writes. */
const WRITES = [10, 100, 1_000];

export const name = "safety net of a session, per execute, p50";
export const target = wantAtMost(0.1, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Session }) => {
      const pass = await measureNet(Session, "pass", context);
      /** @type {{ [part: string]: number }} */
      const parts = {};
      for (const pages of WRITES) {
        const code = `for page in range(${pages}): memory[page * 4096] ^= 1`;
        const { value } = await measureNet(Session, code, context);
        parts[`${pages.toLocaleString("en-US")} pages written`] = value;
      }
      return { ...pass, parts };
    },
  });
}

/**
 * Batch after batch, for a second at least.
 * @param {typeof import("../../index.js").Session} Session
 * @param {string} code
 * @param {{ readonly quick: boolean }} options
 */
async function measureNet(Session, code, { quick }) {
  const session = new Session();
  await session.execute(`memory = bytearray(${Math.max(...WRITES)} * 4096)`);
  await runBatch(session, code);
  const samples = [];
  const end = performance.now() + (quick ? 200 : 1000);
  while (samples.length < 3 || performance.now() < end)
    samples.push(await runBatch(session, code));
  await session.close();
  return summarise(samples);
}

/** @param {import("../../index.js").Session} session @param {string} code */
async function runBatch(session, code) {
  const started = performance.now();
  const results = await Promise.all(
    Array.from({ length: QUEUED }, () => session.execute(code)),
  );
  const elapsed = performance.now() - started;
  const running = results.reduce((sum, result) => sum + result.durationMs, 0);
  return (elapsed - running) / QUEUED;
}
