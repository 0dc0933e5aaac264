// pyeryx: the first interpreter found that has it, or PYERYX_PYTHON. It is driven
// by the scripts in peers/pyeryx, each in a new process: JSON in, JSON out.

import { fileURLToPath } from "node:url";

import { runJson } from "../lib/process.js";
import { findPythons } from "./candidates.js";

/** @returns {Promise<import("../lib/types.js").Pyeryx | undefined>} */
export async function findPyeryx() {
  const pythons = await findPythons(process.env.PYERYX_PYTHON);
  const python = pythons.find(({ pyeryx }) => pyeryx);
  if (!python) return undefined;
  const { executable } = python;
  /** @type {import("../lib/types.js").Pyeryx} */
  const peer = {
    executable,
    version: String(python.pyeryx),
    /** The answer of peers/pyeryx/<name>.py to `request`. */
    runScript: (name, request = {}) => {
      const path = fileURLToPath(
        new URL(`./pyeryx/${name}.py`, import.meta.url),
      );
      return runJson(executable, [path], {
        input: JSON.stringify(request),
        timeoutMs: 100_000,
      });
    },
    /** p50 in ms of a Python statement after `setup`; both see `eryx`. */
    measureStatement(setup, statement, { quick }) {
      const seconds = quick ? 0.3 : 1.5;
      return peer.runScript("micro", {
        setup,
        statement,
        seconds,
        minimum: 5,
        limit: 100_000,
      });
    },
  };
  return peer;
}
