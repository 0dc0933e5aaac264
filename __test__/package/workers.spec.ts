import { describe, expect, it } from "vitest";
import { getNodeStdout } from "../helpers.js";

/** Runs `main` in a process; `work` is the source of its workers, in which `load` gives the package. */
function withWorkers(work: string, main: string): Promise<string> {
  const source = `
    import { Worker } from "node:worker_threads";
    import { Sandbox } from "@bsull/eryx";
    const work = ${JSON.stringify(`
      import { parentPort, workerData } from "node:worker_threads";
      const load = import("@bsull/eryx");
      ${work}`)};
    const start = (workerData) => new Worker(work, { eval: true, workerData });
    const message = (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    const exit = (worker) => new Promise((resolve) => worker.once("exit", resolve));
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    ${main}`;
  return getNodeStdout(source);
}

const COMPUTE = `load.then(async ({ Sandbox }) => {
  const { value } = await new Sandbox().execute("n * n", { inputs: { n: workerData } });
  parentPort.postMessage(value);
});`;
const LOOP = `load.then(({ Sandbox }) => {
  const sandbox = new Sandbox({ onStdout: () => {} });
  for (let n = 0; n < 5; n++) sandbox.execute("while True: print(1, flush=True)").catch(() => {});
  sandbox.execute("print(1, flush=True)\\nwhile True: pass", { onStdout: () => parentPort.postMessage("up") }).catch(() => {});
});`;

describe("worker threads", () => {
  it("run Python, several at once, beside the main thread", async () => {
    const main = `
      const workers = Array.from({ length: 4 }, (_, n) => start(n + 1));
      const own = new Sandbox().execute("5 * 5");
      const values = await Promise.all(workers.map(message));
      console.log([...values, (await own).value].join());`;
    expect(await withWorkers(COMPUTE, main)).toBe("1,4,9,16,25");
  });

  it("end on their own when their work is done", async () => {
    const main = `
      const workers = [start(1), start(2)];
      console.log((await Promise.all(workers.map(exit))).join());`;
    expect(await withWorkers(COMPUTE, main)).toBe("0,0");
  });

  it("one after the other", async () => {
    const main = `
      let sum = 0;
      for (let n = 0; n < 10; n++) {
        const worker = start(n);
        const [value] = await Promise.all([message(worker), exit(worker)]);
        sum += value;
      }
      console.log(sum);`;
    expect(await withWorkers(COMPUTE, main)).toBe("285");
  });

  it("terminated while Python runs do no harm", async () => {
    const main = `
      for (let round = 0; round < 5; round++) {
        const workers = [start(), start()];
        await Promise.all(workers.map(message));
        await Promise.all(workers.map((worker) => worker.terminate()));
      }
      const { value } = await new Sandbox().execute("6 * 7");
      console.log(value);`;
    expect(await withWorkers(LOOP, main)).toBe("42");
  });

  it("terminated at any moment of their start do no harm", async () => {
    const main = `
      for (let ms = 0; ms < 60; ms += 3) {
        const worker = start();
        worker.on("error", () => {});
        await pause(ms);
        await worker.terminate();
      }
      console.log((await new Sandbox().execute("1")).value);`;
    expect(await withWorkers(LOOP, main)).toBe("1");
  });

  it("terminated give their processors back", async () => {
    const main = `
      const workers = [start(), start()];
      await Promise.all(workers.map(message));
      await Promise.all(workers.map((worker) => worker.terminate()));
      let share = 1;
      for (let tries = 0; share > 0.1 && tries < 100; tries++) {
        const [start, before] = [performance.now(), process.cpuUsage()];
        await pause(200);
        const { user, system } = process.cpuUsage(before);
        share = (user + system) / 1000 / (performance.now() - start);
      }
      console.log(share <= 0.1);`;
    expect(await withWorkers(LOOP, main)).toBe("true");
  });

  it("that exit while Python runs do no harm", async () => {
    const work = `load.then(({ Sandbox }) => {
      new Sandbox().execute("print(1, flush=True)\\nwhile True: pass", { onStdout: () => process.exit(3) }).catch(() => {});
    });`;
    const main = `
      console.log(await exit(start()));
      console.log((await new Sandbox().execute("1")).value);`;
    expect(await withWorkers(work, main)).toBe("3\n1");
  });

  it("that throw while Python runs do no harm", async () => {
    const work = `load.then(({ Sandbox }) => {
      new Sandbox().execute("while True: pass").catch(() => {});
      setTimeout(() => { throw new Error("mine"); }, 50);
    });`;
    const main = `
      const worker = start();
      const ended = exit(worker);
      console.log(await new Promise((resolve) => worker.once("error", (error) => resolve(error.message))));
      await ended;
      console.log((await new Sandbox().execute("1")).value);`;
    expect(await withWorkers(work, main)).toBe("mine\n1");
  });

  it("do not get one another's output", async () => {
    const work = `load.then(async ({ Sandbox }) => {
      let out = "";
      await new Sandbox().execute("for _ in range(200): print(n, end='', flush=True)", {
        inputs: { n: workerData },
        onStdout: (chunk) => { out += chunk; },
      });
      parentPort.postMessage(out === String(workerData).repeat(200));
    });`;
    const main = `
      console.log((await Promise.all([1, 2, 3, 4].map((n) => message(start(n))))).join());`;
    expect(await withWorkers(work, main)).toBe("true,true,true,true");
  });

  it("keep the main thread's runs alive when they end", async () => {
    const main = `
      const own = new Sandbox().execute("import time\\ntime.sleep(0.8)\\n7");
      const worker = start(2);
      await message(worker);
      await worker.terminate();
      console.log((await own).value);`;
    expect(await withWorkers(COMPUTE, main)).toBe("7");
  });

  it("leave no files open behind", async () => {
    const main = `
      import { readdirSync } from "node:fs";
      const count = () => readdirSync("/proc/self/fd").length;
      await exit(start(1));
      const before = count();
      for (let n = 0; n < 5; n++) await exit(start(n));
      console.log(count() - before);`;
    expect(await withWorkers(COMPUTE, main)).toBe("0");
  });
});
