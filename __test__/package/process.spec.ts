import { describe, expect, it } from "vitest";
import { getNodeStdout, runChild, runNode } from "../helpers.js";

const IMPORT = 'import { Sandbox } from "@bsull/eryx";\n';

/** A module that reads outside of its memory. */
const TRAP = `
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1,
  7, 8, 1, 4, 114, 101, 97, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11]);
const { read } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
function trap() {
  try { return read(2 ** 20); } catch (error) { return error.constructor.name + ": " + error.message; }
}
function overflow() {
  try { return (function f() { return f() + 1; })(); } catch (error) { return error.constructor.name; }
}
`;
const TRAPPED = "RuntimeError: memory access out of bounds";

describe("the process", () => {
  it("exits on its own when all work is done", async () => {
    const source = `${IMPORT}
      const { stdout } = await new Sandbox().execute("print(1)");
      console.log(stdout);`;
    expect(await getNodeStdout(source)).toBe("1");
  });

  it("is not kept alive by an import or a sandbox", async () => {
    expect(await getNodeStdout(`${IMPORT} new Sandbox(); new Sandbox();`)).toBe(
      "",
    );
  });

  it("is not kept alive by an error, a timeout, a cancelled or a refused run", async () => {
    const source = `${IMPORT}
      const sandbox = new Sandbox();
      const codes = [];
      const note = (error) => codes.push(error.code);
      await sandbox.execute("1/0").catch(note);
      await sandbox.execute("while True: pass", { timeoutMs: 50 }).catch(note);
      await sandbox.execute("while True: pass", { signal: AbortSignal.timeout(50) }).catch(note);
      await sandbox.execute(1).catch(note);
      await sandbox.execute("1", { inputs: { "a b": 1 } }).catch(note);
      console.log(codes.join());`;
    expect(await getNodeStdout(source)).toBe(
      "ERYX_EXECUTION,ERYX_TIMEOUT,ERYX_CANCELLED,ERYX_INVALID_ARGUMENT,ERYX_INVALID_ARGUMENT",
    );
  });

  it("waits for what runs though nobody awaits it", async () => {
    const source = `${IMPORT}
      new Sandbox().execute("import time; time.sleep(0.3)").then(() => console.log("done"));`;
    expect(await getNodeStdout(source)).toBe("done");
  });

  it("may exit while work runs", async () => {
    const source = `${IMPORT}
      const sandbox = new Sandbox();
      for (let n = 0; n < 20; n++) sandbox.execute("while True: pass").catch(() => {});
      setTimeout(() => process.exit(7), 100);`;
    expect(await runNode(source)).toMatchObject({ status: 7, stderr: "" });
  });

  it("may exit in a handler", async () => {
    const source = `${IMPORT}
      await new Sandbox().execute("print(1, flush=True)\\nwhile True: pass", { onStdout: () => process.exit(5) });`;
    expect(await runNode(source)).toMatchObject({ status: 5, stderr: "" });
  });

  it("ends by a signal while work runs", async () => {
    const source = `${IMPORT}
      new Sandbox().execute("while True: pass").catch(() => {});
      setTimeout(() => process.kill(process.pid, "SIGTERM"), 100);`;
    expect(await runNode(source)).toMatchObject({ status: "SIGTERM" });
  });

  it("writes nothing that Python writes", async () => {
    const source = `${IMPORT}
      const code = "import os, sys\\nprint('out')\\nprint('err', file=sys.stderr)\\nos.write(1, b'x')\\nos.write(2, b'y')";
      await new Sandbox().execute(code);`;
    expect(await runNode(source)).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
  });

  it("keeps its signal handlers, umask, directory and environment", async () => {
    const source = `${IMPORT}
      const state = () => JSON.stringify([process.cwd(), process.umask(), Object.keys(process.env).length, process.listenerCount("SIGINT")]);
      const before = state();
      await new Sandbox({ env: { A: "1" } }).execute("import os\\nos.environ['B'] = '2'\\nos.chdir('/tmp')");
      console.log(before === state());`;
    expect(await getNodeStdout(source)).toBe("true");
  });

  it("starts others that work too", async () => {
    const source = `${IMPORT}
      import { fork } from "node:child_process";
      import { writeFileSync } from "node:fs";
      await new Sandbox().execute("1");
      const code = \`import("@bsull/eryx").then(async ({ Sandbox }) => console.log((await new Sandbox().execute("6*7")).value))\`;
      const { spawnSync } = await import("node:child_process");
      const { stdout, status } = spawnSync(process.execPath, ["-e", code]);
      console.log(String(stdout).trim(), status);`;
    expect(await getNodeStdout(source)).toBe("42 0");
  });
});

describe("loading", () => {
  it("by import", async () => {
    expect(
      await getNodeStdout(
        `${IMPORT} console.log((await new Sandbox().execute("1")).value);`,
      ),
    ).toBe("1");
  });

  it("by require", async () => {
    const code =
      'const { Sandbox } = require("@bsull/eryx"); new Sandbox().execute("1").then(({ value }) => console.log(value));';
    const result = await runChild(process.execPath, [
      "--no-warnings",
      "-e",
      code,
    ]);
    expect(result).toEqual({ status: 0, stdout: "1", stderr: "" });
  });

  it("by import() in CommonJS", async () => {
    const code =
      'import("@bsull/eryx").then(async ({ Sandbox }) => console.log((await new Sandbox().execute("1")).value));';
    const result = await runChild(process.execPath, ["-e", code]);
    expect(result).toEqual({ status: 0, stdout: "1", stderr: "" });
  });

  it("twice, under two names of the module, gives two that work", async () => {
    const source = `
      const a = await import("./index.js");
      const b = await import("./index.js?again");
      const values = await Promise.all([new a.Sandbox().execute("1"), new b.Sandbox().execute("2")]);
      console.log(values.map(({ value }) => value).join());`;
    expect(await getNodeStdout(source)).toBe("1,2");
  });

  it("from a context of --experimental-vm-modules", async () => {
    const source = `
      import vm from "node:vm";
      const eryx = await import("@bsull/eryx");
      const context = vm.createContext({ console });
      const names = Object.keys(eryx);
      const linked = new vm.SyntheticModule(names, function () {
        for (const name of names) this.setExport(name, eryx[name]);
      }, { context });
      const main = new vm.SourceTextModule(\`
        import { Sandbox } from "@bsull/eryx";
        const inputs = { a: { b: [1n] }, data: new Uint8Array([1, 2]) };
        const { result } = await new Sandbox({ env: { A: "1" } }).execute("result = [a, len(data)]", { inputs, stdin: new Uint8Array(1) });
        console.log(JSON.stringify(result));
        try { await new Sandbox().execute("1/0"); } catch (error) { console.log(error.message); }
      \`, { context });
      await main.link(() => linked);
      await main.evaluate();`;
    const flags = ["--experimental-vm-modules", "--no-warnings"];
    expect(await getNodeStdout(source, flags)).toBe(
      '[{"b":[1]},2]\nZeroDivisionError: division by zero',
    );
  });

  it("without its runtime is an InitializationError that names the place", async () => {
    const source = `${IMPORT}
      try { new Sandbox(); } catch (error) { console.log(error.code, error.message); }`;
    const args = ["--input-type=module", "--eval", source];
    const env = { ERYX_RUNTIME_DIR: "/nonexistent/runtime" };
    const { stdout } = await runChild(process.execPath, args, env);
    expect(stdout).toMatch(/^ERYX_INITIALIZATION .*\/nonexistent\/runtime/);
  });
});

describe("V8's own wasm traps", () => {
  it("stay errors before, while and after Python ran", async () => {
    const source = `${IMPORT}${TRAP}
      const seen = [trap(), overflow()];
      const sandbox = new Sandbox();
      seen.push(trap());
      await sandbox.execute("1");
      seen.push(trap(), overflow());
      const running = sandbox.execute("while True: pass", { timeoutMs: 200 }).catch((error) => error.code);
      for (let n = 0; n < 1000; n++) if (trap() !== seen[0]) throw new Error("no trap");
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen.push(trap(), await running, trap());
      await sandbox.execute("def f(): f()\\nf()").catch(() => {});
      await sandbox.execute("x = bytearray(10**9)").catch(() => {});
      seen.push(trap(), overflow());
      console.log(seen.join("|"));`;
    expect(await getNodeStdout(source)).toBe(
      [
        TRAPPED,
        "RangeError",
        TRAPPED,
        TRAPPED,
        "RangeError",
        TRAPPED,
        "ERYX_TIMEOUT",
        TRAPPED,
        TRAPPED,
        "RangeError",
      ].join("|"),
    );
  });

  it("stay errors in worker threads", async () => {
    const source = `${IMPORT}
      import { Worker } from "node:worker_threads";
      const trap = ${JSON.stringify(TRAP)};
      const work = trap + \`
        import { parentPort } from "node:worker_threads";
        import { Sandbox } from "@bsull/eryx";
        const seen = [trap()];
        await new Sandbox().execute("1");
        for (let n = 0; n < 100; n++) seen.push(trap());
        parentPort.postMessage([...new Set(seen)].join("|"));\`;
      await new Sandbox().execute("1");
      const ends = Array.from({ length: 3 }, () => new Promise((resolve, reject) => {
        const worker = new Worker(work, { eval: true });
        worker.on("message", resolve).on("error", reject);
      }));
      console.log([...new Set(await Promise.all(ends))].join("|"));`;
    expect(await getNodeStdout(source)).toBe(TRAPPED);
  });
});

describe("little address space", () => {
  const limited = (kilobytes: number, source: string) => {
    const script = `ulimit -v ${kilobytes} && exec "$0" "$@"`;
    const args = [
      "-c",
      script,
      process.execPath,
      "--input-type=module",
      "--eval",
      source,
    ];
    return runChild("/bin/sh", args);
  };

  it("too small for one run is an InitializationError that says so", async () => {
    const source = `${IMPORT}
      const errors = [];
      for (let n = 0; n < 3; n++) await (async () => new Sandbox().execute("1"))().catch((e) => errors.push(e));
      console.log(errors.length, errors[0].name, errors[0].code, errors[0].message);`;
    const { status, stdout } = await limited(3_000_000, source);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^3 InitializationError ERYX_INITIALIZATION no address space for a sandbox: .*ulimit -v/,
    );
  });

  it("that holds one run serves one after the other", async () => {
    const source = `${IMPORT}
      const sandbox = new Sandbox();
      let sum = 0;
      for (let n = 0; n < 20; n++) sum += (await sandbox.execute("n", { inputs: { n } })).value;
      console.log(sum);`;
    const { stdout, stderr } = await limited(8_000_000, source);
    expect([stdout, stderr]).toEqual(["190", ""]);
  });

  it("that holds one run refuses or delays others at once, without a crash", async () => {
    const source = `${IMPORT}
      const sandbox = new Sandbox();
      const all = await Promise.allSettled(Array.from({ length: 10 }, () => sandbox.execute("import time; time.sleep(0.05); 1")));
      const good = all.filter(({ status, value, reason }) => status === "fulfilled" ? value.value === 1 : reason.code === "ERYX_INITIALIZATION");
      console.log(good.length, all.some(({ status }) => status === "fulfilled"));`;
    const { stdout, stderr } = await limited(8_000_000, source);
    expect([stdout, stderr]).toEqual(["10 true", ""]);
  });
});

describe("pressure", () => {
  it("of the garbage collector does no harm", async () => {
    const source = `${IMPORT}
      let out = 0;
      for (let round = 0; round < 60; round++) {
        const runs = [];
        for (let n = 0; n < 10; n++) {
          const sandbox = new Sandbox({ onStdout: () => { out++; gc(); } });
          const inputs = { data: new Uint8Array(10_000).fill(n) };
          runs.push(sandbox.execute("print(1)\\nresult = data", { inputs, stdin: "x".repeat(1000) }));
          if (n % 3 === 0) new Sandbox().executeCancellable("while True: pass").cancel();
          if (n % 4 === 0) sandbox.execute("1", { inputs: { "a b": 1 } }).catch(() => {});
        }
        gc();
        const results = await Promise.all(runs);
        gc();
        results.forEach(({ result }, n) => { if (result.length !== 10_000 || result[9999] !== n) throw new Error("bytes"); });
      }
      console.log(out);`;
    expect(await getNodeStdout(source, ["--expose-gc"])).toBe("600");
  });

  it("of closing in any order does no harm", async () => {
    const source = `${IMPORT}
      const codes = {};
      for (let round = 0; round < 50; round++) {
        const sandboxes = Array.from({ length: 5 }, () => new Sandbox());
        const runs = sandboxes.flatMap((sandbox, n) => [
          sandbox.execute("while True: pass"),
          sandbox.execute("1"),
          sandbox.executeCancellable("import time; time.sleep(9)").wait(),
        ]);
        const ends = Promise.allSettled(runs);
        sandboxes[3].close();
        await sandboxes[1].close();
        sandboxes[1].close();
        await Promise.all(sandboxes.reverse().map((sandbox) => sandbox.close()));
        for (const { status, reason } of await ends) {
          const key = status === "fulfilled" ? "ok" : reason.code;
          codes[key] = (codes[key] ?? 0) + 1;
        }
        gc();
      }
      const sum = Object.values(codes).reduce((a, b) => a + b);
      console.log(sum, Object.keys(codes).every((key) => ["ok", "ERYX_CANCELLED", "ERYX_CLOSED"].includes(key)));`;
    expect(await getNodeStdout(source, ["--expose-gc"])).toBe("750 true");
  });

  it("of buffers that are changed or detached after the call does no harm", async () => {
    const source = `${IMPORT}
      const sandbox = new Sandbox();
      const data = new Uint8Array(100_000).fill(1);
      const promise = sandbox.execute("result = [sum(data), len(__import__('sys').stdin.buffer.read())]", { inputs: { data }, stdin: data });
      structuredClone(data, { transfer: [data.buffer] });
      console.log((await promise).result.join());
      const shared = new Uint8Array(new SharedArrayBuffer(10)).fill(2);
      console.log((await sandbox.execute("sum(data)", { inputs: { data: shared } })).value);`;
    expect(await getNodeStdout(source)).toBe("100000,100000\n20");
  });
});
