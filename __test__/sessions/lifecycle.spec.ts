import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { type ExecutionHandle, RuntimeLibrary, Session } from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";

const FOREVER = "while True: pass";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the queue", () => {
  it("runs what is asked at once in order", async () => {
    await using session = new Session();
    const all = Array.from({ length: 300 }, (_, n) =>
      session.execute(n === 0 ? "a = [0]" : `a.append(${n})\nlen(a)`),
    );
    const values = (await Promise.all(all)).map((result) => result.value);
    expect(values.slice(1)).toEqual(
      Array.from({ length: 299 }, (_, n) => n + 2),
    );
    expect(session.executionCount).toBe(300);
  });

  it.each<[string, (session: Session) => Promise<unknown>, unknown]>([
    ["reset", (session) => session.reset(), "none"],
    ["clearState", (session) => session.clearState(), "none"],
  ])("keeps the place of %s", async (_, ask, expected) => {
    for (let round = 0; round < 20; round++) {
      await using session = new Session();
      const first = session.execute("x = 1");
      const asked = ask(session);
      const next = session.execute("globals().get('x', 'none')");
      await Promise.all([first, asked]);
      expect((await next).value).toBe(expected);
    }
  });

  it("keeps the place of snapshotState and restoreState", async () => {
    for (let round = 0; round < 20; round++) {
      await using session = new Session();
      void session.execute("x = 1");
      const snapshot = session.snapshotState();
      await session.execute("x = 2");
      const restored = session.restoreState(await snapshot);
      const next = session.execute("x");
      await restored;
      expect((await next).value).toBe(1);
    }
  });

  it("goes on after failures, and waits do not count for a limit", async () => {
    await using session = new Session();
    const all = [
      session.execute("import time\nx = 1\ntime.sleep(3)"),
      session.execute("1/0"),
      session.execute("x += 1\nx", { timeoutMs: 2000 }),
    ];
    const [, failed, last] = await Promise.allSettled(all);
    expect(failed).toMatchObject({ reason: { code: "ERYX_EXECUTION" } });
    expect(last).toMatchObject({ value: { value: 2 } });
  });

  it("lets one that waits be cancelled without a trace", async () => {
    await using session = new Session();
    const controller = new AbortController();
    const slow = session.execute("import time\nx = 1\ntime.sleep(0.1)");
    const waiting = session.execute("x = 2", { signal: controller.signal });
    const handle: ExecutionHandle = session.executeCancellable("x = 3");
    controller.abort();
    handle.cancel();
    for (const promise of [waiting, handle.wait()])
      expect(await catchRejection(promise)).toMatchObject({
        code: "ERYX_CANCELLED",
        stateLost: false,
      });
    await slow;
    expect((await session.execute("x")).value).toBe(1);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });
});

describe("executionTimeoutMs", () => {
  it("is that of the options, and can be set", async () => {
    await using session = new Session({
      resourceLimits: { executionTimeoutMs: 20_000 },
    });
    expect([
      session.executionTimeoutMs,
      new Session().executionTimeoutMs,
    ]).toEqual([20_000, 30_000]);
    session.executionTimeoutMs = 100;
    expect(session.executionTimeoutMs).toBe(100);
    const error = await catchRejection(session.execute(FOREVER));
    expect([error.code, error.message]).toEqual([
      "ERYX_TIMEOUT",
      "execution timed out after 100 ms",
    ]);
    expect(
      (
        await session.execute("import time\ntime.sleep(0.15)\n1", {
          timeoutMs: null,
        })
      ).value,
    ).toBe(1);
    session.executionTimeoutMs = null;
    expect(session.executionTimeoutMs).toBeNull();
    expect((await session.execute("time.sleep(0.15)\n2")).value).toBe(2);
  });

  it("holds for what is asked for while it is set, whenever that runs", async () => {
    await using session = new Session();
    const code = "import time\ntime.sleep(0.15)\n1";
    const before = session.execute(code);
    session.executionTimeoutMs = 50;
    const between = catchRejection(session.execute(code));
    const fork = session.fork();
    session.executionTimeoutMs = null;
    const after = session.execute(code);
    expect([(await before).value, (await after).value]).toEqual([1, 1]);
    const message = "execution timed out after 50 ms";
    expect((await between).message).toBe(message);
    const forked = await fork;
    expect(forked.executionTimeoutMs).toBe(50);
    expect((await catchRejection(forked.execute(code))).message).toBe(message);
    expect((await session.execute(code)).value).toBe(1);
  });

  it.each([
    0,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 31,
    "5",
    undefined,
    {},
  ])("of %o is refused", async (bad) => {
    const session = new Session();
    const message = await catchArgumentError(
      () => (session.executionTimeoutMs = bad as never),
    );
    expect(message).toMatch(
      /^executionTimeoutMs: expected a number of milliseconds above 0 and up to 2147483647, or null for no limit, got /,
    );
    expect(session.executionTimeoutMs).toBe(30_000);
  });
});

describe("clearState and reset", () => {
  it("clearState removes variables only", async () => {
    const options = {
      callbacks: { f: () => 7, "ns.g": () => 8 },
      libraries: [new RuntimeLibrary({ python: "def helper(): return 5" })],
    };
    await using session = new Session(options);
    await session.execute(
      "import math\nmath.mine = 1\nx = 1\nf = helper = ns = None\n__dunder__ = 2",
      { inputs: { n: 1 } },
    );
    await session.clearState();
    const names = "sorted(n for n in globals() if n[:2] != '__')";
    expect((await session.execute(names)).value).toEqual(["f", "helper", "ns"]);
    expect(
      (
        await session.execute(
          "import math\n[await f(), await ns.g(), helper(), math.mine]",
        )
      ).value,
    ).toEqual([7, 8, 5, 1]);
    expect(session.executionCount).toBe(3);
  });

  it.each(["clearState", "reset"] as const)(
    "%s of a session that ran nothing, and twice",
    async (name) => {
      await using session = new Session();
      await session[name]();
      await session[name]();
      expect((await session.execute("1")).value).toBe(1);
    },
  );

  it("clearState removes what begins with two underscores, and odd keys", async () => {
    await using session = new Session();
    await session.execute("__mine = 1\nglobals()[5] = 1");
    await session.clearState();
    const code = "['__mine' in globals(), 5 in globals(), __name__]";
    expect((await session.execute(code)).value).toEqual([
      false,
      false,
      "__main__",
    ]);
  });

  it("clearState that Python code holds up is ended by the limit, and by close", async () => {
    const session = new Session();
    const hold = `import _eryx_driver\ndef hold(_):\n    ${FOREVER}\n_eryx_driver._ORDERS['clear'] = hold`;
    await session.execute(hold);
    session.executionTimeoutMs = 100;
    await Promise.allSettled([session.clearState()]);
    session.executionTimeoutMs = null;
    void session.clearState().catch(() => {});
    await pause(20);
    await session.close();
  });

  it("reset gives a new interpreter and keeps the options", async () => {
    await using session = new Session({ callbacks: { f: () => 7 } });
    session.executionTimeoutMs = 5000;
    await session.execute("import math\nmath.mine = 1\nx = 1");
    await session.reset();
    expect([session.executionCount, session.executionTimeoutMs]).toEqual([
      0, 5000,
    ]);
    const code =
      "import math\n['x' in globals(), hasattr(math, 'mine'), await f()]";
    expect((await session.execute(code)).value).toEqual([false, false, 7]);
    expect(session.executionCount).toBe(1);
  });
});

describe("close", () => {
  it("cancels what runs, refuses what waits and what comes", async () => {
    const session = new Session();
    const all = [
      session.execute(FOREVER),
      ...Array.from({ length: 5 }, () => session.execute("1")),
      session.snapshotState(),
      session.fork(),
    ];
    const outcomes = Promise.all(all.map((promise) => catchRejection(promise)));
    await pause(50);
    await Promise.all([session.close(), session.close()]);
    const errors = (await outcomes).map(({ code, message }) => [code, message]);
    expect(errors).toEqual([
      ["ERYX_CANCELLED", "execution was cancelled"],
      ...Array.from({ length: 7 }, () => [
        "ERYX_CLOSED",
        "the session is closed",
      ]),
    ]);
    const calls = [
      () => session.execute("1"),
      () => session.reset(),
      () => session.clearState(),
      () => session.snapshotState(),
      () => session.restoreState(new Uint8Array(9)),
      () => session.fork(),
      async () => session.executeCancellable("1"),
    ];
    for (const call of calls)
      expect(await catchRejection(call())).toMatchObject({
        code: "ERYX_CLOSED",
        message: "the session is closed",
      });
    await session.close();
    expect(session.executionCount).toBe(1);
  });

  it("comes with `await using`", async () => {
    let promise: Promise<{ code: string }>;
    {
      await using session = new Session();
      promise = catchRejection(session.execute(FOREVER));
      await pause(20);
    }
    expect((await promise).code).toBe("ERYX_CANCELLED");
  });
});

it("a hundred sessions work at once, apart from each other", async () => {
  const sessions = Array.from({ length: 100 }, () => new Session());
  await Promise.all(sessions.map((session, n) => session.execute(`x = ${n}`)));
  const values = await Promise.all(
    sessions.map((session) => session.execute("x")),
  );
  expect(values.map((result) => result.value)).toEqual(
    sessions.map((_, n) => n),
  );
  await Promise.all(sessions.map((session) => session.close()));
});
