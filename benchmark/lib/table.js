// The report as an aligned text table.

import { formatRatio, formatValue } from "./format.js";

/** @import { Report, RowReport, SubjectId, SubjectReport } from "./types.js" */

/** @type {readonly SubjectId[]} */
const SUBJECTS = ["ours", "pyeryx", "python3"];

/** @param {Report} report */
export function renderTable(report) {
  const header = [
    "what",
    "target",
    ...SUBJECTS.map((id) => renderHeading(id, report.subjects[id])),
    "vs pyeryx",
    "met",
  ];
  const lines = report.rows.flatMap((row) => renderRow(row, report.subjects));
  return [...align([header, ...lines]), "", ...renderNotes(report)].join("\n");
}

/** @param {SubjectId} id @param {SubjectReport} subject */
function renderHeading(id, subject) {
  return subject.version ? `${id} ${subject.version}` : id;
}

/** @param {RowReport} row @param {Report["subjects"]} subjects */
function renderRow(row, subjects) {
  const cells = SUBJECTS.map((id) => renderCell(row, id, subjects[id]));
  const advantage =
    row.advantage === undefined ? "" : formatRatio(row.advantage);
  const main = [
    row.name,
    row.target,
    ...cells,
    advantage,
    renderVerdict(row.met),
  ];
  return [main, ...renderParts(row)];
}

/**
 * @param {RowReport} row
 * @param {SubjectId} id
 * @param {SubjectReport} subject
 * @returns {string}
 */
function renderCell(row, id, subject) {
  const measurement = row.results[id];
  if (row.error || measurement?.error !== undefined) return "failed";
  if (measurement)
    return measurement.text ?? formatValue(measurement.value, row.unit);
  return subject.absent ?? "-";
}

/**
 * One indented line per named part, with the subjects that have it.
 * @param {RowReport} row
 */
function renderParts({ results, unit }) {
  const names = new Set(
    SUBJECTS.flatMap((id) => Object.keys(results[id]?.parts ?? {})),
  );
  return [...names].map((name) => {
    const values = SUBJECTS.map((id) => results[id]?.parts?.[name]);
    return [
      `    ${name}`,
      "",
      ...values.map((value) =>
        value === undefined ? "" : formatValue(value, unit),
      ),
      "",
      "",
    ];
  });
}

/** @param {boolean | undefined} met */
function renderVerdict(met) {
  if (met === undefined) return "?";
  return met ? "yes" : "NO";
}

/** @param {string[][]} lines */
function align(lines) {
  const widths = lines[0].map((_, column) =>
    Math.max(...lines.map((line) => line[column].length)),
  );
  const padded = lines.map((line) =>
    line
      .map((text, column) => pad(text, widths[column], column))
      .join("  ")
      .trimEnd(),
  );
  return [
    padded[0],
    widths.map((width) => "-".repeat(width)).join("  "),
    ...padded.slice(1),
  ];
}

/**
 * Names and targets to the left, figures to the right.
 * @param {string} text
 * @param {number} width
 * @param {number} column
 */
function pad(text, width, column) {
  return column < 2 ? text.padEnd(width) : text.padStart(width);
}

/** @param {Report} report */
function renderNotes({ machine, quick, rows, subjects: { ours } }) {
  const errors = rows.flatMap((row) => [
    ...(row.error ? [`${row.id}: ${row.error}`] : []),
    ...SUBJECTS.filter((id) => row.results[id]?.error).map(
      (id) => `${row.id}, ${id}: ${row.results[id]?.error}`,
    ),
  ]);
  const load = `load ${machine.loadAtStart} at the start, ${machine.loadAtEnd} at the end`;
  return [
    `${machine.cores} cores, ${machine.cpu}, ${machine.platform}, Node ${machine.node}, ${load}`,
    ...(ours.error ? [`ours is not loaded: ${ours.error}`] : []),
    ...(quick ? ["--quick: too few samples to quote"] : []),
    ...errors,
  ];
}
