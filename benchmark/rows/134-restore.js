// From bytes to a session that can be used.

import { runChild } from "../lib/process.js";
import { CHECK, LIST, LIST_NAME } from "../lib/state.js";
import { wantAtMost } from "../lib/targets.js";
import { measureCalls, summarise } from "../lib/timing.js";

/** @import { Context, Package } from "../lib/types.js" */

export const name = `session restore, ${LIST_NAME}, p50`;
export const target = wantAtMost(3, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const count = context.quick ? 2 : 9;
  return context.measureEach({
    ours: async ({ Session }) => {
      const snapshot = await takeSnapshot(Session);
      const here = await measureRestores(Session, snapshot, context);
      const there = await measureElsewhere(snapshot, count, context);
      return { ...here, parts: { "once in another process": there.value } };
    },
    pyeryx: async (peer) => {
      const request = { setup: LIST, check: CHECK, snapshots: 1 };
      const answer = await peer.runScript("snapshot", {
        ...request,
        restores: 10 * count,
      });
      return summarise(answer.restoreMs);
    },
  });
}

/** @param {Package["Session"]} Session */
async function takeSnapshot(Session) {
  const session = new Session();
  await session.execute(LIST);
  const snapshot = await session.snapshotState();
  await session.close();
  return snapshot;
}

/**
 * Again and again in one session that ran something before.
 * @param {Package["Session"]} Session
 * @param {Uint8Array} snapshot
 * @param {Context} context
 */
async function measureRestores(Session, snapshot, context) {
  const session = new Session();
  await session.execute("pass");
  const measured = await measureCalls(
    () => session.restoreState(snapshot),
    context,
  );
  await session.execute(CHECK);
  await session.close();
  return measured;
}

/**
 * In new processes, whose session ran something before.
 * @param {Uint8Array} snapshot
 * @param {number} count
 * @param {Context} context
 */
async function measureElsewhere(snapshot, count, { packageUrl }) {
  const text = Buffer.from(snapshot).toString("base64");
  const samples = [];
  while (samples.length < count) {
    const request = { snapshot: text, check: CHECK };
    samples.push((await runChild("restore", packageUrl, request)).ms);
  }
  return summarise(samples);
}
