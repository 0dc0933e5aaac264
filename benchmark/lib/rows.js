// A row is one file of benchmark/rows: `name`, `target` and `measure(context)`.
// The number in front of the file name is its place in the table.

import { readdir } from "node:fs/promises";

const ROWS = new URL("../rows/", import.meta.url);

/** Rows in table order; `wanted` are ids, all rows when undefined. */
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

async function loadRow(file) {
  const { name, target, measure } = await import(new URL(file, ROWS));
  return { id: toId(file), name, target, measure };
}

function toId(file) {
  return file.replace(/^\d+-/, "").replace(/\.js$/, "");
}

/** A row that fails is reported as failed; the rows after it still run. */
export async function measureRow({ id, name, target, measure }, context) {
  const { unit, better, text } = target;
  const row = { id, name, unit, better, target: text, results: {} };
  try {
    row.results = await measure(context);
    row.met = hasValue(row.results.ours) ? target.met(row.results) : undefined;
    row.advantage = computeAdvantage(row);
  } catch (error) {
    row.error = String(error?.message ?? error);
  }
  return row;
}

/** How many times better than pyeryx, whichever direction is better. */
function computeAdvantage({ better, results: { ours, pyeryx } }) {
  if (!better || !hasValue(ours) || !hasValue(pyeryx)) return undefined;
  return better === "lower"
    ? pyeryx.value / ours.value
    : ours.value / pyeryx.value;
}

function hasValue(measurement) {
  return Number.isFinite(measurement?.value);
}
