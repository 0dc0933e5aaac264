// The same with 1,000: every call is in flight before the first answer is taken.

import { measureEcho, renderTimedCalls } from "../lib/echo.js";
import { wantAtMost } from "../lib/targets.js";

const CALLS = 1_000;

export const name = `${CALLS.toLocaleString("en-US")} callbacks in one gather, p50`;
export const target = wantAtMost(30, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const check = `def check(answers): assert answers == list(range(${CALLS}))`;
  const gather = `asyncio.gather(*[echo(n) for n in range(${CALLS})])`;
  return measureEcho(
    context,
    renderTimedCalls(gather, context.quick ? 5 : 30, check),
  );
}
