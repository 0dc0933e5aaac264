// Native CPython: the newest interpreter found, or NATIVE_PYTHON.

import { runJson, runText } from "../lib/process.js";
import { summarise, takeSamples } from "../lib/timing.js";
import { findPythons } from "./candidates.js";

/** Isolated and without site-packages: what this machine has installed must not slow the start. */
const FLAGS = ["-I", "-S"];

/** @returns {Promise<import("../lib/types.js").Python3 | undefined>} */
export async function findNativePython() {
  const [python] = await findPythons(process.env.NATIVE_PYTHON);
  if (!python) return undefined;
  const { executable } = python;
  return {
    executable,
    version: python.version.join("."),
    /** p50 in ms of starting a process that runs `code`, until it has ended. */
    measureStart: async (code, { quick }) => {
      const run = () => runText(executable, [...FLAGS, "-c", code]);
      await run();
      return summarise(
        await takeSamples(run, { count: quick ? 5 : 30, maxMs: 5_000 }),
      );
    },
    /** What a program prints, as JSON, in a new process. */
    run: (source) => runJson(executable, [...FLAGS, "-"], { input: source }),
  };
}
