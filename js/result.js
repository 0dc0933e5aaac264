import { fromNative } from "./errors.js";
import { decode } from "./wire.js";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text without trailing newlines. */
function text(bytes) {
  const all = decoder.decode(bytes);
  let end = all.length;
  while (end > 0 && all.charCodeAt(end - 1) === 10) end--;
  return end === all.length ? all : all.slice(0, end);
}

/** Collected events, and whether there were more. */
function traceOf({ trace, traceTruncated }) {
  return {
    trace: trace === undefined ? [] : decode(trace),
    traceTruncated,
  };
}

/** The error of a run that failed. */
export function failure(outcome, traced) {
  const output = {
    stdout: outcome.stdout === undefined ? "" : text(outcome.stdout),
    stderr: outcome.stderr === undefined ? "" : text(outcome.stderr),
  };
  const { pending } = outcome.error;
  if (pending !== undefined) outcome.error.pending = decode(pending);
  const error = fromNative(outcome.error, output);
  return traced ? Object.assign(error, traceOf(outcome)) : error;
}

/** The result of a run that succeeded. Fields that are not set are missing. */
export function success(outcome, traced) {
  const { ok, stdout, stderr, truncated } = outcome;
  const result = {
    stdout: stdout === undefined ? "" : text(stdout),
    stderr: stderr === undefined ? "" : text(stderr),
    stdoutBytes: stdout ?? new Uint8Array(0),
    stderrBytes: stderr ?? new Uint8Array(0),
    outputTruncated: truncated,
    durationMs: ok.durationMs,
    callbackInvocations: ok.callbackInvocations,
    peakMemoryBytes: ok.peakMemoryBytes,
  };
  if (ok.result !== undefined) result.result = decode(ok.result);
  if (ok.resultError !== undefined) result.resultError = ok.resultError;
  if (ok.value !== undefined) result.value = decode(ok.value);
  if (ok.valueRepr !== undefined) result.valueRepr = ok.valueRepr;
  if (ok.fuelConsumed !== undefined) result.fuelConsumed = ok.fuelConsumed;
  if (traced) Object.assign(result, traceOf(outcome));
  return result;
}
