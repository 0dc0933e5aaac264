import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Callbacks, Sandbox } from "../../index.js";
import { catchRejection } from "../helpers.js";

/** The text that `code` prints with these callbacks and asyncio. */
async function printed(callbacks: Callbacks, code: string): Promise<string> {
  const sandbox = new Sandbox({ callbacks });
  return (await sandbox.execute(`import asyncio\n${code}`)).stdout;
}

/** Answers none of its calls before there are `count`. */
function meeting(count: number) {
  const waiting: (() => void)[] = [];
  return (value: unknown) =>
    new Promise((resolve) => {
      waiting.push(() => resolve(value));
      if (waiting.length === count) for (const answer of waiting) answer();
    });
}

const later = async (value: unknown, ms = 5) => {
  await sleep(ms);
  return value;
};
const never = () => new Promise(() => {});

describe("calls at once", () => {
  it.each([2, 100, 1000])("%i by gather", async (count) => {
    const code = `print(await asyncio.gather(*[f(i) for i in range(${count})]) == list(range(${count})))`;
    expect(await printed({ f: meeting(count) }, code)).toBe("True");
  });

  it("10,000, more than may be open", async () => {
    let open = 0;
    let most = 0;
    const f = async (n: number) => {
      most = Math.max(most, ++open);
      await new Promise(setImmediate);
      open--;
      return n;
    };
    const sandbox = new Sandbox({
      callbacks: { f },
      resourceLimits: { maxCallbackInvocations: null },
    });
    const code =
      "import asyncio\nresult = sum(await asyncio.gather(*map(f, range(10_000))))";
    const { result, callbackInvocations } = await sandbox.execute(code);
    expect([result, callbackInvocations]).toEqual([49_995_000, 10_000]);
    expect(most).toBeGreaterThan(100);
    expect(most).toBeLessThanOrEqual(4096);
  });

  it.each([
    [
      "in tasks",
      "a = asyncio.create_task(f(1))\nb = asyncio.create_task(f(2))\nprint(await a, await b)",
      "1 2",
    ],
    [
      "in a TaskGroup",
      "async with asyncio.TaskGroup() as group:\n    tasks = [group.create_task(f(i)) for i in (1, 2)]\nprint([task.result() for task in tasks])",
      "[1, 2]",
    ],
    [
      "by as_completed",
      "print(sorted([await x for x in asyncio.as_completed([f(1), f(2)])]))",
      "[1, 2]",
    ],
    [
      "by wait",
      "done, _ = await asyncio.wait([asyncio.create_task(f(i)) for i in (1, 2)])\nprint(sorted(task.result() for task in done))",
      "[1, 2]",
    ],
    [
      "by ensure_future",
      "print(await asyncio.gather(asyncio.ensure_future(f(1)), f(2)))",
      "[1, 2]",
    ],
    [
      "in asyncio.run",
      "async def main():\n    return await asyncio.gather(f(1), f(2))\nprint(asyncio.run(main()))",
      "[1, 2]",
    ],
    [
      "in a Runner in plain code",
      "async def main(): return await asyncio.gather(f(1), f(2))\ndef plain():\n    with asyncio.Runner() as runner: return runner.run(main())\nprint(plain())",
      "[1, 2]",
    ],
  ])("two %s", async (_, code, text) => {
    expect(await printed({ f: meeting(2) }, code)).toBe(text);
  });

  it("arrive by as_completed as they are answered", async () => {
    const code =
      "print([await x for x in asyncio.as_completed([f('c', 150), f('a', 1), f('b', 60)])])";
    expect(await printed({ f: later }, code)).toBe("['a', 'b', 'c']");
  });

  it("are as many as a semaphore allows", async () => {
    let open = 0;
    let most = 0;
    const f = async () => {
      most = Math.max(most, ++open);
      await sleep(2);
      open--;
    };
    const code = `gate = asyncio.Semaphore(3)
async def one():
    async with gate: await f()
await asyncio.gather(*[one() for _ in range(20)])`;
    await printed({ f }, code);
    expect(most).toBe(3);
  });

  it("run while Python computes and sleeps", async () => {
    const code = `import time
call = asyncio.create_task(f(7, 20))
await asyncio.sleep(0)
time.sleep(0.05)
sum(range(100_000))
print(call.done(), await call)`;
    expect(await printed({ f: later }, code)).toBe("False 7");
  });

  it("feed a queue", async () => {
    const code = `queue = asyncio.Queue(2)
async def produce():
    for i in range(10): await queue.put(await f(i, 0))
    await queue.put(None)
async def consume():
    seen = []
    while (item := await queue.get()) is not None: seen.append(item)
    return seen
print((await asyncio.gather(produce(), consume()))[1])`;
    expect(await printed({ f: later }, code)).toBe(
      "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
    );
  });
});

/** A function `f` whose calls have `value` as their answer once `answer` was called. */
function answered(value: unknown) {
  let answer = () => {};
  const given = new Promise<void>((resolve) => (answer = resolve));
  return { f: () => given.then(() => value), answer: () => answer() };
}

describe("a wait that is given up", () => {
  it.each([
    ["wait_for", "await asyncio.wait_for(f(), 0.03)"],
    ["timeout", "async with asyncio.timeout(0.03): await f()"],
    [
      "timeout_at",
      "async with asyncio.timeout_at(asyncio.get_running_loop().time() + 0.03): await f()",
    ],
  ])("by %s is a TimeoutError", async (_, statement) => {
    const code = `try:\n    ${statement.replace(": await", ":\n        await")}\nexcept TimeoutError as e: print(type(e).__name__)\nprint(await g())`;
    expect(await printed({ f: never, g: () => 1 }, code)).toBe(
      "TimeoutError\n1",
    );
  });

  it("by wait with a timeout leaves the call open", async () => {
    const code = `task = asyncio.create_task(f())
done, pending = await asyncio.wait([task], timeout=0.01)
await answer()
print(len(done), len(pending), await task)`;
    expect(await printed(answered(5), code)).toBe("0 1 5");
  });

  it("by shield leaves the call open", async () => {
    const code = `task = asyncio.create_task(f())
try: await asyncio.wait_for(asyncio.shield(task), 0.01)
except TimeoutError: print('timeout')
await answer()
print(await task)`;
    expect(await printed(answered(5), code)).toBe("timeout\n5");
  });

  it("by a failing sibling of a TaskGroup is cancelled", async () => {
    const signals: AbortSignal[] = [];
    const wait = {
      fn: (_: unknown, { signal }: { signal: AbortSignal }) => {
        signals.push(signal);
        return never();
      },
    };
    const fail = async () => {
      await sleep(5);
      throw new Error("no");
    };
    const code = `try:
    async with asyncio.TaskGroup() as group:
        for _ in range(3): group.create_task(wait())
        group.create_task(fail())
except* CallbackError as group: print([str(e) for e in group.exceptions])`;
    expect(await printed({ wait, fail }, code)).toBe("['Error: no']");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });

  it("by race of two calls cancels the slower one", async () => {
    const code = `tasks = [asyncio.create_task(g()), asyncio.create_task(f('fast', 1))]
done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
print([task.result() for task in done])
for task in pending: task.cancel()
print(await asyncio.gather(*pending, return_exceptions=True))`;
    expect(await printed({ f: later, g: never }, code)).toBe(
      "['fast']\n[CancelledError('')]",
    );
  });

  it("may clean up with another call", async () => {
    const seen: string[] = [];
    const callbacks = {
      f: never,
      note: (text: string) => void seen.push(text),
    };
    const code = `async def work():
    try: await f()
    finally: await note('cleaned')
task = asyncio.create_task(work())
await asyncio.sleep(0.01)
task.cancel()
try: await task
except asyncio.CancelledError: print('cancelled')`;
    expect(await printed(callbacks, code)).toBe("cancelled");
    expect(seen).toEqual(["cleaned"]);
  });
});

describe("two loops", () => {
  it.each([
    ["the inner one's comes first", 3, 1],
    ["the outer one's comes first", 1, 4],
  ])("get their own answers, where %s", async (_, outer, inner) => {
    const code = `task = asyncio.create_task(f('outer', ${outer * 10}))
await asyncio.sleep(0)
print(asyncio.run(f('inner', ${inner * 10})), await task)`;
    expect(await printed({ f: later }, code)).toBe("inner outer");
  });
});

describe("a callback may run Python", () => {
  it("in its own sandbox", async () => {
    const sandbox: Sandbox = new Sandbox({
      callbacks: {
        factorial: async (n: number) => {
          if (n === 0) return 1;
          const inputs = { n };
          const code = "n * await factorial(n - 1)";
          return (await sandbox.execute(code, { inputs })).value;
        },
      },
    });
    const { value } = await sandbox.execute("await factorial(20)");
    expect(value).toBe(2432902008176640000n);
  });

  it("in another sandbox, whose error it hands on", async () => {
    const other = new Sandbox();
    const f = async (code: string) => (await other.execute(code)).value;
    const code = `print(await f('6 * 7'))
try: await f('1/0')
except CallbackError as e: print(e)`;
    expect(await printed({ f }, code)).toBe(
      "42\nExecutionError: ZeroDivisionError: division by zero",
    );
  });

  it("many at once", async () => {
    const sandbox: Sandbox = new Sandbox({
      callbacks: {
        square: async (n: number) =>
          (await sandbox.execute("n * n", { inputs: { n } })).value,
      },
    });
    const code =
      "import asyncio\nresult = sum(await asyncio.gather(*map(square, range(50))))";
    expect((await sandbox.execute(code)).result).toBe(40_425);
  });
});

describe("answers are never mixed up", () => {
  it("among the runs of one sandbox", async () => {
    const f = async (run: number, n: number) => {
      await sleep((n * 7 + run * 3) % 5);
      return [run, n];
    };
    const sandbox = new Sandbox({ callbacks: { f } });
    const code = `import asyncio
answers = await asyncio.gather(*[f(run, n) for n in range(20)])
result = answers == [[run, n] for n in range(20)]`;
    const runs = Array.from({ length: 40 }, (_, run) =>
      sandbox.execute(code, { inputs: { run } }),
    );
    for (const { result, callbackInvocations } of await Promise.all(runs))
      expect([result, callbackInvocations]).toEqual([true, 20]);
  });

  it("among sandboxes", async () => {
    const sandboxes = Array.from(
      { length: 20 },
      (_, n) =>
        new Sandbox({
          callbacks: {
            [`only${n}`]: () => n,
            f: async () => {
              await sleep(n % 3);
              return n;
            },
          },
        }),
    );
    const results = await Promise.all(
      sandboxes.map((sandbox, n) =>
        sandbox.execute(
          `result = [await f(), await only${n}(), len(list_callbacks())]`,
        ),
      ),
    );
    expect(results.map(({ result }) => result)).toEqual(
      sandboxes.map((_, n) => [n, n, 2]),
    );
  });

  it("when some are given up and come late", async () => {
    const answers: (() => void)[] = [];
    const f = (n: number) =>
      new Promise((resolve) => answers.push(() => resolve(n)));
    const flush = () => {
      for (const answer of answers.splice(0)) answer();
    };
    const code = `gone = [asyncio.create_task(f(-i)) for i in range(5)]
await asyncio.sleep(0)
for task in gone: task.cancel()
kept = [asyncio.create_task(f(i)) for i in range(5)]
await asyncio.sleep(0)
await flush()
print(await asyncio.gather(*kept))
print({type(e).__name__ for e in await asyncio.gather(*gone, return_exceptions=True)})`;
    expect(await printed({ f, flush }, code)).toBe(
      "[0, 1, 2, 3, 4]\n{'CancelledError'}",
    );
  });
});

describe("a run with open calls", () => {
  it("ends when its code does", async () => {
    const code =
      "task = asyncio.create_task(f())\nawait asyncio.sleep(0)\nprint('end')";
    expect(await printed({ f: never }, code)).toBe("end");
  });

  it("ends when its code fails", async () => {
    const sandbox = new Sandbox({ callbacks: { f: never } });
    const code =
      "import asyncio\nawait asyncio.gather(f(), f(), asyncio.sleep(0), 1)";
    const error = await catchRejection(sandbox.execute(code));
    expect(error.message).toMatch(/^TypeError: /);
  });

  it("waits for an answer, and is no deadlock", async () => {
    const code = "print(await f('x', 300))";
    expect(await printed({ f: later }, code)).toBe("x");
  });

  it("is a deadlock once no call is open", async () => {
    const sandbox = new Sandbox({ callbacks: { f: () => 1 } });
    const code = "import asyncio\nawait f()\nawait asyncio.Event().wait()";
    expect((await catchRejection(sandbox.execute(code))).message).toMatch(
      /^RuntimeError: deadlock: every task waits/,
    );
  });

  it("lets left-over tasks clean up with calls", async () => {
    const code = `async def work():
    try: await asyncio.sleep(99)
    finally: print(await f('cleaned'))
task = asyncio.create_task(work())
await asyncio.sleep(0)`;
    expect(await printed({ f: later }, code)).toBe("cleaned");
  });

  it("may be cancelled, and its sandbox closed, in a call", async () => {
    const sandbox: Sandbox = new Sandbox({
      callbacks: {
        cancel: () => handle.cancel(),
        close: () => sandbox.close(),
      },
    });
    const handle = sandbox.executeCancellable("await cancel()\nawait cancel()");
    expect((await catchRejection(handle.wait())).code).toBe("ERYX_CANCELLED");
    const closed = sandbox.execute("await close()\nawait close()");
    expect((await catchRejection(closed)).code).toBe("ERYX_CANCELLED");
  });

  it("leaves other runs alone when it is cancelled", async () => {
    const sandbox = new Sandbox({ callbacks: { f: later, never } });
    const handle = sandbox.executeCancellable("await never()");
    const other = sandbox.execute("await f(1, 50)");
    await sleep(20);
    handle.cancel();
    expect((await catchRejection(handle.wait())).code).toBe("ERYX_CANCELLED");
    expect((await other).value).toBe(1);
  });
});
