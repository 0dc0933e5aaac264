import { describe, expect, it } from "vitest";
import {
  InitializationError,
  ResourceLimitError,
  type ResourceLimits,
  Sandbox,
} from "../../index.js";
import {
  catchArgumentError,
  catchRejection,
  getNodeStdout,
  run,
} from "../helpers.js";

const MiB = 1024 * 1024;
const limited = (resourceLimits: ResourceLimits) =>
  new Sandbox({ resourceLimits });

describe("maxMemoryBytes", () => {
  it("is a MemoryError in Python that can be caught", async () => {
    const code =
      "try:\n    x = bytearray(10**9)\nexcept MemoryError:\n    print('caught')";
    expect((await run(code)).stdout).toBe("caught");
  });

  it("not caught, is an ExecutionError", async () => {
    const error = await catchRejection(run("x = bytearray(10**9)"));
    expect(error).toMatchObject({
      code: "ERYX_EXECUTION",
      pythonType: "MemoryError",
    });
  });

  it.each([
    "l = []\nwhile True: l.append(bytearray(100_000))",
    "l = []\nwhile True: l.append(len(l))",
    "s = 'x'\nwhile True: s += s",
    "d = {}\nwhile True: d[len(d)] = None",
    "def f(x): return f([x] * 1000 + [x])\nl = list(range(10**8))",
    "x = 1 << 10**9",
    "x = '%*d' % (10**9, 1)",
    "import itertools\nlist(itertools.permutations(range(12)))",
  ])("stops %j within the memory of the host", async (code) => {
    const source = `
      import { Sandbox } from "@bsull/eryx";
      const sandbox = new Sandbox();
      await sandbox.execute("1");
      const before = process.memoryUsage.rss();
      let peak = before;
      const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 2);
      const error = await sandbox.execute(${JSON.stringify(code)}).catch((e) => e);
      clearInterval(timer);
      peak = Math.max(peak, process.memoryUsage.rss());
      console.log(JSON.stringify([error.pythonType, (peak - before) / 2 ** 20]));`;
    const [type, grown] = JSON.parse(await getNodeStdout(source));
    expect(type).toBe("MemoryError");
    expect(grown).toBeLessThan(128 + 64);
  });

  it("leaves room for what follows once the memory is freed", async () => {
    const code = `
for _ in range(20):
    x = None
    x = bytearray(50_000_000)
result = len(x)`;
    expect((await run(code)).result).toBe(50_000_000);
  });

  it("does not touch the next run", async () => {
    await catchRejection(
      run("l = []\nwhile True: l.append(bytearray(100_000))"),
    );
    expect((await run("x = bytearray(50_000_000)\nlen(x)")).value).toBe(
      50_000_000,
    );
  });

  it("is 128 MiB by default and larger if said so", async () => {
    const code = "x = bytearray(300_000_000)\nlen(x)";
    expect(await catchRejection(run(code))).toMatchObject({
      pythonType: "MemoryError",
    });
    const result = await limited({ maxMemoryBytes: 400 * MiB }).execute(code);
    expect(result.value).toBe(300_000_000);
    expect(result.peakMemoryBytes).toBeGreaterThan(300_000_000);
  });

  it("null gives gigabytes", async () => {
    const sandbox = limited({ maxMemoryBytes: null });
    const code = "x = bytearray(1_500_000_000)\nlen(x)";
    expect((await sandbox.execute(code)).value).toBe(1_500_000_000);
  });

  it("below what the interpreter takes is an InitializationError that names the floor", () => {
    let error: unknown;
    try {
      limited({ maxMemoryBytes: MiB });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(InitializationError);
    const { code, message } = error as InitializationError;
    expect(code).toBe("ERYX_INITIALIZATION");
    expect(message).toMatch(
      /^maxMemoryBytes: 1048576 bytes are less than the \d{8} that the interpreter itself takes$/,
    );
  });

  it("at the floor runs", async () => {
    const code = "limit";
    const floor = (await run(code, { inputs: { limit: 1 } })).peakMemoryBytes;
    const sandbox = limited({ maxMemoryBytes: floor + MiB });
    expect((await sandbox.execute("1 + 1")).value).toBe(2);
  });
});

describe("maxFuel", () => {
  const code = "x = sum(i * i for i in range(1000))";
  const metered = limited({ maxFuel: 10n ** 12n });

  it("counts the same for the same code", async () => {
    const first = await metered.execute(code);
    const again = await metered.execute(code);
    const others = await Promise.all([
      metered.execute(code),
      metered.execute(code),
    ]);
    expect(first.fuelConsumed).toBeTypeOf("bigint");
    expect(first.fuelConsumed).toBeGreaterThan(10_000n);
    for (const { fuelConsumed } of [again, ...others])
      expect(fuelConsumed).toBe(first.fuelConsumed);
  });

  it("counts the same in another process", async () => {
    const source = `
        import { Sandbox } from "@bsull/eryx";
        const sandbox = new Sandbox({ resourceLimits: { maxFuel: 10n ** 12n } });
        console.log(String((await sandbox.execute(${JSON.stringify(code)})).fuelConsumed));`;
    const { fuelConsumed } = await metered.execute(code);
    expect(await getNodeStdout(source)).toBe(String(fuelConsumed));
  });

  it("counts more for more work", async () => {
    const little = await metered.execute("for i in range(100): pass");
    const much = await metered.execute("for i in range(10_000): pass");
    expect(much.fuelConsumed).toBeGreaterThan(little.fuelConsumed as bigint);
  });

  it("counts the same for the same inputs and stdin", async () => {
    const options = () => ({ inputs: { a: [1, 2] }, stdin: "x\n" });
    const source = "result = [a, input()]";
    const first = await metered.execute(source, options());
    const again = await metered.execute(source, options());
    expect(again.fuelConsumed).toBe(first.fuelConsumed);
  });

  it("gone over is a ResourceLimitError", async () => {
    const sandbox = limited({ maxFuel: 500_000_000 });
    const error = await catchRejection<ResourceLimitError>(
      sandbox.execute("print('a', flush=True)\nwhile True: pass"),
    );
    expect(error).toBeInstanceOf(ResourceLimitError);
    expect(error).toMatchObject({
      code: "ERYX_RESOURCE_LIMIT",
      limit: "maxFuel",
      message: "execution went over the limit maxFuel",
      stdout: "a",
    });
    expect((await sandbox.execute("1")).value).toBe(1);
  });

  it("of too little for the start is a ResourceLimitError as well", async () => {
    const error = await catchRejection<ResourceLimitError>(
      limited({ maxFuel: 1 }).execute("1"),
    );
    expect(error.limit).toBe("maxFuel");
  });

  it("does not keep the deadline from working", async () => {
    const error = await catchRejection(
      metered.execute("while True: pass", { timeoutMs: 200 }),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
  });
});

describe("maxVfsBytes", () => {
  it("is ENOSPC in Python, and what was there stays", async () => {
    const code = `
import errno, os
with open("a", "wb") as f: f.write(b"x" * 1000)
try:
    with open("b", "wb") as f:
        while True:
            f.write(b"x" * 100_000)
            f.flush()
except OSError as e:
    result = [errno.errorcode[e.errno], os.path.getsize("a")]
os.remove("b")
with open("c", "wb") as f: f.write(b"x" * 500_000)`;
    const sandbox = limited({ maxVfsBytes: MiB });
    expect((await sandbox.execute(code)).result).toEqual(["ENOSPC", 1000]);
  });

  it("counts names and directories", async () => {
    const sandbox = limited({ maxVfsBytes: MiB });
    const code = `
import errno, os
try:
    for i in range(1_000_000): os.mkdir(f"directory-{i}")
except OSError as e:
    result = [errno.errorcode[e.errno], i]`;
    const [name, count] = (await sandbox.execute(code)).result as [
      string,
      number,
    ];
    expect(name).toBe("ENOSPC");
    expect(count).toBeLessThan(100_000);
  });

  it("counts empty files and links", async () => {
    const sandbox = limited({ maxVfsBytes: 100_000 });
    for (const call of [
      'open(f"f{i}", "w").close()',
      'os.symlink("x" * 500, f"l{i}")',
    ]) {
      const code = `import errno, os\ntry:\n    for i in range(1_000_000): ${call}\nexcept OSError as e:\n    result = errno.errorcode[e.errno]`;
      expect((await sandbox.execute(code)).result).toBe("ENOSPC");
    }
  });

  it("counts holes that are never written as nothing", async () => {
    const sandbox = limited({ maxVfsBytes: MiB });
    const code = `
import os
with open("a", "wb") as f:
    f.seek(10**12)
    f.write(b"x")
with open("a", "rb") as f:
    start = f.read(3)
    f.seek(10**12)
    result = [os.path.getsize("a"), start, f.read()]`;
    expect((await sandbox.execute(code)).result).toEqual([
      10 ** 12 + 1,
      new Uint8Array(3),
      new Uint8Array([120]),
    ]);
  });

  it("is 64 MiB by default", async () => {
    const code =
      'with open("a", "wb") as f:\n    for _ in range(n): f.write(bytes(1_000_000))';
    expect((await run(code, { inputs: { n: 60 } })).stdout).toBe("");
    const error = await catchRejection(run(code, { inputs: { n: 68 } }));
    expect(error.message).toMatch(/^OSError: .*No space left on device$/);
  });
});

describe("limits of one sandbox", () => {
  it("do not touch those of another", async () => {
    const small = limited({ maxMemoryBytes: 64 * MiB, maxOutputBytes: 1 });
    const large = limited({ maxMemoryBytes: 256 * MiB });
    const code = "x = bytearray(100_000_000)\nprint(len(x))";
    const [error, result] = await Promise.all([
      catchRejection(small.execute(code)),
      large.execute(code),
    ]);
    expect(error).toMatchObject({ pythonType: "MemoryError" });
    expect(result.stdout).toBe("100000000");
  });

  it("are copied when it is made", async () => {
    const resourceLimits: ResourceLimits = { maxOutputBytes: 3 };
    const sandbox = limited(resourceLimits);
    resourceLimits.maxOutputBytes = 1;
    expect((await sandbox.execute("print(12345)")).stdout).toBe("123");
    expect(
      await catchArgumentError(() => limited({ maxOutputBytes: -1 })),
    ).toMatch(/-1$/);
  });
});
