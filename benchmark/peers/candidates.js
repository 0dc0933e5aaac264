// Python interpreters that may be on this machine.

import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { runJson } from "../lib/process.js";

/** @typedef {{ executable: string, version: number[], pyeryx: string | null }} Python */

const NAMES = ["python3.14", "python3.13", "python3.12", "python3", "python"];

/** Prints who the interpreter is; pyeryx is looked up, not imported. */
const PROBE = `
import importlib.metadata, importlib.util, json, sys
pyeryx = None
if importlib.util.find_spec("eryx"):
    try:
        pyeryx = importlib.metadata.version("pyeryx")
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:3]), "pyeryx": pyeryx}))
`;

/**
 * Interpreters 3.11 or newer, newest first. With `override` only that one, and it must work.
 * @param {string | undefined} override
 * @returns {Promise<Python[]>}
 */
export async function findPythons(override) {
  if (override) return [await probe(override)];
  const answers = await Promise.allSettled(
    [...NAMES, ...(await listPyenvPythons())].map(probe),
  );
  const found = answers
    .filter((answer) => answer.status === "fulfilled")
    .map((answer) => answer.value);
  const distinct = new Map(found.map((python) => [python.executable, python]));
  return [...distinct.values()]
    .filter(isRecent)
    .sort((a, b) => compareVersions(b.version, a.version));
}

/** @param {string} command @returns {Promise<Python>} */
function probe(command) {
  return runJson(command, ["-c", PROBE], { timeoutMs: 10_000 });
}

async function listPyenvPythons() {
  const versions = join(
    process.env.PYENV_ROOT ?? join(homedir(), ".pyenv"),
    "versions",
  );
  const names = await readdir(versions).catch(() => []);
  const recent = names.filter((name) => /^3\.(1[1-9]|[2-9]\d)/.test(name));
  return recent.map((name) => join(versions, name, "bin", "python3"));
}

/** @param {Python} python */
function isRecent({ version: [major, minor] }) {
  return major === 3 && minor >= 11;
}

/** @param {readonly number[]} a @param {readonly number[]} b */
function compareVersions(a, b) {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
