import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type ExecutionHandle, Sandbox, Session } from "../../index.js";
import { catchRejection, getNodeStdout } from "../helpers.js";

/** Handlers that take their time, and what they were called with and have finished. */
function slowly(milliseconds = 1) {
  const begun: string[] = [];
  const done: string[] = [];
  const handler = (name: string) => async (chunk: string) => {
    begun.push(`${name}${chunk}`);
    await pause(milliseconds);
    done.push(`${name}${chunk}`);
  };
  return { begun, done, onStdout: handler("o"), onStderr: handler("e") };
}

const EACH =
  "import os\nfor n in range(20):\n    os.write(1 + n % 2, str(n).encode())";
const ALL = Array.from({ length: 20 }, (_, n) => `${n % 2 ? "e" : "o"}${n}`);

describe("an async handler", () => {
  it("is awaited before the next one is called", async () => {
    const { begun, done, onStdout, onStderr } = slowly();
    let running = 0;
    const alone =
      (handler: (chunk: string) => Promise<void>) => async (chunk: string) => {
        expect(++running).toBe(1);
        await handler(chunk);
        running--;
      };
    const handlers = { onStdout: alone(onStdout), onStderr: alone(onStderr) };
    await new Sandbox(handlers).execute(EACH);
    expect(begun).toEqual(ALL);
    expect(done).toEqual(ALL);
  });

  it("is awaited before the promise settles, also of a run that fails", async () => {
    const { done, onStdout, onStderr } = slowly(5);
    await catchRejection(
      new Sandbox({ onStdout, onStderr }).execute(`${EACH}\n1/0`),
    );
    expect(done).toEqual(ALL);
  });

  it("of trace events is awaited for each of them", async () => {
    const begun: number[] = [];
    const done: number[] = [];
    const onTrace = async ({ line }: { line: number }) => {
      expect(begun).toEqual(done);
      begun.push(line);
      await pause(1);
      done.push(line);
    };
    const { trace } = await new Sandbox().execute("a = 1\nb = 2\nc = 3", {
      onTrace,
      trace: true,
    });
    expect(done).toEqual(trace!.map(({ line }) => line));
  });

  it("is awaited before a function that Python calls afterwards", async () => {
    const seen: string[] = [];
    const onStdout = async (chunk: string) => {
      await pause(5);
      seen.push(chunk);
    };
    const callbacks = { f: () => void seen.push("f") };
    const sandbox = new Sandbox({ callbacks, onStdout });
    await sandbox.execute("print('a', end='')\nawait f()\nprint('b', end='')");
    expect(seen).toEqual(["a", "f", "b"]);
  });

  it("may mix with calls that return at once", async () => {
    const seen: string[] = [];
    const onStdout = (chunk: string) => {
      const late = Number(chunk) % 3 === 0;
      return late ? pause(2).then(() => seen.push(chunk)) : seen.push(chunk);
    };
    const code = "import os\nfor n in range(20): os.write(1, str(n).encode())";
    await new Sandbox({ onStdout }).execute(code);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => String(n)));
  });

  it("holds the code back, in bounds", async () => {
    let open: (value?: unknown) => void = () => {};
    const gate = new Promise((resolve) => (open = resolve));
    const handed: number[] = [];
    let calls = 0;
    const callbacks = { count: () => void calls++ };
    const onStdout = async (chunk: string) => {
      handed.push(chunk.length);
      await gate;
    };
    const sandbox = new Sandbox({
      callbacks,
      onStdout,
      resourceLimits: { maxOutputBytes: null, maxCallbackInvocations: null },
    });
    const code =
      "import sys\nfor n in range(300):\n    sys.stdout.write('x' * 10_000)\n    sys.stdout.flush()\n    await count()";
    const running = sandbox.execute(code);
    await pause(300);
    expect(calls).toBe(0);
    expect(handed).toHaveLength(1);
    open();
    const { stdoutBytes } = await running;
    expect(calls).toBe(300);
    expect(handed.reduce((sum, length) => sum + length, 0)).toBe(3_000_000);
    expect(stdoutBytes).toHaveLength(3_000_000);
  });

  it("makes a computing guest wait once 256 KiB are put off", async () => {
    let open: (value?: unknown) => void = () => {};
    const gate = new Promise((resolve) => (open = resolve));
    const onStdout = () => gate;
    await using session = new Session({
      onStdout,
      resourceLimits: { maxOutputBytes: null },
    });
    const code =
      "for n in range(1000):\n    print('x' * 9_999)\n    with open('n', 'w') as file: file.write(str(n))";
    const running = session.execute(code);
    const reached = () =>
      session.vfs.exists("n") ? Number(session.vfs.readTextFile("n")) : 0;
    while (reached() < 20) await pause(5);
    await pause(50);
    expect(reached()).toBeLessThan(40);
    open();
    expect((await running).stdoutBytes).toHaveLength(10_000_000);
  });

  it("sees the AsyncLocalStorage of whoever called execute()", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const onStdout = async () => {
      seen.push(storage.getStore());
      await pause(1);
      seen.push(storage.getStore());
    };
    const sandbox = new Sandbox({ onStdout });
    const code = "import os\nfor n in range(3): os.write(1, b'x')";
    await storage.run("mine", () => sandbox.execute(code));
    expect(seen).toEqual(Array(6).fill("mine"));
  });

  it("that never settles holds neither a time limit nor a cancellation up", async () => {
    const chunks: string[] = [];
    const onStdout = (chunk: string) => {
      chunks.push(chunk);
      return new Promise(() => {});
    };
    const sandbox = new Sandbox({ onStdout });
    const code =
      "import os, time\nfor n in range(5): os.write(1, str(n).encode())\ntime.sleep(60)";
    const late = await catchRejection(
      sandbox.execute(code, { timeoutMs: 100 }),
    );
    expect(late.code).toBe("ERYX_TIMEOUT");
    expect(chunks.join("")).toBe("01234");
    const signal = AbortSignal.timeout(100);
    const cancelled = await catchRejection(sandbox.execute(code, { signal }));
    expect(cancelled.code).toBe("ERYX_CANCELLED");
    expect(chunks.join("")).toBe("0123401234");
  });

  it("may await the end of its sandbox", async () => {
    const sandbox = new Sandbox();
    const onStdout = () => sandbox.close();
    const ended = await sandbox
      .execute("print(1, flush=True)", { onStdout })
      .catch((error) => error.code);
    expect(ended === "ERYX_CANCELLED" || ended.stdout === "1").toBe(true);
  });
});

/** A handler that waits until it is opened, and what was handed to it. */
function gated() {
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const chunks: string[] = [];
  const onStdout = (chunk: string) => {
    chunks.push(chunk);
    return gate;
  };
  return { chunks, onStdout, open };
}

/** Tells JavaScript that Python has come to this line. */
const HERE = "open('here', 'w').close()";

/** Resolves when Python has made this file and everything that it did before has arrived. */
async function arrival(session: Session, file = "here"): Promise<void> {
  while (!session.vfs.exists(file)) await pause(5);
  // A second turn: the first one may have begun before the file was there.
  for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
}

describe("a call that waits for a handler", () => {
  it("is not made if its time is over or its task cancelled meanwhile", async () => {
    const { chunks, onStdout, open } = gated();
    const made: string[] = [];
    const callbacks = {
      late: { timeoutMs: 1, fn: () => void made.push("late") },
      lost: () => void made.push("lost"),
      wanted: (n: number) => made.push(`wanted ${n}`),
    };
    await using session = new Session({ callbacks, onStdout });
    const code = `import asyncio, os
os.write(1, b'a')
first = asyncio.create_task(wanted(1))
await asyncio.sleep(0)
try: await late()
except TimeoutError: os.write(1, b'b')
task = asyncio.create_task(lost())
await asyncio.sleep(0)
task.cancel()
await asyncio.wait([task])
${HERE}
[await first, await wanted(2)]`;
    const running = session.execute(code);
    await arrival(session);
    expect(made).toEqual([]);
    open();
    expect((await running).value).toEqual([1, 2]);
    expect(made).toEqual(["wanted 1", "wanted 2"]);
    expect(chunks).toEqual(["a", "b"]);
  });

  it("gives its share of the queue back if it is not made", async () => {
    const sizes: number[] = [];
    let open: () => void = () => {};
    let printed = 0;
    const onStdout = () => {
      printed++;
      return new Promise<void>((resolve) => (open = resolve));
    };
    const callbacks = {
      late: { timeoutMs: 1, fn: () => void sizes.push(-1) },
      size: (data: Uint8Array) => void sizes.push(data.length),
    };
    await using session = new Session({ callbacks, onStdout });
    // All that is put off is more than the queue takes: the guest would wait for good if any of it was not given back.
    const code = `import os
for n in range(4):
    os.write(1, b'a')
    try: await late(data=b'x' * 200_000)
    except TimeoutError: open(f'here{n}', 'w').close()
for n in range(20): await size(b'x' * 100_000)`;
    const running = session.execute(code);
    for (let n = 0; n < 4; n++) {
      await arrival(session, `here${n}`);
      expect(printed).toBe(n + 1);
      open();
    }
    await running;
    expect(sizes).toEqual(Array(20).fill(100_000));
  });

  const PAY = `import asyncio, os
os.write(1, b'a')
tasks = [asyncio.create_task(pay(n)) for n in range(5)]
await asyncio.sleep(0)
os.write(1, b'b')
${HERE}`;
  const waits = [
    ["is awaited", "await asyncio.gather(*tasks)"],
    [
      "is shielded",
      "try: await asyncio.shield(tasks[0])\nexcept asyncio.CancelledError: await tasks[0]",
    ],
  ];
  const ends = {
    signal: (controller: AbortController) => controller.abort(),
    "cancel()": (_: unknown, handle: ExecutionHandle) => handle.cancel(),
    "close()": (_: unknown, __: unknown, session: Session) => session.close(),
  };
  it.each(
    waits.flatMap(([wait, code]) =>
      Object.entries(ends).map(([by, end]) => ({ wait, code, by, end })),
    ),
  )("that $wait is not made after $by", async ({ code, end }) => {
    const { chunks, onStdout, open } = gated();
    const paid: unknown[] = [];
    const callbacks = { pay: (n: number) => void paid.push(n) };
    await using session = new Session({ callbacks, onStdout });
    const controller = new AbortController();
    const { signal } = controller;
    const handle = session.executeCancellable(`${PAY}\n${code}`, { signal });
    await arrival(session);
    const ended = end(controller, handle, session);
    expect((await catchRejection(handle.wait())).code).toBe("ERYX_CANCELLED");
    await ended;
    open();
    await new Promise(setImmediate);
    expect(paid).toEqual([]);
    expect(chunks).toEqual(["a", "b"]);
  });

  it("is not made if that handler cancels the run", async () => {
    const { chunks, onStdout, open } = gated();
    const paid: unknown[] = [];
    const callbacks = { pay: (n: number) => void paid.push(n) };
    const controller = new AbortController();
    const { signal } = controller;
    const cancel = async (chunk: string) => {
      await onStdout(chunk);
      controller.abort();
    };
    await using session = new Session({ callbacks, onStdout: cancel });
    const code = `${PAY}\nawait asyncio.gather(*tasks)`;
    const running = session.execute(code, { signal });
    await arrival(session);
    open();
    expect((await catchRejection(running)).code).toBe("ERYX_CANCELLED");
    expect(paid).toEqual([]);
    expect(chunks).toEqual(["a", "b"]);
  });

  it("is not made when the time of the run is over", async () => {
    const { chunks, onStdout } = gated();
    const paid: unknown[] = [];
    const callbacks = { pay: (n: number) => void paid.push(n) };
    const sandbox = new Sandbox({ callbacks, onStdout });
    const code = "import os\nos.write(1, b'a')\nawait pay(1)";
    // Until there was time to come as far as the call.
    for (let timeoutMs = 100; chunks.length === 0; timeoutMs *= 2) {
      const error = await catchRejection(sandbox.execute(code, { timeoutMs }));
      expect(error.code).toBe("ERYX_TIMEOUT");
    }
    expect(chunks).toEqual(["a"]);
    expect(paid).toEqual([]);
  });
});

describe("a handler that throws or rejects", () => {
  it.each([
    ["throws", "(chunk) => { throw new RangeError('boom'); }"],
    ["rejects", "async (chunk) => { throw new RangeError('boom'); }"],
    [
      "rejects later",
      "async (chunk) => { await pause(2); throw new RangeError('boom'); }",
    ],
    [
      "returns a thenable that fails",
      "() => ({ then(_, fail) { fail(new RangeError('boom')); } })",
    ],
    [
      "returns one that throws",
      "() => ({ then() { throw new RangeError('boom'); } })",
    ],
    [
      "returns one whose getter throws",
      "() => ({ get then() { throw new RangeError('boom'); } })",
    ],
  ])("and %s is an EryxWarning, and the run goes on", async (_, handler) => {
    const source = `
      import { setTimeout as pause } from "node:timers/promises";
      import { Sandbox } from "@bsull/eryx";
      const warnings = [];
      let bad = 0;
      process.on("unhandledRejection", () => bad++).on("uncaughtException", () => bad++);
      process.on("warning", ({ name, message, cause }) => warnings.push([name, message, cause.message]));
      const handler = ${handler};
      const code = "import os\\nfor fd in (1, 2): os.write(fd, b'x')\\n5";
      const { value } = await new Sandbox().execute(code, { onStdout: handler, onStderr: handler, onTrace: handler });
      await pause(10);
      const names = new Set(warnings.map(([name, message]) => name + ": " + message));
      console.log(JSON.stringify([value, bad, [...names].sort(), warnings[0][2]]));`;
    expect(JSON.parse(await getNodeStdout(source, ["--no-warnings"]))).toEqual([
      5,
      0,
      [
        "EryxWarning: onStderr threw RangeError: boom",
        "EryxWarning: onStdout threw RangeError: boom",
        "EryxWarning: onTrace threw RangeError: boom",
      ],
      "boom",
    ]);
  });

  it("shows as a warning on stderr", async () => {
    const source = `
      import { Sandbox } from "@bsull/eryx";
      process.stderr.write = (text) => { console.log(text); return true; };
      await new Sandbox().execute("print(1)", { onStdout: async () => { throw null; } });
      await new Promise(setImmediate);`;
    expect(await getNodeStdout(source)).toMatch(
      /^\(node:\d+\) EryxWarning: onStdout threw null/,
    );
  });
});
