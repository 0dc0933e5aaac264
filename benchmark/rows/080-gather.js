// Calls in flight together: what one gather of 100 takes.

import { measureEcho, timed } from "../lib/echo.js";
import { atMost } from "../lib/targets.js";

const CALLS = 100;

export const name = `${CALLS} callbacks in one gather, p50`;
export const target = atMost(3, "ms");

export function measure(context) {
  const check = `def check(answers): assert answers == list(range(${CALLS}))`;
  const gather = `asyncio.gather(*[echo(n) for n in range(${CALLS})])`;
  return measureEcho(context, timed(gather, context.quick ? 10 : 100, check));
}
