// What is to be stored or sent.

import { CHECK, LIST, LIST_NAME } from "../lib/state.js";
import { atMost } from "../lib/targets.js";

const MB = 1_000_000;

export const name = `session snapshot, ${LIST_NAME}, size`;
export const target = atMost(1, "MB");

export function measure(context) {
  return context.each({
    ours: async ({ Session }) => {
      const empty = await size(Session, "pass");
      const value = await size(Session, LIST);
      return { value, parts: { "after pass": empty } };
    },
    pyeryx: async (peer) => {
      const request = { setup: LIST, check: CHECK, snapshots: 1, restores: 1 };
      return { value: (await peer.script("snapshot", request)).bytes / MB };
    },
  });
}

async function size(Session, code) {
  const session = new Session();
  await session.execute(code);
  const { length } = await session.snapshotState();
  await session.close();
  return length / MB;
}
