// One call after another, from Python to a function of the host and back.

import { measureEcho, renderTimedCalls } from "../lib/echo.js";
import { wantAtMost } from "../lib/targets.js";

export const name = "callback round trip, one after another, p50";
export const target = wantAtMost(0.05, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const check = "def check(answer): assert answer == 7";
  return measureEcho(
    context,
    renderTimedCalls("echo(7)", context.quick ? 500 : 5_000, check),
  );
}
