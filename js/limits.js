import {
  checkAmount,
  checkMilliseconds,
  checkOptions,
  refuse,
} from "./check.js";

/** @import { ResourceLimits as GivenLimits } from "../index.js" */
/** @import { Limits } from "./types.js" */

/** @type {Limits} */
const DEFAULTS = {
  executionTimeoutMs: 30_000,
  callbackTimeoutMs: 10_000,
  maxMemoryBytes: 134_217_728,
  maxCallbackInvocations: 1000,
  maxFuel: null,
  maxOutputBytes: 10_485_760,
  maxVfsBytes: 67_108_864,
};

/** Linear memory is addressed with 32 bits. */
const MAX_MEMORY = 2 ** 32;
const MAX_FUEL = 2n ** 63n - 1n;

/** @type {{ readonly [limit: string]: (name: string, value: unknown) => number | bigint }} */
const CHECKS = {
  executionTimeoutMs: checkMilliseconds,
  callbackTimeoutMs: checkMilliseconds,
  maxMemoryBytes: (name, value) =>
    checkAmount(name, value, "bytes", MAX_MEMORY),
  maxCallbackInvocations: (name, value) => checkAmount(name, value, "calls"),
  maxFuel: checkFuel,
  maxOutputBytes: (name, value) => checkAmount(name, value, "bytes"),
  maxVfsBytes: (name, value) => checkAmount(name, value, "bytes"),
};

/** @param {string} name @param {unknown} value */
function checkFuel(name, value) {
  const expected = `a whole number of instructions from 1 to ${MAX_FUEL}, or null for no limit`;
  if (typeof value !== "bigint" && !Number.isSafeInteger(value))
    refuse(name, value, expected);
  const fuel = BigInt(/** @type {bigint | number} */ (value));
  if (fuel < 1n || fuel > MAX_FUEL) refuse(name, value, expected);
  return fuel;
}

/**
 * The limits that hold: the given ones, checked, and the defaults of the others. null is no limit.
 * @param {GivenLimits | undefined} input
 * @returns {Limits}
 */
export function resolveLimits(input) {
  const overrides = checkOptions(
    "resourceLimits",
    input,
    Object.keys(DEFAULTS),
  );
  /** @type {{ [limit: string]: number | bigint | null }} */
  const limits = { ...DEFAULTS };
  for (const [key, value] of Object.entries(overrides)) {
    if (value === undefined) continue;
    limits[key] =
      value === null ? null : CHECKS[key](`resourceLimits.${key}`, value);
  }
  return /** @type {Limits} */ (limits);
}

export const ResourceLimits = Object.freeze({
  /**
   * Every limit null. For code that is trusted.
   * @returns {Required<GivenLimits>}
   */
  unlimited() {
    const limits = Object.keys(DEFAULTS).map((key) => [key, null]);
    return Object.fromEntries(limits);
  },
});
