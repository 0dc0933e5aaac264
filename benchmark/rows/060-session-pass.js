// The way to an interpreter that is there already, and back. What a session does after it has answered counts, because the
// next call waits for it; with other sessions in between it is done meanwhile.

import { wantAtMost } from "../lib/targets.js";
import { measureCalls } from "../lib/timing.js";

const TURNS = 8;

export const name = 'session execute("pass"), back to back, p50';
export const target = wantAtMost(0.04, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async ({ Session }) => {
      const one = await measureInTurns(Session, 1, context);
      const several = await measureInTurns(Session, TURNS, context);
      return {
        ...one,
        parts: { [`${TURNS} sessions in turns`]: several.value },
      };
    },
    pyeryx: (peer) =>
      peer.measureStatement(
        "session = eryx.Session()",
        'session.execute("pass")',
        context,
      ),
  });
}

/**
 * @param {typeof import("../../index.js").Session} Session
 * @param {number} count
 * @param {import("../lib/types.js").Context} context
 */
async function measureInTurns(Session, count, context) {
  const sessions = Array.from({ length: count }, () => new Session());
  let turn = 0;
  const measured = await measureCalls(
    () => sessions[turn++ % count].execute("pass"),
    context,
  );
  await Promise.all(sessions.map((session) => session.close()));
  return measured;
}
