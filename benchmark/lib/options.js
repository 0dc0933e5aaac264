// Command line of `node benchmark/run.js`.

import { parseArgs } from "node:util";

export const USAGE = `node benchmark/run.js [options]
  --rows=a,b   only these rows (names of the files in benchmark/rows without the number)
  --no-peers   measure only this package
  --quick      shorter: for checking that the benchmark runs, not for numbers to quote
Environment: PYERYX_PYTHON (a Python that has pyeryx), NATIVE_PYTHON (the python3 to compare with),
ERYX_PACKAGE (path of another index.js to measure in place of this repository's).`;

/** @param {string[]} argv @returns {import("./types.js").Options} */
export function parseOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      rows: { type: "string" },
      "no-peers": { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return {
    rows: values.rows?.split(",").filter(Boolean),
    peers: !values["no-peers"],
    quick: values.quick,
    help: values.help,
  };
}
