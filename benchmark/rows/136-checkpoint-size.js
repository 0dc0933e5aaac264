// What is to be stored while a run waits.

import { wantAtMost } from "../lib/targets.js";

const KB = 1_000;
const SCRIPT = "x = 1\ny = await stop(x)\nx + y";

export const name = "checkpoint of a small script, size";
export const target = wantAtMost(24, "KB");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Sandbox, SuspendedError, SuspendExecution }) => {
      const stop = () => {
        throw new SuspendExecution("an answer comes later");
      };
      const sandbox = new Sandbox({ callbacks: { stop } });
      const error = await sandbox.execute(SCRIPT).catch((error) => error);
      if (!(error instanceof SuspendedError)) throw error;
      return { value: error.checkpoint.length / KB };
    },
  });
}
