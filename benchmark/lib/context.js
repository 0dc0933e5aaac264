// What a row gets: the subjects that are present and `measureEach()`, which runs one
// function per present subject and turns a failure into `{ error }`.

import { pathToFileURL } from "node:url";

import { findPyeryx } from "../peers/pyeryx.js";
import { findNativePython } from "../peers/python3.js";

/** @import { Columns, Context, Options, Package, Pyeryx, Python3, SubjectId, SubjectReport, Subjects } from "./types.js" */

/** No single measurement may take longer than this. */
const DEADLINE_MS = 120_000;

/** @param {Pick<Options, "peers" | "quick">} options @returns {Promise<Context>} */
export async function createContext({ peers, quick }) {
  const packageUrl = process.env.ERYX_PACKAGE
    ? pathToFileURL(process.env.ERYX_PACKAGE)
    : new URL("../../index.js", import.meta.url);
  const ours = await loadPackage(packageUrl);
  const subjects = {
    ours: ours.module,
    pyeryx: peers ? await findPyeryx() : undefined,
    python3: peers ? await findNativePython() : undefined,
  };
  return {
    quick,
    packageUrl,
    measureEach: (/** @type {Columns<any>} */ columns) =>
      measureEach(columns, subjects),
    describeSubjects: () => ({
      ours: describeOurs(ours),
      pyeryx: describePeer(subjects.pyeryx, peers),
      python3: describePeer(subjects.python3, peers),
    }),
  };
}

/**
 * The peers can be measured before the addon is built: the error goes into the report.
 * @param {URL} url
 * @returns {Promise<{ module?: Package, error?: string }>}
 */
async function loadPackage(url) {
  try {
    return { module: await import(url.href) };
  } catch (/** @type {any} */ error) {
    return { error: String(error?.message ?? error) };
  }
}

/**
 * Subjects run one after the other: two at once would share the cores.
 * @template T
 * @param {Columns<T>} columns
 * @param {Partial<Subjects>} subjects
 * @returns {Promise<any>}
 */
async function measureEach(columns, subjects) {
  /** @type {{ [id: string]: unknown }} */
  const results = {};
  for (const [id, measure] of Object.entries(columns)) {
    const subject = /** @type {any} */ (subjects)[id];
    if (subject) results[id] = await attempt(async () => measure(subject));
  }
  return results;
}

/** @template T @param {() => Promise<T>} measure */
async function attempt(measure) {
  try {
    return await awaitInTime(measure());
  } catch (/** @type {any} */ error) {
    return { error: String(error?.message ?? error) };
  }
}

/**
 * The measurement is not stopped, only no longer waited for: its own bounds end it.
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
async function awaitInTime(promise) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no result after ${DEADLINE_MS} ms`)),
      DEADLINE_MS,
    );
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What is absent has an `absent` text in place of a version.
 * @param {{ module?: Package, error?: string }} ours
 * @returns {SubjectReport}
 */
function describeOurs({ module, error }) {
  if (error) return { absent: "not loaded", error };
  return { version: module?.versions?.eryx ?? "unknown" };
}

/** @param {Pyeryx | Python3 | undefined} peer @param {boolean} wanted @returns {SubjectReport} */
function describePeer(peer, wanted) {
  if (!peer) return { absent: wanted ? "not installed" : "-" };
  return { version: peer.version, python: peer.executable };
}
