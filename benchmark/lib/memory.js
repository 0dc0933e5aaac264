// Memory of this process, in bytes, as the kernel accounts for it. Linux only.

import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Two readings may differ by so much and still count as rest: the event loop itself allocates. */
const REST_BYTES = 64 * 1024;

/**
 * `private`: pages that were written: anonymous ones, and those of anonymous files (memfd), which smaps does not see unless they
 * are mapped. Clean pages of files are left out: whether they are private depends on what other processes map.
 * `pss`: shared pages in equal parts; `rss`: shared pages in full, once per mapping.
 */
export function measureMemory() {
  const kernel = readFileSync("/proc/self/smaps_rollup", "utf8");
  const readBytes = (/** @type {string} */ name) => {
    const found = kernel.match(new RegExp(`^${name}: +(\\d+) kB`, "m"));
    return Number(found?.[1]) * 1024;
  };
  return {
    private: readBytes("Anonymous") + measureAnonymousFiles(),
    pss: readBytes("Pss"),
    rss: readBytes("Rss"),
  };
}

/** What the anonymous files hold that this process has open. */
function measureAnonymousFiles() {
  const sizes = readdirSync("/proc/self/fd").map((fd) => {
    try {
      const isAnonymous = readlinkSync(`/proc/self/fd/${fd}`).startsWith(
        "/memfd:",
      );
      return isAnonymous ? statSync(`/proc/self/fd/${fd}`).blocks * 512 : 0;
    } catch {
      return 0; // The descriptor of the directory itself is closed by now.
    }
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Memory once nothing goes on in the background any more, without what JavaScript no longer refers to. */
export async function measureMemoryAtRest() {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc");
  let before = { private: Number.POSITIVE_INFINITY };
  for (let round = 0; round < 20; round++) {
    collectGarbage();
    await sleep(250);
    const now = measureMemory();
    if (Math.abs(now.private - before.private) < REST_BYTES) return now;
    before = now;
  }
  throw new Error("memory does not come to rest");
}
