// Speed of Python itself: ten programs, best of five each, timed inside Python.

import { KERNEL_NAMES, readKernel } from "../lib/kernels.js";
import { wantAtMostOfPyeryx } from "../lib/targets.js";
import { computeGeometricMean } from "../lib/timing.js";

/** @import { Context, Failure, Measurement, SubjectId } from "../lib/types.js" */
/** @typedef {{ kernel: string, results: { [Id in SubjectId]?: any } }} Answer */

/** A limit is set, so interrupts are on, as they are by default. */
const TIMEOUT_MS = 90_000;

export const name = "Python speed, 10 kernels, geometric mean";
export const target = wantAtMostOfPyeryx(0.7, "ms");

/** Kernel by kernel, all subjects in turn, so that a machine that slows down slows all of them. */
/** @param {import("../lib/types.js").Context} context */
export async function measure(context) {
  /** @type {Answer[]} */
  const answers = [];
  for (const kernel of KERNEL_NAMES) {
    const source = await readKernel(kernel, context.quick ? 1 : 5);
    answers.push({ kernel, results: await measureKernel(context, source) });
  }
  const subjects = /** @type {SubjectId[]} */ (Object.keys(answers[0].results));
  return Object.fromEntries(subjects.map((id) => [id, combine(answers, id)]));
}

/** @param {Context} context @param {string} source */
function measureKernel(context, source) {
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox({
        resourceLimits: { executionTimeoutMs: TIMEOUT_MS },
      });
      return JSON.parse((await sandbox.execute(source)).stdout);
    },
    pyeryx: (peer) =>
      peer.runScript("kernel", { source, timeoutMs: TIMEOUT_MS }),
    python3: (peer) => peer.run(source),
  });
}

/**
 * The mean exists only over all ten: a subject that failed one has no value.
 * @param {readonly Answer[]} answers
 * @param {SubjectId} id
 * @returns {Measurement | Failure}
 */
function combine(answers, id) {
  const failed = answers.find(({ results }) => results[id].error);
  if (failed) return { error: `${failed.kernel}: ${failed.results[id].error}` };
  const wrong = answers.find(({ results }) => !isAgreed(results, id));
  if (wrong)
    return { error: `${wrong.kernel}: computed ${wrong.results[id].check}` };
  const parts = Object.fromEntries(
    answers.map(({ kernel, results }) => [kernel, results[id].bestMs]),
  );
  return { value: computeGeometricMean(Object.values(parts)), parts };
}

/**
 * Same answer as native Python, if that was measured.
 * @param {Answer["results"]} results
 * @param {SubjectId} id
 */
function isAgreed({ python3, ...others }, id) {
  return (
    id === "python3" || !python3?.check || others[id].check === python3.check
  );
}
