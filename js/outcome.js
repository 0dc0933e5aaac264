import { toPublicError } from "./errors.js";
import { MAX_STRING_LENGTH } from "./node.js";
import { decode } from "./wire.js";

/** @import { ExecuteResult, ExecutionRecord } from "../index.js" */
/** @import { AddonError, Outcome, Success, Writable } from "./types.js" */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 is never shorter than its text, so a string has room for so many bytes. */
const MAX_TEXT = MAX_STRING_LENGTH;

/** @param {Uint8Array | undefined} bytes */
const isTooLong = (bytes) => bytes !== undefined && bytes.length > MAX_TEXT;

/**
 * Text without trailing newlines. The addon leaves out what is empty.
 * @param {Uint8Array | undefined} bytes
 */
function decodeText(bytes) {
  if (bytes === undefined) return "";
  const all = decoder.decode(bytes.subarray(0, MAX_TEXT));
  let end = all.length;
  while (end > 0 && all.charCodeAt(end - 1) === 10) end--;
  return end === all.length ? all : all.slice(0, end);
}

/**
 * What every execution leaves, however it ended. Fields that are not set are missing.
 * @param {Outcome} outcome
 * @param {boolean} traced
 */
function toRecord(outcome, traced) {
  const { stdout, stderr, truncated, warnings, fuelConsumed } = outcome;
  /** @type {Writable<ExecutionRecord>} */
  const record = {
    stdout: decodeText(stdout),
    stderr: decodeText(stderr),
    stdoutBytes: stdout ?? new Uint8Array(0),
    stderrBytes: stderr ?? new Uint8Array(0),
    outputTruncated: truncated || isTooLong(stdout) || isTooLong(stderr),
    warnings: warnings === undefined ? [] : decode(warnings),
    durationMs: outcome.durationMs,
    callbackInvocations: outcome.callbackInvocations,
    peakMemoryBytes: outcome.peakMemoryBytes,
  };
  if (fuelConsumed !== undefined) record.fuelConsumed = fuelConsumed;
  if (traced) {
    record.trace = outcome.trace === undefined ? [] : decode(outcome.trace);
    record.traceTruncated = outcome.traceTruncated;
  }
  return record;
}

/**
 * The error of an execution that failed. `others` takes the place of fields of its own: `{ message, cause }`.
 * @param {Outcome & { error: AddonError }} outcome
 * @param {boolean} traced
 * @param {{ message: string, cause?: unknown }} [others]
 */
export function toError(outcome, traced, others) {
  const { pending, ...error } = outcome.error;
  const calls = pending === undefined ? {} : { pending: decode(pending) };
  return toPublicError(
    { ...error, ...calls, ...others },
    toRecord(outcome, traced),
  );
}

/**
 * The result of an execution that succeeded. Fields that are not set are missing.
 * @param {Outcome & { ok: Success }} outcome
 * @param {boolean} traced
 */
export function toResult(outcome, traced) {
  const { ok } = outcome;
  /** @type {Writable<ExecuteResult>} */
  const result = toRecord(outcome, traced);
  if (ok.result !== undefined) result.result = decode(ok.result);
  if (ok.resultError !== undefined) result.resultError = ok.resultError;
  if (ok.value !== undefined) result.value = decode(ok.value);
  if (ok.valueRepr !== undefined) result.valueRepr = ok.valueRepr;
  if (ok.valueError !== undefined) result.valueError = ok.valueError;
  return result;
}
