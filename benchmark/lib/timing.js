// Timing on the JavaScript side. A measurement is `{ value, parts?, text?, ... }`:
// `value` is what the row compares, `parts` are named values of the same unit.

import { Bench } from "tinybench";

/**
 * p50 of one awaited call after another, in ms, through tinybench.
 * Bounded in time; `minimum` calls are made even if they take longer, up to the context's deadline.
 * @param {() => unknown} call
 * @param {{ quick?: boolean, minimum?: number }} [options]
 */
export async function measureCalls(call, { quick = false, minimum = 5 } = {}) {
  const bench = new Bench({
    time: quick ? 300 : 1500,
    iterations: minimum,
    warmupTime: quick ? 50 : 250,
    warmupIterations: 3,
    throws: true,
    signal: AbortSignal.timeout(60_000),
  });
  bench.add("call", call);
  const [{ result }] = await bench.run();
  if (!("latency" in result))
    throw new Error(`tinybench ended in state ${result.state}`);
  const { p50, p99, min, max, samplesCount } = result.latency;
  return { value: p50, p99, min, max, samples: samplesCount };
}

/**
 * Median and spread of samples taken by hand.
 * @param {readonly number[]} samples
 */
export function summarise(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const pick = (/** @type {number} */ share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return {
    value: pick(0.5),
    p99: pick(0.99),
    min: sorted[0],
    max: sorted.at(-1),
    samples: sorted.length,
  };
}

/**
 * Samples of one call after another, timed by hand; ends at `count` or after `maxMs`.
 * @param {() => unknown} call
 * @param {{ count: number, maxMs?: number }} options
 */
export async function takeSamples(call, { count, maxMs = 20_000 }) {
  const samples = [];
  const deadline = performance.now() + maxMs;
  while (samples.length < count && performance.now() < deadline) {
    const started = performance.now();
    await call();
    samples.push(performance.now() - started);
  }
  return samples;
}

/**
 * Calls per second with `inFlight` of them open at any time.
 * @param {() => unknown} call
 * @param {{ inFlight: number, ms: number, maxCalls?: number }} options
 */
export async function measureThroughput(
  call,
  { inFlight, ms, maxCalls = 1_000_000 },
) {
  const started = performance.now();
  let begun = 0;
  let ended = 0;
  async function work() {
    while (begun < maxCalls && performance.now() - started < ms) {
      begun += 1;
      await call();
      ended += 1;
    }
  }
  await Promise.all(Array.from({ length: inFlight }, work));
  const seconds = (performance.now() - started) / 1000;
  return { value: ended / seconds, calls: ended, inFlight };
}

/** @param {readonly number[]} values */
export function computeGeometricMean(values) {
  return Math.exp(
    values.reduce((sum, value) => sum + Math.log(value), 0) / values.length,
  );
}
