// Makes index.js, which is what is published and tested: all of js/ in one file. Node takes about 0.5 ms in a new process for each
// file that it imports.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { place } from "./place.js";

const HEAD = `// Made of js/ by scripts/bundle.js. Changes belong there.
const SOURCES = import.meta.dirname + "/js";`;

/**
 * Writes index.js in the folder `root`, if it is not up to date. Returns whether it was.
 * @param {string} root
 */
export async function bundle(root) {
  const code = await renderBundle(root);
  const to = join(root, "index.js");
  if (existsSync(to) && readFileSync(to, "utf8") === code) return true;
  place(to, (beside) => writeFileSync(beside, code));
  return false;
}

/**
 * What belongs into it. Dependencies stay outside: js/ loads them by their names, when they are needed.
 * @param {string} root
 */
export async function renderBundle(root) {
  const { rolldown } = await import("rolldown");
  const build = await rolldown({
    cwd: root,
    input: "js/index.js",
    platform: "node",
    // Paths are those that the source files would see.
    transform: { define: { "import.meta.dirname": "SOURCES" } },
    onLog(_, { message }) {
      throw new Error(message);
    },
  });
  const { output } = await build.generate({
    format: "esm",
    banner: HEAD,
    // They are types for the most part, which are of use in js/ only.
    comments: { jsdoc: false },
  });
  await build.close();
  const [{ code, imports }, ...others] = output;
  if (others.length > 0 || imports.length > 0)
    throw new Error(`index.js is not alone: it imports ${imports.join(", ")}`);
  return code;
}
