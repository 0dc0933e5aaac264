import { describe, expect, it } from "vitest";
import {
  CancelledError,
  EryxError,
  ExecutionError,
  type ExecutionRecord,
  InitializationError,
  PackageError,
  PoolError,
  ResourceLimitError,
  Sandbox,
  type SandboxOptions,
  Session,
  SnapshotError,
  SuspendedError,
  SuspendExecution,
  TimeoutError,
} from "../../index.js";
import { catchRejection } from "../helpers.js";

const RECORD = [
  "stdout",
  "stderr",
  "stdoutBytes",
  "stderrBytes",
  "outputTruncated",
  "warnings",
  "durationMs",
  "callbackInvocations",
  "peakMemoryBytes",
];
const PRINTS =
  "import os\nawait f()\nos.write(1, b'out\\xff' + bytes(200))\nos.write(2, b'err')\n";
const options: SandboxOptions = {
  callbacks: {
    f: () => 1,
    stop: () => {
      throw new SuspendExecution();
    },
  },
  resourceLimits: { maxOutputBytes: 100 },
};
const controller = () => {
  const made = new AbortController();
  setTimeout(() => made.abort(), 300);
  return made.signal;
};

/** What every execution with PRINTS before its end has to leave. */
function check(record: ExecutionRecord) {
  expect(Object.keys(Object.getOwnPropertyDescriptors(record))).toEqual(
    expect.arrayContaining(RECORD),
  );
  expect(record.stdout.startsWith("out\ufffd\0")).toBe(true);
  expect(record.stdoutBytes).toHaveLength(100);
  expect(record.stdoutBytes[3]).toBe(0xff);
  expect(record).toMatchObject({
    stderr: "",
    outputTruncated: true,
    warnings: [],
    callbackInvocations: 1,
  });
  expect(record.stderrBytes).toEqual(new Uint8Array(0));
  expect(record.durationMs).toBeGreaterThan(0);
  expect(record.peakMemoryBytes).toBeGreaterThan(2 ** 20);
  expect(record.fuelConsumed).toBeUndefined();
}

describe.each([
  ["Sandbox", () => new Sandbox(options)],
  ["Session", () => new Session(options)],
])("an execution of a %s leaves the same record", (_, make) => {
  it("on a result", async () => {
    check(await make().execute(`${PRINTS}1`));
  });

  it.each<[string, typeof EryxError, string, object]>([
    ["ExecutionError", ExecutionError, "1/0", {}],
    ["ExecutionError of os._exit", ExecutionError, "os._exit(3)", {}],
    ["TimeoutError", TimeoutError, "while True: pass", { timeoutMs: 300 }],
    [
      "TimeoutError of code that does not end",
      TimeoutError,
      "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
      { timeoutMs: 300 },
    ],
    [
      "CancelledError",
      CancelledError,
      "import time\ntime.sleep(60)",
      { signal: controller },
    ],
    ["SuspendedError", SuspendedError, "await stop()", {}],
  ])("on a %s", async (_, Class, end, more) => {
    const given = Object.fromEntries(
      Object.entries(more).map(([name, value]) => [
        name,
        typeof value === "function" ? value() : value,
      ]),
    );
    const error = await catchRejection(make().execute(PRINTS + end, given));
    expect(error).toBeInstanceOf(Class);
    const calls = Class === SuspendedError ? 2 : 1;
    check(
      Object.defineProperty(error, "callbackInvocations", {
        value: error.callbackInvocations - calls + 1,
      }),
    );
  });
});

it("fuel is on results and errors alike", async () => {
  const sandbox = new Sandbox({ resourceLimits: { maxFuel: 2_000_000_000 } });
  const good = await sandbox.execute("x = 1");
  const bad = await catchRejection(sandbox.execute("x = 1\n1/0"));
  expect(good.fuelConsumed).toBeGreaterThan(0n);
  expect(bad.fuelConsumed).toBeGreaterThan(good.fuelConsumed!);
  const over = await catchRejection<ResourceLimitError>(
    new Sandbox({ resourceLimits: { maxFuel: 50_000_000 } }).execute(
      "while True: pass",
    ),
  );
  expect(over).toMatchObject({ limit: "maxFuel", fuelConsumed: 50_000_000n });
});

it("memory that was used is on an error", async () => {
  const code = "x = bytearray(60 << 20)\n1/0";
  const error = await catchRejection(new Sandbox().execute(code));
  expect(error.peakMemoryBytes).toBeGreaterThan(60 << 20);
});

it("nothing ran: it is empty", async () => {
  const sandbox = new Sandbox();
  const error = await catchRejection(
    sandbox.execute("1", { signal: AbortSignal.abort() }),
  );
  expect(error).toMatchObject({
    code: "ERYX_CANCELLED",
    stdout: "",
    stderr: "",
    stdoutBytes: new Uint8Array(0),
    stderrBytes: new Uint8Array(0),
    outputTruncated: false,
    warnings: [],
    durationMs: 0,
    callbackInvocations: 0,
    peakMemoryBytes: 0,
    stateLost: false,
  });
});

describe("errors that users make", () => {
  it.each<[string, typeof EryxError, object]>([
    ["EryxError", EryxError, { code: "ERYX_INTERNAL" }],
    [
      "ExecutionError",
      ExecutionError,
      {
        code: "ERYX_EXECUTION",
        pythonType: "Exception",
        traceback: "x",
        frames: [],
      },
    ],
    ["TimeoutError", TimeoutError, { code: "ERYX_TIMEOUT" }],
    ["CancelledError", CancelledError, { code: "ERYX_CANCELLED" }],
    [
      "ResourceLimitError",
      ResourceLimitError,
      { code: "ERYX_RESOURCE_LIMIT", limit: "maxMemoryBytes" },
    ],
    [
      "InitializationError",
      InitializationError,
      { code: "ERYX_INITIALIZATION" },
    ],
    ["SnapshotError", SnapshotError, { code: "ERYX_SNAPSHOT" }],
    ["PackageError", PackageError, { code: "ERYX_PACKAGE" }],
    ["PoolError", PoolError, { code: "ERYX_POOL_TIMEOUT" }],
    [
      "SuspendedError",
      SuspendedError,
      {
        code: "ERYX_SUSPENDED",
        reason: "",
        pending: [],
        checkpoint: new Uint8Array(0),
      },
    ],
  ])("%s has its code and empty fields", (name, Class, fields) => {
    const error = new Class("x");
    expect(error).toBeInstanceOf(EryxError);
    expect(error).toMatchObject({
      name,
      message: "x",
      stdout: "",
      warnings: [],
      durationMs: 0,
      stateLost: false,
      ...fields,
    });
    expect(String(error)).toBe(`${name}: x`);
    expect(error.stack).toContain("execution-record.spec");
    expect("cause" in error).toBe(false);
    expect(new Class().message).toBe("");
  });

  it("take any of their fields", () => {
    const cause = new Error("why");
    const error = new ExecutionError("ValueError: no", {
      cause,
      pythonType: "ValueError",
      exitCode: 3,
      stdout: "a",
      stdoutBytes: Uint8Array.of(97),
      durationMs: 5,
      fuelConsumed: 7n,
      stateLost: true,
      trace: [],
    });
    expect(error).toMatchObject({
      cause,
      pythonType: "ValueError",
      traceback: "ValueError: no",
      exitCode: 3,
      stdout: "a",
      durationMs: 5,
      fuelConsumed: 7n,
      stateLost: true,
      trace: [],
    });
    expect(error.stdoutBytes).toEqual(Uint8Array.of(97));
    expect(new PoolError("x", { code: "ERYX_POOL_CLOSED" }).code).toBe(
      "ERYX_POOL_CLOSED",
    );
  });

  it("may be of classes of their own", () => {
    class Mine extends TimeoutError {
      override name = "Mine";
    }
    expect(new Mine("x")).toMatchObject({ name: "Mine", code: "ERYX_TIMEOUT" });
  });
});
