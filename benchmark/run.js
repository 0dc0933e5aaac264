#!/usr/bin/env node
// `npm run bench`: measures every row of benchmark/rows, prints the table and
// writes benchmark/results/latest.json. See benchmark/README.md.

import { mkdir, writeFile } from "node:fs/promises";

import { createContext } from "./lib/context.js";
import { describeMachine } from "./lib/machine.js";
import { parseOptions, USAGE } from "./lib/options.js";
import { findRows, measureRow } from "./lib/rows.js";
import { renderTable } from "./lib/table.js";

/** @import { Report, RowReport } from "./lib/types.js" */

const RESULTS = new URL("./results/latest.json", import.meta.url);

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return console.log(USAGE);

  const rows = await findRows(options.rows);
  const context = await createContext(options);
  /** @type {Report} */
  const report = {
    date: new Date().toISOString(),
    quick: options.quick,
    machine: describeMachine(),
    subjects: context.describeSubjects(),
    rows: [],
  };
  for (const row of rows) {
    process.stderr.write(`${row.id} ...\n`);
    report.rows.push(await measureRow(row, context));
  }
  report.machine.loadAtEnd = describeMachine().loadAtStart;

  console.log(renderTable(report));
  await save(RESULTS, `${JSON.stringify(report, null, 2)}\n`);
  if (report.subjects.ours.error || report.rows.some(isBroken)) {
    process.exitCode = 1;
  }
}

/**
 * A missed target is a number to read; only a row of ours that could not be measured fails the run.
 * @param {RowReport} row
 */
function isBroken(row) {
  return row.error !== undefined || row.results.ours?.error !== undefined;
}

/** @param {URL} url @param {string} text */
async function save(url, text) {
  await mkdir(new URL(".", url), { recursive: true });
  await writeFile(url, text);
}

try {
  await main();
} catch (/** @type {any} */ error) {
  console.error(error.message);
  process.exitCode = 2;
}
