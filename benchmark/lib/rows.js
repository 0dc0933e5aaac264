// A row is one file of benchmark/rows: `name`, `target` and `measure(context)`.
// The number in front of the file name is its place in the table.

import { readdir } from "node:fs/promises";

/** @import { Context, Failure, Measurement, Row, RowReport } from "./types.js" */

const ROWS = new URL("../rows/", import.meta.url);

/**
 * Rows in table order; `wanted` are ids, all rows when undefined.
 * @param {string[] | undefined} wanted
 */
export async function findRows(wanted) {
  const files = (await readdir(ROWS))
    .filter((file) => file.endsWith(".js"))
    .sort();
  const ids = files.map(toId);
  const unknown = wanted?.filter((id) => !ids.includes(id)) ?? [];
  if (unknown.length > 0) {
    throw new Error(
      `no such row: ${unknown.join(", ")}; there are: ${ids.join(", ")}`,
    );
  }
  const chosen = files.filter((file) => !wanted || wanted.includes(toId(file)));
  return Promise.all(chosen.map(loadRow));
}

/** @param {string} file @returns {Promise<Row>} */
async function loadRow(file) {
  const { name, target, measure } = await import(new URL(file, ROWS).href);
  return { id: toId(file), name, target, measure };
}

/** @param {string} file */
function toId(file) {
  return file.replace(/^\d+-/, "").replace(/\.js$/, "");
}

/**
 * A row that fails is reported as failed; the rows after it still run.
 * @param {Row} row
 * @param {Context} context
 */
export async function measureRow({ id, name, target, measure }, context) {
  const { unit, better, text } = target;
  /** @type {RowReport} */
  const row = { id, name, unit, better, target: text, results: {} };
  try {
    row.results = await measure(context);
    const { ours } = row.results;
    row.met = hasValue(ours) ? target.met({ ...row.results, ours }) : undefined;
    row.advantage = computeAdvantage(row);
  } catch (/** @type {any} */ error) {
    row.error = String(error?.message ?? error);
  }
  return row;
}

/**
 * How many times better than pyeryx, whichever direction is better.
 * @param {RowReport} row
 */
function computeAdvantage({ better, results: { ours, pyeryx } }) {
  if (!better || !hasValue(ours) || !hasValue(pyeryx)) return undefined;
  return better === "lower"
    ? pyeryx.value / ours.value
    : ours.value / pyeryx.value;
}

/** @param {Measurement | Failure | undefined} measurement @returns {measurement is Measurement} */
function hasValue(measurement) {
  return Number.isFinite(measurement?.value);
}
