// A large value both ways: as an argument, and as the result.

import { measureEcho, timed } from "../lib/echo.js";
import { atMost } from "../lib/targets.js";

const LENGTH = 5_000_000;

export const name = "5 MB string to a callback and back, p50";
export const target = atMost(40, "ms");

export function measure(context) {
  const setup = `text = "x" * ${LENGTH}
def check(answer): assert answer == text`;
  return measureEcho(
    context,
    timed("echo(text)", context.quick ? 3 : 15, setup),
  );
}
