// What a process weighs that holds a thousand idle sessions, as `ps` and `top` show it. They count a page that sessions share once
// per session; the part counts it once.

import { measureSessions } from "../lib/sessions.js";
import { wantAtMost } from "../lib/targets.js";

const GB = 1_000_000_000;

export const name = "1,000 idle sessions in one process, RSS";
export const target = wantAtMost(1.5, "GB");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return measureSessions(context, 1_000, ({ after }) => ({
    value: after.rss / GB,
    parts: { "shared pages counted once": after.pss / GB },
  }));
}
