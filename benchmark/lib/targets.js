// What a row wants to reach. A target has a unit, a direction (`better`), a text
// for the table, and `met(results)`: true, false, or undefined if it cannot be told.

/** @import { Target } from "./types.js" */

/** @param {number} limit @param {string} unit @returns {Target} */
export function wantAtMost(limit, unit) {
  return {
    unit,
    better: "lower",
    text: `<= ${limit} ${unit}`,
    met: ({ ours }) => ours.value <= limit,
  };
}

/** @param {number} limit @param {string} unit @returns {Target} */
export function wantAtLeast(limit, unit) {
  return {
    unit,
    better: "higher",
    text: `>= ${limit.toLocaleString("en-US")}${unit}`,
    met: ({ ours }) => ours.value >= limit,
  };
}

/**
 * A share of what pyeryx needs in the same run.
 * @param {number} share
 * @param {string} unit
 * @returns {Target}
 */
export function wantAtMostOfPyeryx(share, unit) {
  return {
    unit,
    better: "lower",
    text: `<= ${share.toFixed(2)} of pyeryx`,
    met: ({ ours, pyeryx }) =>
      pyeryx?.value !== undefined && Number.isFinite(pyeryx.value)
        ? ours.value <= share * pyeryx.value
        : undefined,
  };
}

/**
 * Every one of `parts` lies between the bounds. Has no direction, so no ratio is shown.
 * @param {number} low
 * @param {number} high
 * @param {string} unit
 * @returns {Target}
 */
export function wantAllWithin(low, high, unit) {
  return {
    unit,
    text: `${low} - ${high} ${unit}`,
    met: ({ ours }) =>
      Object.values(ours.parts).every((value) => value >= low && value <= high),
  };
}
