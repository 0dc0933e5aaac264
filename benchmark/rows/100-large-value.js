// A large value both ways: as an argument, and as the result.

import { measureEcho, renderTimedCalls } from "../lib/echo.js";
import { wantAtMost } from "../lib/targets.js";

const LENGTH = 5_000_000;

export const name = "5 MB string to a callback and back, p50";
export const target = wantAtMost(40, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const setup = `text = "x" * ${LENGTH}
def check(answer): assert answer == text`;
  return measureEcho(
    context,
    renderTimedCalls("echo(text)", context.quick ? 3 : 15, setup),
  );
}
