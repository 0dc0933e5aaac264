// What a row gets: the subjects that are present and `measureEach()`, which runs one
// function per present subject and turns a failure into `{ error }`.

import { pathToFileURL } from "node:url";

import { findPyeryx } from "../peers/pyeryx.js";
import { findNativePython } from "../peers/python3.js";

/** No single measurement may take longer than this. */
const DEADLINE_MS = 120_000;

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
    measureEach: (columns) => measureEach(columns, subjects),
    describeSubjects: () => ({
      ours: describeOurs(ours),
      pyeryx: describePeer(subjects.pyeryx, peers),
      python3: describePeer(subjects.python3, peers),
    }),
  };
}

/** The peers can be measured before the addon is built: the error goes into the report. */
async function loadPackage(url) {
  try {
    return { module: await import(url) };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

/** Subjects run one after the other: two at once would share the cores. */
async function measureEach(columns, subjects) {
  const results = {};
  for (const [id, measure] of Object.entries(columns)) {
    const subject = subjects[id];
    if (subject) results[id] = await attempt(async () => measure(subject));
  }
  return results;
}

async function attempt(measure) {
  try {
    return await awaitInTime(measure());
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

/** The measurement is not stopped, only no longer waited for: its own bounds end it. */
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

/** What is absent has an `absent` text in place of a version. */
function describeOurs({ module, error }) {
  if (error) return { absent: "not loaded", error };
  return { version: module.versions?.eryx ?? "unknown" };
}

function describePeer(peer, wanted) {
  if (!peer) return { absent: wanted ? "not installed" : "-" };
  return { version: peer.version, python: peer.executable };
}
