// What a user downloads and what lands on the disk: runtime files plus the addon.

import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";

const MB = 1_000_000;
const MAX_PACKED = 25;
const MAX_UNPACKED = 80;

export const name = "platform package, gzip";
/** @type {import("../lib/types.js").Target} */
export const target = {
  unit: "MB",
  better: "lower",
  text: `<= ${MAX_PACKED} MB / <= ${MAX_UNPACKED} MB`,
  met: ({ ours }) =>
    ours.value <= MAX_PACKED && ours.parts.unpacked <= MAX_UNPACKED,
};

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async () =>
      measureSizes(await listOurFiles(new URL("./", context.packageUrl))),
    pyeryx: async (peer) => measureSizes(await peer.runScript("files")),
  });
}

/** @param {URL} root */
async function listOurFiles(root) {
  const runtime = fileURLToPath(new URL("target/eryx-runtime/", root));
  const entries = await readdir(runtime, {
    recursive: true,
    withFileTypes: true,
  });
  const addons = (await readdir(root)).filter((file) => file.endsWith(".node"));
  if (addons.length === 0)
    throw new Error(`no .node file in ${fileURLToPath(root)}`);
  return [
    ...entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name)),
    ...addons.map((file) => fileURLToPath(new URL(file, root))),
  ];
}

/** @param {readonly string[]} paths */
async function measureSizes(paths) {
  const stats = await Promise.all(paths.map((path) => stat(path)));
  const unpacked = stats.reduce((sum, { size }) => sum + size, 0) / MB;
  return {
    value: (await measureGzip(paths)) / MB,
    parts: { unpacked },
    files: paths.length,
  };
}

/**
 * One gzip stream over all contents: a tarball without its headers, which compress to nearly nothing.
 * @param {readonly string[]} paths
 */
async function measureGzip(paths) {
  let size = 0;
  await pipeline(
    Readable.from(concatenate(paths)),
    createGzip({ level: 6 }),
    async (chunks) => {
      for await (const chunk of chunks) size += chunk.length;
    },
  );
  return size;
}

/** @param {readonly string[]} paths */
async function* concatenate(paths) {
  for (const path of paths)
    yield* createReadStream(path, { highWaterMark: 1 << 20 });
}
