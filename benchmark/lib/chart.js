// The report as an SVG bar chart: how many times better than pyeryx, on a log scale.

import { formatRatio, formatValue } from "./format.js";

const WIDTH = 860;
const LEFT = 330;
const RIGHT = 190;
const ROW = 30;
const TOP = 64;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .muted { fill: #656d76; font-size: 11px }
  .bar { fill: #3572a5 }
  .worse { fill: #c4432b }
  line { stroke: #d0d7de }
  .one { stroke: #656d76 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .muted { fill: #8d96a0 } line { stroke: #30363d } .one { stroke: #8d96a0 }
  }`;

/** Only rows measured for both packages appear. */
export function renderChart(report) {
  const rows = report.rows.filter((row) => row.advantage > 0);
  if (rows.length === 0)
    throw new Error("no row has figures of both packages: nothing to draw");
  const scale = logScale(rows.map((row) => row.advantage));
  const bottom = TOP + rows.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 44}" role="img" aria-label="Times better than pyeryx">
<style>${STYLE}</style>
<text class="title" x="12" y="24">Times better than pyeryx ${escapeXml(report.subjects.pyeryx.version)} (log scale)</text>
${scale.ticks.map((tick) => gridLine(tick, scale.x(tick), bottom)).join("\n")}
${rows.map((row, index) => bar(row, TOP + index * ROW, scale)).join("\n")}
<text class="muted" x="12" y="${bottom + 32}">${escapeXml(caption(report))}</text>
</svg>
`;
}

/** Powers of ten that enclose every ratio and 1. */
function logScale(ratios) {
  const low = Math.floor(Math.log10(Math.min(1, ...ratios)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1, ...ratios))));
  const perDecade = (WIDTH - LEFT - RIGHT) / (high - low);
  return {
    x: (ratio) => LEFT + (Math.log10(ratio) - low) * perDecade,
    ticks: Array.from(
      { length: high - low + 1 },
      (_, index) => 10 ** (low + index),
    ),
  };
}

function gridLine(tick, x, bottom) {
  const kind = tick === 1 ? ' class="one"' : "";
  return `<line${kind} x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${TOP - 8}" y2="${bottom}"/>
<text class="muted" text-anchor="middle" x="${x.toFixed(1)}" y="${TOP - 14}">${tick}x</text>`;
}

function bar(row, y, scale) {
  const [from, to] = [scale.x(1), scale.x(row.advantage)].sort((a, b) => a - b);
  const { ours, pyeryx } = row.results;
  const values = `${formatValue(ours.value, row.unit)} / ${formatValue(pyeryx.value, row.unit)}`;
  return `<text text-anchor="end" x="${LEFT - 10}" y="${y + 17}">${escapeXml(row.name)}</text>
<rect class="${row.advantage < 1 ? "worse" : "bar"}" x="${from.toFixed(1)}" y="${y + 4}" width="${Math.max(1, to - from).toFixed(1)}" height="18" rx="2"/>
<text x="${(to + 6).toFixed(1)}" y="${y + 17}">${formatRatio(row.advantage)} <tspan class="muted">${escapeXml(values)}</tspan></text>`;
}

function caption({ date, machine, subjects, quick }) {
  const mode = quick ? ", --quick" : "";
  return `@bsull/eryx ${subjects.ours.version}, ${date.slice(0, 10)}, ${machine.cores} cores of ${machine.cpu}, Node ${machine.node}${mode}; ours / pyeryx`;
}

function escapeXml(text) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(text).replace(/[&<>"]/g, (character) => entities[character]);
}
