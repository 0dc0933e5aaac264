// One call after another, from Python to a function of the host and back.

import { measureEcho, timed } from "../lib/echo.js";
import { atMost } from "../lib/targets.js";

export const name = "callback round trip, one after another, p50";
export const target = atMost(0.05, "ms");

export function measure(context) {
  const check = "def check(answer): assert answer == 7";
  return measureEcho(
    context,
    timed("echo(7)", context.quick ? 500 : 5_000, check),
  );
}
