// Calls in flight together: what one gather of 100 takes.

import { measureEcho, renderTimedCalls } from "../lib/echo.js";
import { wantAtMost } from "../lib/targets.js";

const CALLS = 100;

export const name = `${CALLS} callbacks in one gather, p50`;
export const target = wantAtMost(3, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const check = `def check(answers): assert answers == list(range(${CALLS}))`;
  const gather = `asyncio.gather(*[echo(n) for n in range(${CALLS})])`;
  return measureEcho(
    context,
    renderTimedCalls(gather, context.quick ? 10 : 100, check),
  );
}
