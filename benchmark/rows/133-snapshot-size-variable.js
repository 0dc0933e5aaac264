// What a session takes that holds next to nothing.

import { measureSnapshot } from "../lib/state.js";
import { wantAtMost } from "../lib/targets.js";

const KB = 1_000;
const VARIABLE = "x = 1";

export const name = "session snapshot, one variable, size";
export const target = wantAtMost(10, "KB");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Session }) => ({
      value: (await measureSnapshot(Session, VARIABLE)) / KB,
    }),
    pyeryx: async (peer) => {
      const request = { setup: VARIABLE, check: "assert x == 1" };
      const counts = { snapshots: 1, restores: 1 };
      const answer = await peer.runScript("snapshot", {
        ...request,
        ...counts,
      });
      return { value: answer.bytes / KB };
    },
  });
}
