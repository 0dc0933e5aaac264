import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { CancelledError, type ExecutionHandle, Sandbox } from "../../index.js";
import { catchRejection, PROMPT, run } from "../helpers.js";

const FOREVER = "print('a', flush=True)\nwhile True: pass";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a signal of AbortSignal.timeout() gives as its reason. */
const TIMEOUT = ": TimeoutError: The operation was aborted due to timeout";

async function cancelled(
  promise: Promise<unknown>,
  why = "",
): Promise<CancelledError> {
  const error = await catchRejection<CancelledError>(promise);
  expect(error, error.message).toBeInstanceOf(CancelledError);
  expect(error.code).toBe("ERYX_CANCELLED");
  expect(error.message).toBe(`execution was cancelled${why}`);
  return error;
}

describe("signal", () => {
  it("that is aborted already starts nothing", async () => {
    const chunks: string[] = [];
    const onStdout = (chunk: string) => chunks.push(chunk);
    const { signal } = Object.assign(new AbortController(), {});
    const aborted = AbortSignal.abort(new Error("mine"));
    const promise = run(FOREVER, { signal: aborted, onStdout });
    const { cause } = await cancelled(promise, ": Error: mine");
    expect(cause).toBe(aborted.reason);
    expect(chunks).toEqual([]);
    expect(signal.aborted).toBe(false);
  });

  it("aborted before the run got its turn", async () => {
    const controller = new AbortController();
    const promise = run(FOREVER, { signal: controller.signal });
    controller.abort();
    await cancelled(promise);
  });

  it("aborted while many wait for a turn ends each", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: 50 }, () => run(FOREVER, { signal }));
    await pause(50);
    controller.abort();
    await Promise.all(all.map((promise) => cancelled(promise)));
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  it.each([
    ["a loop", "while True: pass"],
    ["sleep", "import time\ntime.sleep(60)"],
    ["asyncio.sleep", "import asyncio\nawait asyncio.sleep(60)"],
    ["C code", "sum(range(10**12))"],
    [
      "code that swallows it",
      "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ],
  ])("aborted during %s", async (_, code) => {
    for (let tries = 0; ; tries++) {
      const controller = new AbortController();
      let start = 0;
      const onStdout = () => {
        start = performance.now();
        controller.abort();
      };
      const { signal } = controller;
      await cancelled(run(`print(flush=True)\n${code}`, { signal, onStdout }));
      if (performance.now() - start < PROMPT) break;
      expect(tries).toBeLessThan(20);
    }
  });

  it("keeps what was printed, and runs finally", async () => {
    const controller = new AbortController();
    const code =
      "try:\n    print('a', flush=True)\n    while True: pass\nfinally: print('bye')";
    const options = {
      signal: controller.signal,
      onStdout: () => controller.abort(),
    };
    const error = await cancelled(run(code, options));
    expect(error.stdout).toBe("a\nbye");
    expect(error.stateLost).toBe(false);
  });

  it("aborted after the end changes nothing", async () => {
    const controller = new AbortController();
    const result = await run("1", { signal: controller.signal });
    controller.abort();
    expect(result.value).toBe(1);
    expect((await run("2")).value).toBe(2);
  });

  it.each(["1", "1/0", "import sys; sys.exit(0)"])(
    "has no listener after %j",
    async (code) => {
      const { signal } = new AbortController();
      const promise = run(code, { signal });
      expect(getEventListeners(signal, "abort")).toHaveLength(1);
      await Promise.allSettled([promise]);
      expect(getEventListeners(signal, "abort")).toHaveLength(0);
    },
  );

  it("has no listener after bad arguments", async () => {
    const { signal } = new AbortController();
    const inputs = { "a b": 1 };
    await catchRejection(run("1", { signal, inputs }));
    await catchRejection(run(1 as unknown as string, { signal }));
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  it("keeps the user's own onabort and listeners", async () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const onabort = () => calls.push("onabort");
    controller.signal.onabort = onabort;
    controller.signal.addEventListener("abort", () => calls.push("listener"));
    const promise = run(FOREVER, { signal: controller.signal });
    expect(controller.signal.onabort).toBe(onabort);
    controller.abort();
    await cancelled(promise);
    expect(controller.signal.onabort).toBe(onabort);
    expect(calls).toEqual(["onabort", "listener"]);
  });

  it("of AbortSignal.timeout works", async () => {
    await cancelled(run(FOREVER, { signal: AbortSignal.timeout(50) }), TIMEOUT);
  });

  it("of AbortSignal.any works", async () => {
    const signal = AbortSignal.any([
      AbortSignal.timeout(50),
      new AbortController().signal,
    ]);
    await cancelled(run(FOREVER, { signal }), TIMEOUT);
  });

  it("does not end other runs", async () => {
    const controller = new AbortController();
    const other = run("import time\ntime.sleep(0.2)\n5");
    const promise = run(FOREVER, { signal: controller.signal });
    controller.abort();
    await cancelled(promise);
    expect((await other).value).toBe(5);
  });

  it("serves a thousand runs without a warning of leaks", async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    const { signal } = new AbortController();
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 50 }, () => run("1", { signal })));
    await pause(0);
    process.off("warning", listen);
    expect(
      warnings.filter((w) => w.name === "MaxListenersExceededWarning"),
    ).toEqual([]);
  });
});

describe("executeCancellable", () => {
  const start = (code: string): ExecutionHandle =>
    new Sandbox().executeCancellable(code);

  it("gives the result", async () => {
    const handle = start("print('a')\n1 + 1");
    expect(handle.isRunning).toBe(true);
    expect(await handle.wait()).toMatchObject({ stdout: "a", value: 2 });
    expect(handle.isRunning).toBe(false);
  });

  it("gives the same result to each wait", async () => {
    const handle = start("[]");
    expect(await handle.wait()).toBe(await handle.wait());
  });

  it("cancels", async () => {
    const handle = start(FOREVER);
    await pause(30);
    expect(handle.isRunning).toBe(true);
    handle.cancel();
    await cancelled(handle.wait());
    expect(handle.isRunning).toBe(false);
  });

  it("cancels at once", async () => {
    const handle = start(FOREVER);
    handle.cancel();
    await cancelled(handle.wait());
  });

  it("cancels twice, and after the end, without effect", async () => {
    const handle = start(FOREVER);
    handle.cancel();
    handle.cancel();
    await cancelled(handle.wait());
    handle.cancel();
    const ended = start("1");
    await ended.wait();
    ended.cancel();
    expect((await ended.wait()).value).toBe(1);
  });

  it("never waited for is no unhandled rejection", async () => {
    const rejections: unknown[] = [];
    const listen = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", listen);
    const handle = start(FOREVER);
    handle.cancel();
    while (handle.isRunning) await pause(5);
    await pause(5);
    process.off("unhandledRejection", listen);
    expect(rejections).toEqual([]);
  });

  it("takes the options of execute", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const handle = new Sandbox().executeCancellable("n\nwhile True: pass", {
      inputs: { n: 1 },
      signal,
    });
    controller.abort();
    await cancelled(handle.wait());
  });

  it("of a signal that is aborted has ended", async () => {
    const handle = new Sandbox().executeCancellable("1", {
      signal: AbortSignal.abort(),
    });
    expect(handle.isRunning).toBe(false);
    await cancelled(handle.wait());
  });

  it("works after its sandbox is garbage", async () => {
    let sandbox: Sandbox | undefined = new Sandbox();
    const handle = sandbox.executeCancellable(
      "import time\ntime.sleep(0.1)\n7",
    );
    sandbox = undefined;
    expect((await handle.wait()).value).toBe(7);
  });
});

describe("close", () => {
  it("ends what runs and settles every promise", async () => {
    const sandbox = new Sandbox();
    const all = Array.from({ length: 20 }, () => sandbox.execute(FOREVER));
    await pause(50);
    let settled = 0;
    const outcomes = all.map((promise) =>
      cancelled(promise).finally(() => settled++),
    );
    await sandbox.close();
    await Promise.all(outcomes);
    expect(settled).toBe(20);
  });

  it("right after execute settles its promise", async () => {
    const sandbox = new Sandbox();
    const promise = sandbox.execute(FOREVER);
    const outcome = catchRejection(promise);
    await sandbox.close();
    expect(["ERYX_CANCELLED", "ERYX_CLOSED"]).toContain((await outcome).code);
  });

  it("may be called twice, and without any run", async () => {
    const sandbox = new Sandbox();
    await Promise.all([sandbox.close(), sandbox.close()]);
    await sandbox.close();
  });

  it("refuses what comes after it", async () => {
    const sandbox = new Sandbox();
    await sandbox.close();
    expect((await catchRejection(sandbox.execute("1"))).code).toBe(
      "ERYX_CLOSED",
    );
    expect(() => sandbox.executeCancellable("1")).toThrow(
      "the sandbox is closed",
    );
  });

  it("does not end the runs of another sandbox", async () => {
    const sandbox = new Sandbox();
    const other = run("import time\ntime.sleep(0.1)\n5");
    const closing = catchRejection(sandbox.execute(FOREVER));
    await sandbox.close();
    await closing;
    expect((await other).value).toBe(5);
  });

  it("comes with `await using`", async () => {
    let promise: Promise<unknown>;
    {
      await using sandbox = new Sandbox();
      promise = catchRejection(sandbox.execute(FOREVER));
    }
    expect(await promise).toMatchObject({ code: "ERYX_CANCELLED" });
  });

  it("is Symbol.asyncDispose", async () => {
    const sandbox = new Sandbox();
    await sandbox[Symbol.asyncDispose]();
    expect((await catchRejection(sandbox.execute("1"))).code).toBe(
      "ERYX_CLOSED",
    );
  });
});
