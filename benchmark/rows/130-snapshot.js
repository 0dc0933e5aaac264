// A session as bytes.

import { CHECK, LIST, LIST_NAME } from "../lib/state.js";
import { wantAtMost } from "../lib/targets.js";
import { measureCalls, summarise } from "../lib/timing.js";

export const name = `session snapshot, ${LIST_NAME}, p50`;
export const target = wantAtMost(10, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const snapshots = context.quick ? 2 : 9;
  return context.measureEach({
    ours: async ({ Session }) => {
      const session = new Session();
      await session.execute(LIST);
      const measured = await measureCalls(
        () => session.snapshotState(),
        context,
      );
      await session.close();
      return measured;
    },
    pyeryx: async (peer) => {
      const request = { setup: LIST, check: CHECK, snapshots, restores: 1 };
      return summarise((await peer.runScript("snapshot", request)).snapshotMs);
    },
  });
}
