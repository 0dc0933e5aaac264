// What is to be stored or sent.

import { CHECK, LIST, LIST_NAME, measureSnapshot } from "../lib/state.js";
import { wantAtMost } from "../lib/targets.js";

const MB = 1_000_000;

export const name = `session snapshot, ${LIST_NAME}, size`;
export const target = wantAtMost(0.73, "MB");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Session }) => {
      const value = (await measureSnapshot(Session, LIST)) / MB;
      const empty = (await measureSnapshot(Session, "pass")) / MB;
      return { value, parts: { "after pass": empty } };
    },
    pyeryx: async (peer) => {
      const request = { setup: LIST, check: CHECK, snapshots: 1, restores: 1 };
      return { value: (await peer.runScript("snapshot", request)).bytes / MB };
    },
  });
}
