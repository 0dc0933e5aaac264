// A thousand at once: from the first `new Session()` to the last answer.

import { measureSessions } from "../lib/sessions.js";
import { wantAtMost } from "../lib/targets.js";

export const name = "1,000 sessions: created, and print(1) in each";
export const target = wantAtMost(2, "s");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return measureSessions(context, 1_000, ({ ms }) => ({ value: ms / 1000 }));
}
