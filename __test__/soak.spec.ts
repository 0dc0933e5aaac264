import { expect, it } from "vitest";
import { nodePrints } from "./helpers.js";

const SOURCE = `
  import { readdirSync } from "node:fs";
  import { Sandbox } from "@bsull/eryx";
  const sandbox = new Sandbox();
  const measure = () => {
    gc();
    return { rss: process.memoryUsage.rss() / 2 ** 20, fds: readdirSync("/proc/self/fd").length };
  };
  let wrong = 0;
  async function run(count) {
    for (let done = 0; done < count; done += 50) {
      const runs = Array.from({ length: 50 }, (_, n) => sandbox.execute("n + 1", { inputs: { n } }));
      (await Promise.all(runs)).forEach(({ value }, n) => { if (value !== n + 1) wrong++; });
    }
  }
  await run(20_000);
  const before = measure();
  await run(80_000);
  const after = measure();
  console.log(JSON.stringify({ wrong, grown: after.rss - before.rss, fds: after.fds - before.fds }));`;

it("100,000 executes leave memory and files as they were", async () => {
  const result = JSON.parse(await nodePrints(SOURCE, ["--expose-gc"]));
  expect(result.wrong).toBe(0);
  expect(result.fds).toBe(0);
  expect(result.grown).toBeLessThan(30);
}, 60_000);

const FAILING = SOURCE.replace(
  /async function run[^]*?\n {2}}\n/,
  `async function run(count) {
    for (let done = 0; done < count; done += 40) {
      await Promise.allSettled(Array.from({ length: 10 }, () => [
        sandbox.execute("print(1)\\n1/0", { onStdout() {} }),
        sandbox.execute("import os; os._exit(3)"),
        sandbox.execute("x = open('a', 'wb').write(bytes(100_000))"),
        sandbox.execute("1", { inputs: { "a b": 1 } }),
      ]).flat());
    }
  }
`,
)
  .replace("20_000", "8_000")
  .replace("80_000", "8_000");

it("16,000 that fail, exit or write files leave memory and files as they were", async () => {
  const result = JSON.parse(await nodePrints(FAILING, ["--expose-gc"]));
  expect(result.fds).toBe(0);
  expect(result.grown).toBeLessThan(30);
}, 60_000);
