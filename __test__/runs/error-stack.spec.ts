import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import {
  CancelledError,
  type EryxError,
  Sandbox,
  Session,
} from "../../index.js";
import { catchRejection } from "../helpers.js";

const sandbox = new Sandbox();

/** The functions that a stack names, innermost first. */
function functions(error: Error): string[] {
  const lines = error
    .stack!.split("\n")
    .filter((line) => /^ {4}at /.test(line));
  return lines.map((line) => /at (?:async )?([\w.<>#]+)/.exec(line)?.[1] ?? "");
}

async function innerCaller(run: () => Promise<unknown>) {
  await run();
}
async function outerCaller(run: () => Promise<unknown>) {
  await innerCaller(run);
}

describe("the stack of an error leads to the caller's await", () => {
  it.each<[string, () => Promise<unknown>]>([
    ["Sandbox.execute", () => sandbox.execute("1/0")],
    [
      "Session.execute",
      async () => {
        await using session = new Session();
        await session.execute("1/0");
      },
    ],
    [
      "a time limit",
      () => sandbox.execute("while True: pass", { timeoutMs: 20 }),
    ],
    [
      "a signal",
      () =>
        sandbox.execute("while True: pass", {
          signal: AbortSignal.timeout(20),
        }),
    ],
    [
      "a signal that is aborted",
      () => sandbox.execute("1", { signal: AbortSignal.abort() }),
    ],
    ["a handle", () => sandbox.executeCancellable("1/0").wait()],
    [
      "Session.restoreState",
      async () => {
        await using session = new Session();
        await session.restoreState(new Uint8Array(5));
      },
    ],
    ["Session.resume", () => Session.resume(new Uint8Array(5))],
    [
      "a closed sandbox",
      async () => {
        const closed = new Sandbox();
        await closed.close();
        await closed.execute("1");
      },
    ],
    ["an argument", () => sandbox.execute("1", { inputs: { class: 1 } })],
  ])("of %s", async (_, run) => {
    const error = await catchRejection<Error>(outerCaller(run));
    const found = functions(error);
    expect(found).toContain("outerCaller");
    expect(found).toContain("innerCaller");
    expect(found.indexOf("innerCaller")).toBeLessThan(5);
    expect(error.stack).toContain(error.message.split("\n")[0]);
  });

  it("and begins with the package's own function", async () => {
    const error = await catchRejection<Error>(
      outerCaller(() => sandbox.execute("1/0")),
    );
    const [head, first] = error.stack!.split("\n");
    expect(head).toBe("ExecutionError: ZeroDivisionError: division by zero");
    expect(first).toMatch(
      /at .*execute \(.*\/(?:index|sandbox)\.js:\d+:\d+\)$/,
    );
  });
});

describe("the cause of a CancelledError", () => {
  const forever = "while True: pass";

  async function cancelledBy(signal: AbortSignal): Promise<EryxError> {
    const error = await catchRejection(sandbox.execute(forever, { signal }));
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.code).toBe("ERYX_CANCELLED");
    return error;
  }

  it.each<[string, unknown, string]>([
    [
      "an error",
      new RangeError("too dear"),
      "execution was cancelled: RangeError: too dear",
    ],
    ["a text", "not needed", "execution was cancelled: not needed"],
    ["an object", { a: 1 }, "execution was cancelled"],
    ["null", null, "execution was cancelled"],
  ])("is the reason of the signal: %s", async (_, reason, message) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 10);
    const later = await cancelledBy(controller.signal);
    const before = await cancelledBy(AbortSignal.abort(reason));
    for (const error of [later, before]) {
      expect(error.cause).toBe(reason);
      expect(error.message).toBe(message);
    }
  });

  it("is an AbortError without a reason", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 10);
    for (const signal of [controller.signal, AbortSignal.abort()]) {
      const error = await cancelledBy(signal);
      expect(error.cause).toMatchObject({ name: "AbortError" });
      expect(error.message).toBe("execution was cancelled");
    }
  });

  it("of AbortSignal.timeout() is a TimeoutError, and the message says so", async () => {
    const error = await cancelledBy(AbortSignal.timeout(20));
    expect(error.cause).toBeInstanceOf(DOMException);
    expect(error.cause).toMatchObject({ name: "TimeoutError" });
    expect(error.message).toBe(
      "execution was cancelled: TimeoutError: The operation was aborted due to timeout",
    );
    expect(inspect(error)).toContain("[cause]: DOMException [TimeoutError]");
  });

  it("may be anything that throws when it is looked at", async () => {
    const reason = new Proxy(
      {},
      {
        get: () => {
          throw new Error("trap");
        },
      },
    );
    const error = await cancelledBy(AbortSignal.abort(reason));
    expect(error.message).toBe("execution was cancelled");
    expect(error.cause).toBe(reason);
  });

  it("is missing where no signal cancelled", async () => {
    const handle = sandbox.executeCancellable(forever);
    handle.cancel();
    const error = await catchRejection(handle.wait());
    expect(error.code).toBe("ERYX_CANCELLED");
    expect("cause" in error).toBe(false);
  });

  it("is missing where the time limit came first", async () => {
    const signal = new AbortController().signal;
    const error = await catchRejection(
      sandbox.execute(forever, { signal, timeoutMs: 20 }),
    );
    expect(error.code).toBe("ERYX_TIMEOUT");
    expect("cause" in error).toBe(false);
  });
});
