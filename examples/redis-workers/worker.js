// `REDIS_URL=unix:///run/redis.sock node examples/redis-workers/worker.js`: takes jobs from Redis, Python code that waits for
// events. While a job waits it is bytes in Redis, and no process has it; any worker goes on with it. Start as many as there are
// cores. jobs.js submits jobs and tells them of events.
//
// Who may write to that Redis decides what code runs and what it is answered, so it needs a password, or a socket of its own. A
// checkpoint may come from anywhere: code in it can do what the worker offers, as any job can. Redis has to keep what it is told:
// `appendonly yes`, `maxmemory-policy noeviction`.

import { argv, env } from "node:process";
import { fileURLToPath } from "node:url";

import {
  InitializationError,
  Sandbox,
  Session,
  SuspendedError,
  SuspendExecution,
} from "../../index.js";
import { Orders } from "./orders.js";
import { connect, WorkerQueue } from "./queue.js";

/** @import { CallbackDefinition, SandboxOptions } from "../../index.js" */
/** @import { Job } from "./queue.js" */

/** @typedef {{ [name: string]: CallbackDefinition }} Offer */

const RESOURCE_LIMITS = {
  executionTimeoutMs: 60_000,
  maxCallbackInvocations: 1_000,
  maxMemoryBytes: 64 * 2 ** 20,
};
const EVENT = /^[a-z0-9:_-]{1,100}$/;

/**
 * Takes jobs until `signal` is aborted. `offer` is what their code can call, besides `wait_for`.
 * @param {WorkerQueue} queue
 * @param {{ signal: AbortSignal, offer: Offer }} options
 */
export async function work(queue, { signal, offer }) {
  while (!signal.aborted) {
    const job = await queue.take();
    if (job !== undefined) await runStep(queue, job, { signal, offer });
  }
}

/**
 * Runs a job until it waits or ends.
 * @param {WorkerQueue} queue
 * @param {Job} job
 * @param {{ signal: AbortSignal, offer: Offer }} options
 */
async function runStep(queue, job, { signal, offer }) {
  const options = {
    callbacks: { wait_for: WAIT_FOR, ...offer },
    resourceLimits: RESOURCE_LIMITS,
  };
  const outcome = await getOutcome(job, options, signal);
  if ("suspended" in outcome) {
    const { checkpoint, pending } = outcome.suspended;
    await queue.suspend(job, checkpoint, toAwaits(pending));
  } else if ("result" in outcome) await queue.finish(job, outcome.result);
  // Whatever fails while this worker ends may do so because of that.
  else if (signal.aborted) await queue.release(job);
  else await queue.fail(job, outcome.error.traceback ?? String(outcome.error));
}

/**
 * What is thrown here is no fault of the job: the worker ends, and the next one that finds the job runs this step again.
 * @param {Job} job
 * @param {SandboxOptions} options
 * @param {AbortSignal} signal
 * @returns {Promise<{ result: string } | { error: any } | { suspended: SuspendedError }>}
 */
async function getOutcome(job, options, signal) {
  try {
    const { result = null, resultError } = await advance(job, options, signal);
    if (resultError !== undefined) return { error: resultError };
    return { result: JSON.stringify(result) };
  } catch (/** @type {any} */ error) {
    if (error instanceof SuspendedError) return { suspended: error };
    if (error instanceof InitializationError || error.code === "ERYX_INTERNAL")
      throw error;
    return { error };
  }
}

/** @param {Job} job @param {SandboxOptions} options @param {AbortSignal} signal */
async function advance({ code, inputs, checkpoint, answers }, options, signal) {
  if (checkpoint !== undefined) {
    // Calls without an answer are made again: wait_for() suspends again.
    const answered = { ...options, signal, results: answers };
    const { session, result } = await Session.resume(checkpoint, answered);
    await session.close();
    return result;
  }
  const sandbox = new Sandbox(options);
  try {
    return await sandbox.execute(code, { inputs, signal });
  } finally {
    await sandbox.close();
  }
}

const WAIT_FOR = {
  description: "The payload of an event of this job.",
  schema: {
    type: "object",
    properties: { event: { type: "string", pattern: EVENT.source } },
    required: ["event"],
    additionalProperties: false,
  },
  fn: (/** @type {{ event: string }} */ { event }) => {
    throw new SuspendExecution(event);
  },
};

/**
 * Calls that an event answers. One that was not begun may have any arguments: it is refused when it is made again.
 * @param {SuspendedError["pending"]} pending
 */
function toAwaits(pending) {
  return pending.flatMap(({ id, name, kwargs: { event } }) =>
    name === "wait_for" && typeof event === "string" && EVENT.test(event)
      ? [{ call: id, event }]
      : [],
  );
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"])
    process.once(name, () => stop.abort());
  const client = await connect(env.REDIS_URL);
  const queue = await WorkerQueue.connect(env.REDIS_URL);
  console.log(`${queue.worker} works`);
  const offer = new Orders(client).makeCallbacks(queue.worker);
  await work(queue, { signal: stop.signal, offer });
  queue.close();
  client.destroy();
}
