// What is to be stored or sent.

import { CHECK, LIST, LIST_NAME, snapshotSize } from "../lib/state.js";
import { atMost } from "../lib/targets.js";

const MB = 1_000_000;

export const name = `session snapshot, ${LIST_NAME}, size`;
export const target = atMost(0.73, "MB");

export function measure(context) {
  return context.each({
    ours: async ({ Session }) => {
      const value = (await snapshotSize(Session, LIST)) / MB;
      const empty = (await snapshotSize(Session, "pass")) / MB;
      return { value, parts: { "after pass": empty } };
    },
    pyeryx: async (peer) => {
      const request = { setup: LIST, check: CHECK, snapshots: 1, restores: 1 };
      return { value: (await peer.script("snapshot", request)).bytes / MB };
    },
  });
}
