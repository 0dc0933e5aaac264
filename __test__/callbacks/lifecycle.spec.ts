import { describe, expect, it } from "vitest";
import { getNodeStdout, runChild, runNode } from "../helpers.js";

const IMPORT = `
  import { RuntimeLibrary, Sandbox } from "@bsull/eryx";
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const never = () => new Promise(() => {});
`;

/** Runs `main` in a process; `work` is the source of its workers, in which `load` gives the package. */
function withWorkers(work: string, main: string): Promise<string> {
  const source = `${IMPORT}
    import { Worker } from "node:worker_threads";
    const work = ${JSON.stringify(`
      import { parentPort, workerData } from "node:worker_threads";
      const load = import("@bsull/eryx");
      const never = () => new Promise(() => {});
      ${work}`)};
    const start = (workerData) => new Worker(work, { eval: true, workerData });
    const message = (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    const exit = (worker) => new Promise((resolve) => worker.once("exit", resolve));
    ${main}`;
  return getNodeStdout(source);
}

/** A worker that has 100 calls open and says so. */
const OPEN = `load.then(({ Sandbox }) => {
  let open = 0;
  const f = () => {
    if (++open === 100) parentPort.postMessage("up");
    return never();
  };
  const code = "import asyncio\\nawait asyncio.gather(*[f() for _ in range(20)])";
  for (let n = 0; n < 5; n++) new Sandbox({ callbacks: { f } }).execute(code).catch(() => {});
});`;

/** A worker whose Python calls as fast as it can. */
const BUSY = `load.then(({ Sandbox }) => {
  let calls = 0;
  const f = async (n) => {
    if (++calls === 50) parentPort.postMessage("up");
    return n;
  };
  const sandbox = new Sandbox({ callbacks: { f }, resourceLimits: { maxCallbackInvocations: null } });
  const code = "import asyncio\\nwhile True: await asyncio.gather(*[f(i) for i in range(50)])";
  for (let n = 0; n < 3; n++) sandbox.execute(code).catch(() => {});
});`;

describe("worker threads", () => {
  it.each([
    ["calls are open", OPEN, 6],
    ["calls come and go", BUSY, 6],
  ])(
    "terminated while %s do no harm",
    async (_, work, rounds) => {
      const main = `
        for (let round = 0; round < ${rounds}; round++) {
          const workers = [start(), start()];
          await Promise.all(workers.map(message));
          await Promise.all(workers.map((worker) => worker.terminate()));
        }
        const sandbox = new Sandbox({ callbacks: { f: (n) => n + 1 } });
        console.log((await sandbox.execute("await f(41)")).value);`;
      expect(await withWorkers(work, main)).toBe("42");
    },
    60_000,
  );

  it("terminated at any moment do no harm", async () => {
    const main = `
      for (let ms = 0; ms < 80; ms += 4) {
        const worker = start();
        worker.on("error", () => {});
        await pause(ms);
        await worker.terminate();
      }
      console.log((await new Sandbox({ callbacks: { f: () => 1 } }).execute("await f()")).value);`;
    expect(await withWorkers(BUSY, main)).toBe("1");
  });

  it("that are ended by their own callback do no harm", async () => {
    const work = `load.then(({ Sandbox }) => {
      const f = () => process.exit(3);
      new Sandbox({ callbacks: { f } }).execute("await f()").catch(() => {});
    });`;
    const main = `
      console.log((await Promise.all([exit(start()), exit(start())])).join());
      console.log((await new Sandbox({ callbacks: { f: () => 1 } }).execute("await f()")).value);`;
    expect(await withWorkers(work, main)).toBe("3,3\n1");
  });

  it("terminated by the main thread out of a callback do no harm", async () => {
    const work = `load.then(({ Sandbox }) => {
      const f = () => { parentPort.postMessage("now"); for (;;); };
      new Sandbox({ callbacks: { f } }).execute("await f()").catch(() => {});
    });`;
    const main = `
      const worker = start();
      await message(worker);
      console.log(await worker.terminate());
      console.log((await new Sandbox().execute("1")).value);`;
    expect(await withWorkers(work, main)).toBe("1\n1");
  });

  it("whose callback throws outside of the call end with that error", async () => {
    const work = `load.then(({ Sandbox }) => {
      const f = () => { setImmediate(() => { throw new Error("mine"); }); return never(); };
      new Sandbox({ callbacks: { f } }).execute("await f()").catch(() => {});
    });`;
    const main = `
      const worker = start();
      worker.once("error", (error) => console.log(error.message));
      console.log(await exit(worker));`;
    expect(await withWorkers(work, main)).toBe("mine\n1");
  });

  it("end on their own when calls are left unanswered", async () => {
    const work = `load.then(async ({ Sandbox }) => {
      const sandbox = new Sandbox({ callbacks: { f: never } });
      await sandbox.execute("import asyncio\\nt = asyncio.create_task(f())\\nawait asyncio.sleep(0)");
    });`;
    const main = `console.log((await Promise.all([exit(start()), exit(start())])).join());`;
    expect(await withWorkers(work, main)).toBe("0,0");
  });

  it("answer their own calls only", async () => {
    const work = `load.then(async ({ Sandbox }) => {
      const f = async (n) => [workerData, n];
      const code = "import asyncio\\nresult = all([w == me for w, n in await asyncio.gather(*[f(n) for n in range(100)])])";
      const { result } = await new Sandbox({ callbacks: { f } }).execute(code, { inputs: { me: workerData } });
      parentPort.postMessage(result);
    });`;
    const main = `console.log((await Promise.all([1, 2, 3].map((n) => message(start(n))))).join());`;
    expect(await withWorkers(work, main)).toBe("true,true,true");
  });
});

describe("the process", () => {
  it.each([
    [
      "after the end",
      "t = asyncio.create_task(f())\nawait asyncio.sleep(0)",
      "{}",
    ],
    ["after a timeout", "await f()", "{ timeoutMs: 50 }"],
    ["after an abort", "await f()", "{ signal: AbortSignal.timeout(50) }"],
    [
      "after their own timeout",
      "try: await g()\nexcept TimeoutError: pass",
      "{}",
    ],
  ])("exits by itself with calls left %s", async (_, code, options) => {
    const source = `${IMPORT}
      const callbacks = { f: never, g: { fn: never, timeoutMs: 30 } };
      const run = new Sandbox({ callbacks }).execute(${JSON.stringify(`import asyncio\n${code}`)}, ${options});
      run.then(() => console.log("ok"), (error) => console.log(error.code));`;
    expect(await runNode(source)).toMatchObject({ status: 0, stderr: "" });
  });

  it("waits for a run whose call is open, though nothing else is", async () => {
    const source = `${IMPORT}
      let answer;
      const f = () => new Promise((resolve) => { setTimeout(() => resolve(5), 300).unref(); });
      new Sandbox({ callbacks: { f } }).execute("await f()").then(({ value }) => console.log(value));`;
    expect(await getNodeStdout(source)).toBe("5");
  });

  it.each([
    ["at once", "process.exit(7)"],
    ["later", "setTimeout(() => process.exit(7), 20)"],
    ["while others wait", "if (++count === 3) process.exit(7)"],
  ])("may exit in a callback, %s", async (_, action) => {
    const source = `${IMPORT}
      let count = 0;
      const f = () => { ${action}; return never(); };
      const sandbox = new Sandbox({ callbacks: { f } });
      for (let n = 0; n < 3; n++) sandbox.execute("await f()").catch(() => {});`;
    expect(await runNode(source)).toMatchObject({ status: 7, stderr: "" });
  });

  it("survives all that a callback throws, however strict", async () => {
    const source = `${IMPORT}
      const trap = () => { throw new Error("trap"); };
      const thrown = [
        new Error("e"), null, undefined, "s", 1n, Symbol("s"), () => 1, Object.create(null), Object.freeze(new Error("f")),
        new Proxy(new Error("p"), {}), new Proxy({}, { get: trap, getPrototypeOf: trap, has: trap }),
        { get message() { throw 1; } },
      ];
      const callbacks = {
        sync(n) { throw thrown[n]; },
        async: async (n) => { throw thrown[n]; },
        thenable: (n) => ({ ["th" + "en"]: (_, no) => no(thrown[n]) }),
      };
      const code = \`
count = 0
for f in (sync, async_, thenable):
    for n in range(size):
        try: await f(n)
        except CallbackError: count += 1
result = count\`;
      const { async: async_, ...others } = callbacks;
      const sandbox = new Sandbox({ callbacks: { ...others, async_ } });
      const { result } = await sandbox.execute(code, { inputs: { size: thrown.length } });
      console.log(result === 3 * thrown.length);`;
    for (const flag of ["strict", "throw", "warn-with-error-code"])
      expect(await runNode(source, [`--unhandled-rejections=${flag}`])).toEqual(
        {
          status: 0,
          stdout: "true",
          stderr: "",
        },
      );
  });

  it("fails by what a callback throws outside of its call, as by any other", async () => {
    const source = `${IMPORT}
      const f = () => { setImmediate(() => { throw new Error("mine"); }); return never(); };
      await new Sandbox({ callbacks: { f } }).execute("await f()");`;
    const { status, stderr } = await runNode(source);
    expect(status).toBe(1);
    expect(stderr).toContain("Error: mine");
  });

  it("tells what was thrown though its directory is gone", async () => {
    const source = `${IMPORT}
      import { mkdtempSync, rmdirSync } from "node:fs";
      import { tmpdir } from "node:os";
      const directory = mkdtempSync(tmpdir() + "/gone-");
      process.chdir(directory);
      rmdirSync(directory);
      const sandbox = new Sandbox({ callbacks: { f: () => { throw new RangeError("mine"); } } });
      await sandbox.execute("await f()").catch(({ message }) => console.log(message));`;
    expect(await getNodeStdout(source)).toBe("CallbackError: RangeError: mine");
  });

  it("that uses require has callbacks and libraries", async () => {
    const code = `
      const { RuntimeLibrary, Sandbox } = require("@bsull/eryx");
      const library = new RuntimeLibrary({ callbacks: { f: async (n) => n + 1 }, python: "async def g(n): return await f(n)" });
      new Sandbox({ libraries: [library] }).execute("await g(41)").then(({ value }) => console.log(value));`;
    const result = await runChild(process.execPath, [
      "--no-warnings",
      "-e",
      code,
    ]);
    expect(result).toEqual({ status: 0, stdout: "42", stderr: "" });
  });
});

describe("pressure", () => {
  it("of the garbage collector with calls open does no harm", async () => {
    const source = `${IMPORT}
      let answered = 0;
      for (let round = 0; round < 15; round++) {
        const runs = Array.from({ length: 6 }, (_, n) => {
          const f = async (data) => { gc(); await pause(n % 3); answered++; return data.map((byte) => byte + 1); };
          const sandbox = new Sandbox({ callbacks: { f, lost: never } });
          const code = "import asyncio\\nt = asyncio.create_task(lost())\\nresult = await asyncio.gather(*[f(data) for _ in range(4)])";
          return sandbox.execute(code, { inputs: { data: new Uint8Array(5000).fill(n) } });
        });
        gc();
        (await Promise.all(runs)).forEach(({ result }, n) => {
          if (!result.every((data) => data.length === 5000 && data[4999] === n + 1)) throw new Error("bytes");
        });
        gc();
      }
      console.log(answered);`;
    expect(await getNodeStdout(source, ["--expose-gc"])).toBe("360");
  });

  it("of closing in any order settles every promise and aborts every call", async () => {
    const source = `${IMPORT}
      const codes = {};
      let started = 0, aborted = 0;
      for (let round = 0; round < 30; round++) {
        const fn = (_, { signal }) => {
          started++;
          signal.onabort = () => aborted++;
          return never();
        };
        const sandboxes = Array.from({ length: 4 }, () => new Sandbox({ callbacks: { f: { fn } } }));
        const ends = Promise.allSettled(sandboxes.flatMap((sandbox) => [
          sandbox.execute("import asyncio\\nawait asyncio.gather(f(), f())"),
          sandbox.execute("await f()"),
        ]));
        if (round % 2) await pause(round % 5);
        sandboxes[2].close();
        await sandboxes[1].close();
        await Promise.all(sandboxes.reverse().map((sandbox) => sandbox.close()));
        for (const { reason } of await ends) codes[reason?.code] = (codes[reason?.code] ?? 0) + 1;
      }
      await pause(10);
      const sum = Object.values(codes).reduce((a, b) => a + b);
      const known = Object.keys(codes).every((code) => ["ERYX_CANCELLED", "ERYX_CLOSED"].includes(code));
      console.log(sum, known, started > 0, started === aborted);`;
    expect(await getNodeStdout(source, ["--expose-gc"])).toBe(
      "240 true true true",
    );
  });

  it("of thousands of runs leaves memory, files and handles as they were", async () => {
    const source = `${IMPORT}
      import { readdirSync } from "node:fs";
      const callbacks = {
        f: async (n) => n + 1,
        bad: () => { throw new Error("no"); },
        lost: never,
        checked: { fn: ({ n }) => n, schema: { properties: { n: { type: "integer" } } } },
      };
      const library = new RuntimeLibrary({ python: "async def g(n): return await f(n)" });
      const sandbox = new Sandbox({ callbacks, libraries: [library] });
      const code = \`
import asyncio
t = asyncio.create_task(lost())
try: await bad()
except CallbackError: pass
result = await g(n) + await checked(n)\`;
      async function work(count) {
        for (let done = 0; done < count; done += 10) {
          const runs = Array.from({ length: 10 }, (_, n) => sandbox.execute(code, { inputs: { n } }));
          (await Promise.all(runs)).forEach(({ result }, n) => { if (result !== 2 * n + 1) throw new Error("mixed up"); });
        }
      }
      function measure() {
        gc();
        const handles = process.getActiveResourcesInfo().filter((name) => name !== "Immediate");
        return [process.memoryUsage.rss() / 2 ** 20, readdirSync("/proc/self/fd").length, handles.length];
      }
      await work(2000);
      // What leaks does so each time.
      let grown;
      for (let tries = 0; tries < 5; tries++) {
        const before = measure();
        await work(3000);
        grown = measure().map((value, index) => value - before[index]);
        if (grown[0] < 30) break;
      }
      console.log(JSON.stringify(grown));`;
    const [memory, files, handles] = JSON.parse(
      await getNodeStdout(source, ["--expose-gc"]),
    );
    expect([files, handles]).toEqual([0, 0]);
    expect(memory).toBeLessThan(30);
  });

  it("of 60 MB of arguments at once does no harm", async () => {
    const source = `${IMPORT}
      const f = async (data) => {
        await new Promise(setImmediate);
        return data.length;
      };
      const sandbox = new Sandbox({ callbacks: { f } });
      const code = "import asyncio\\nresult = sum(await asyncio.gather(*[f(bytes(200_000)) for _ in range(300)]))";
      console.log((await sandbox.execute(code)).result);`;
    expect(await getNodeStdout(source)).toBe("60000000");
  });
});
