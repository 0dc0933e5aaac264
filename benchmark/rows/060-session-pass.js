// The way to an interpreter that is there already, and back. What a session does after it has answered counts, because the
// next call waits for it; with other sessions in between it is done meanwhile.

import { atMost } from "../lib/targets.js";
import { micro } from "../lib/timing.js";

const TURNS = 8;

export const name = 'session execute("pass"), back to back, p50';
export const target = atMost(0.04, "ms");

export function measure(context) {
  return context.each({
    ours: async ({ Session }) => {
      const one = await inTurns(Session, 1, context);
      const several = await inTurns(Session, TURNS, context);
      return {
        ...one,
        parts: { [`${TURNS} sessions in turns`]: several.value },
      };
    },
    pyeryx: (peer) =>
      peer.micro(
        "session = eryx.Session()",
        'session.execute("pass")',
        context,
      ),
  });
}

async function inTurns(Session, count, context) {
  const sessions = Array.from({ length: count }, () => new Session());
  let turn = 0;
  const measured = await micro(
    () => sessions[turn++ % count].execute("pass"),
    context,
  );
  await Promise.all(sessions.map((session) => session.close()));
  return measured;
}
