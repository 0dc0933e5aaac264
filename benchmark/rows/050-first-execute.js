// Start-up: a new process each time, clock read inside it before the import and after the result.

import { runChild } from "../lib/process.js";
import { wantAtMost } from "../lib/targets.js";
import { summarise } from "../lib/timing.js";

export const name = "first Sandbox + execute in a new process, p50";
export const target = wantAtMost(10, "ms");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const count = context.quick ? 3 : 15;
  return context.measureEach({
    ours: () =>
      measureStarts(count, () => runChild("first-execute", context.packageUrl)),
    pyeryx: (peer) =>
      measureStarts(count, () => peer.runScript("first_execute")),
  });
}

/**
 * One process after another, for at most 20 s.
 * @param {number} count
 * @param {() => Promise<{ totalMs: number, withoutImportMs: number }>} measureStart
 */
async function measureStarts(count, measureStart) {
  const answers = [];
  const deadline = performance.now() + 20_000;
  while (answers.length < count && performance.now() < deadline)
    answers.push(await measureStart());
  const withoutImport = summarise(
    answers.map((answer) => answer.withoutImportMs),
  );
  return {
    ...summarise(answers.map((answer) => answer.totalMs)),
    parts: { "without the import": withoutImport.value },
  };
}
