// A second session with the same state, after the first has run something since it was last forked.

import { CHECK, LIST, LIST_NAME } from "../lib/state.js";
import { wantAtMost } from "../lib/targets.js";
import { summarise } from "../lib/timing.js";

const AT_ONCE = 100;

export const name = `session fork, ${LIST_NAME}, p50`;
export const target = wantAtMost(2, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const count = context.quick ? 10 : 100;
  return context.measureEach({
    ours: async ({ Session }) => {
      const session = new Session();
      await session.execute(LIST);
      /** @param {{ count?: number, before?: string, atOnce?: number }} options */
      const measureForks = (options) =>
        sampleForks(session, { count, ...options });
      const touched = await measureForks({ before: "x[0] = 0" });
      const rested = await measureForks({});
      const many = await measureForks({ count: count / 10, atOnce: AT_ONCE });
      await session.close();
      return {
        ...touched,
        parts: {
          "nothing executed since the last fork": rested.value,
          [`one of ${AT_ONCE} at once`]: many.value / AT_ONCE,
        },
      };
    },
  });
}

/**
 * Time from the call to the sessions; `before` runs before it, and the forks are closed after it.
 * @param {import("../../index.js").Session} session
 * @param {{ count: number, before?: string, atOnce?: number }} options
 */
async function sampleForks(session, { count, before, atOnce = 1 }) {
  const samples = [];
  while (samples.length < count) {
    if (before) await session.execute(before);
    const started = performance.now();
    const forks = await session.fork(atOnce);
    samples.push(performance.now() - started);
    await forks[0].execute(CHECK);
    await Promise.all(forks.map((fork) => fork.close()));
  }
  return summarise(samples);
}
