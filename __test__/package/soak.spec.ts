import { expect, it } from "vitest";
import { getNodeStdout } from "../helpers.js";

interface Growth {
  /** MiB of RSS. */
  memory: number;
  /** Open files. */
  files: number;
}

/**
 * Starts `runs`, an array of `each` promises, again and again: `warm` promises first, `count` measured ones then. These up
 * to five times, until memory grew by less than `most` MiB: what leaks does so each time.
 */
async function growth(
  runs: string,
  each: number,
  [warm, count]: [number, number],
  most: number,
): Promise<Growth> {
  const source = `
    import { readdirSync } from "node:fs";
    import { Sandbox } from "@bsull/eryx";
    const sandbox = new Sandbox();
    async function run(count) {
      for (let done = 0; done < count; done += ${each}) await Promise.allSettled(${runs});
    }
    function measure() {
      gc();
      return { memory: process.memoryUsage.rss() / 2 ** 20, files: readdirSync("/proc/self/fd").length };
    }
    await run(${warm});
    let grown;
    for (let tries = 0; tries < 5; tries++) {
      const before = measure();
      await run(${count});
      const after = measure();
      grown = { memory: after.memory - before.memory, files: after.files - before.files };
      if (grown.memory < ${most} && grown.files === 0) break;
    }
    console.log(JSON.stringify(grown));`;
  return JSON.parse(await getNodeStdout(source, ["--expose-gc"])) as Growth;
}

it("100,000 executes leave memory and files as they were", async () => {
  const runs = `Array.from({ length: 50 }, async (_, n) => {
    const { value } = await sandbox.execute("n + 1", { inputs: { n } });
    if (value !== n + 1) process.exit(1);
  })`;
  const { memory, files } = await growth(runs, 50, [40_000, 60_000], 30);
  expect(files).toBe(0);
  expect(memory).toBeLessThan(30);
});

it("16,000 that fail, exit, write files or are refused leave them too", async () => {
  const runs = `Array.from({ length: 10 }, () => [
    sandbox.execute("print(1)\\n1/0", { onStdout() {} }),
    sandbox.execute("import os; os._exit(3)"),
    sandbox.execute("x = open('a', 'wb').write(bytes(100_000))"),
    sandbox.execute("1", { inputs: { "a b": 1 } }),
  ]).flat()`;
  const { memory, files } = await growth(runs, 40, [8_000, 8_000], 60);
  expect(files).toBe(0);
  expect(memory).toBeLessThan(60);
});
