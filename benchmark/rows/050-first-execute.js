// Start-up: a new process each time, clock read inside it before the import and after the result.

import { runChild } from "../lib/process.js";
import { atMost } from "../lib/targets.js";
import { summarise } from "../lib/timing.js";

export const name = "first Sandbox + execute in a new process, p50";
export const target = atMost(10, "ms");

export function measure(context) {
  const count = context.quick ? 3 : 15;
  return context.each({
    ours: () =>
      starts(count, () => runChild("first-execute", context.packageUrl)),
    pyeryx: (peer) => starts(count, () => peer.script("first_execute")),
  });
}

/** One process after another, for at most 20 s. */
async function starts(count, start) {
  const answers = [];
  const deadline = performance.now() + 20_000;
  while (answers.length < count && performance.now() < deadline)
    answers.push(await start());
  const withoutImport = summarise(
    answers.map((answer) => answer.withoutImportMs),
  );
  return {
    ...summarise(answers.map((answer) => answer.totalMs)),
    parts: { "without the import": withoutImport.value },
  };
}
