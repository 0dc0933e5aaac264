import { constants } from "node:buffer";
import { fromNative } from "./errors.js";
import { decode } from "./wire.js";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 is never shorter than its text, so a string has room for so many bytes. */
const MAX_TEXT = constants.MAX_STRING_LENGTH;

const isTooLong = (bytes) => bytes !== undefined && bytes.length > MAX_TEXT;

/** Text without trailing newlines. The addon leaves out what is empty. */
function text(bytes) {
  if (bytes === undefined) return "";
  const all = decoder.decode(bytes.subarray(0, MAX_TEXT));
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
    stdout: text(outcome.stdout),
    stderr: text(outcome.stderr),
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
    stdout: text(stdout),
    stderr: text(stderr),
    stdoutBytes: stdout ?? new Uint8Array(0),
    stderrBytes: stderr ?? new Uint8Array(0),
    outputTruncated: truncated || isTooLong(stdout) || isTooLong(stderr),
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
