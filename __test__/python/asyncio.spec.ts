import { describe, expect, it } from "vitest";
import { catchExecutionError, getStdout, run } from "../helpers.js";

describe("await at the top level", () => {
  it.each([
    ["in a statement", "import asyncio\nawait asyncio.sleep(0)\nprint(1)", "1"],
    ["in an expression", "async def f(): return 2\nprint(1 + await f())", "3"],
    [
      "async for",
      "async def g():\n    yield 1\n    yield 2\nasync for x in g(): print(x)",
      "1\n2",
    ],
    [
      "async with",
      "import asyncio\nlock = asyncio.Lock()\nasync with lock: print(lock.locked())\nprint(lock.locked())",
      "True\nFalse",
    ],
    [
      "in a comprehension",
      "async def f(x): return x * 2\nprint([await f(x) for x in range(3)])",
      "[0, 2, 4]",
    ],
    [
      "an async comprehension",
      "async def g():\n    for i in range(3): yield i\nprint({i: i async for i in g()})",
      "{0: 0, 1: 1, 2: 2}",
    ],
    [
      "in a class body's namespace",
      "async def f(): return 1\nx = await f()\nclass A: y = x\nprint(A.y)",
      "1",
    ],
    [
      "in try and finally",
      "import asyncio\ntry: await asyncio.sleep(0)\nfinally: print('f')",
      "f",
    ],
  ])("%s", async (_, code, text) => {
    expect(await getStdout(code)).toBe(text);
  });

  it("leaves functions without async as they are", async () => {
    const error = await catchExecutionError("def f():\n    await g()");
    expect(error.message).toBe(
      "SyntaxError: 'await' outside async function (<sandbox>, line 2)",
    );
  });

  it("of something that cannot be awaited is a TypeError", async () => {
    expect((await catchExecutionError("await 1")).pythonType).toBe("TypeError");
  });

  it("has a running loop", async () => {
    const code =
      "import asyncio\nawait asyncio.sleep(0)\nprint(asyncio.get_running_loop().is_running(), asyncio.current_task() is not None)";
    expect(await getStdout(code)).toBe("True True");
  });
});

describe("asyncio.run", () => {
  it("in sync code", async () => {
    const code =
      "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 5\nprint(asyncio.run(f()))";
    expect(await getStdout(code)).toBe("5");
  });

  it("twice", async () => {
    const code =
      "import asyncio\nasync def f(): return 5\nprint(asyncio.run(f()), asyncio.run(f()))";
    expect(await getStdout(code)).toBe("5 5");
  });

  it("in a function that async code calls", async () => {
    const code =
      "import asyncio\nasync def f(): return 5\ndef g(): return asyncio.run(f())\nawait asyncio.sleep(0)\nprint(g())";
    const result = await run(code);
    expect(result).toMatchObject({ stdout: "5", stderr: "" });
  });

  it("in code that awaits as well", async () => {
    const code =
      "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 5\nawait asyncio.sleep(0)\nprint(asyncio.run(f()))\nawait asyncio.sleep(0)\nprint(6)";
    const result = await run(code);
    expect(result).toMatchObject({ stdout: "5\n6", stderr: "" });
  });

  it("passes on what the coroutine raises", async () => {
    const code =
      "import asyncio\nasync def f(): raise KeyError(1)\nasyncio.run(f())";
    expect((await catchExecutionError(code)).message).toBe("KeyError: 1");
  });

  it("by hand: new_event_loop, run_until_complete, close", async () => {
    const code =
      "import asyncio\nloop = asyncio.new_event_loop()\nprint(loop.run_until_complete(asyncio.sleep(0.01, 7)))\nloop.close()";
    expect(await getStdout(code)).toBe("7");
  });

  it("asyncio.Runner", async () => {
    const code =
      "import asyncio\nwith asyncio.Runner() as r: print(r.run(asyncio.sleep(0, 1)), r.run(asyncio.sleep(0, 2)))";
    expect(await getStdout(code)).toBe("1 2");
  });
});

describe("tasks", () => {
  it("of gather run side by side", async () => {
    const code = `
import asyncio
running = most = 0
async def f(n):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.1)
    running -= 1
    return n
print(await asyncio.gather(*(f(n) for n in range(50))) == list(range(50)), most)`;
    expect(await getStdout(code)).toBe("True 50");
  });

  it("of gather raise the first error, or return them", async () => {
    const code = `
import asyncio
async def f(n):
    await asyncio.sleep(n / 100)
    raise ValueError(n)
print(await asyncio.gather(f(1), f(2), return_exceptions=True))
try: await asyncio.gather(f(2), f(1))
except ValueError as e: print(e)`;
    expect(await getStdout(code)).toBe("[ValueError(1), ValueError(2)]\n1");
  });

  it("of a TaskGroup are cancelled with their sibling", async () => {
    const code = `
import asyncio
async def bad():
    await asyncio.sleep(0.01)
    raise ValueError("x")
async def good():
    try: await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled")
        raise
try:
    async with asyncio.TaskGroup() as g:
        g.create_task(bad())
        g.create_task(good())
except* ValueError as e:
    print(e.exceptions)`;
    expect(await getStdout(code)).toBe("cancelled\n(ValueError('x'),)");
  });

  it("left over at the end do not run on, and do not hold the run up", async () => {
    const code =
      "import asyncio\nasync def f():\n    await asyncio.sleep(1e6)\n    print('late')\nt = asyncio.create_task(f())\nawait asyncio.sleep(0)\nprint('end')";
    expect(await getStdout(code)).toBe("end");
  });

  it("can be cancelled", async () => {
    const code =
      "import asyncio\nt = asyncio.create_task(asyncio.sleep(60))\nawait asyncio.sleep(0)\nt.cancel()\ntry: await t\nexcept asyncio.CancelledError: print('cancelled', t.cancelled())";
    expect(await getStdout(code)).toBe("cancelled True");
  });

  it("time out", async () => {
    const code =
      "import asyncio\ntry:\n    async with asyncio.timeout(0.02): await asyncio.sleep(60)\nexcept TimeoutError: print('timeout')\ndone, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(60))], timeout=0.02)\nprint(len(done), len(pending))";
    expect(await getStdout(code)).toBe("timeout\n0 1");
  });

  it("are shielded", async () => {
    const code =
      "import asyncio\nt = asyncio.create_task(asyncio.sleep(0.05, 'done'))\ntry: await asyncio.wait_for(asyncio.shield(t), 0.01)\nexcept TimeoutError: print(await t)";
    expect(await getStdout(code)).toBe("done");
  });

  it("raise what nobody awaited to stderr, and the run succeeds", async () => {
    const code =
      "import asyncio, gc\nasync def f(): raise ValueError('lost')\nt = asyncio.create_task(f())\nawait asyncio.sleep(0)\ndel t\ngc.collect()\nprint('end')";
    const result = await run(code);
    expect(result.stdout).toBe("end");
    expect(result.stderr).toContain("Task exception was never retrieved");
    expect(result.stderr).toContain("ValueError: lost");
  });

  it("that wait for one another for ever are an error at once", async () => {
    const error = await catchExecutionError(
      "import asyncio\nawait asyncio.Event().wait()",
    );
    expect(error.message).toBe(
      "RuntimeError: deadlock: every task waits, and nothing is left that could wake one",
    );
  });

  it("use to_thread, which runs the function at once", async () => {
    const code =
      "import asyncio\nprint(await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(4))))";
    expect(await getStdout(code)).toBe("[1, 2, 4, 8]");
  });

  it("keep context variables apart", async () => {
    const code = `
import asyncio, contextvars
v = contextvars.ContextVar("v", default=0)
async def f(n):
    v.set(n)
    await asyncio.sleep(0)
    return v.get()
print(await asyncio.gather(f(1), f(2)), v.get())`;
    expect(await getStdout(code)).toBe("[1, 2] 0");
  });

  it("in thousands", async () => {
    const code =
      "import asyncio\nasync def f(n):\n    await asyncio.sleep(0)\n    return n\nprint(sum(await asyncio.gather(*(f(n) for n in range(5000)))))";
    expect(await getStdout(code)).toBe("12497500");
  });
});

describe("the rest of asyncio", () => {
  it("queue, event, condition, semaphore, barrier", async () => {
    const code = `
import asyncio
q = asyncio.Queue(2)
async def produce():
    for i in range(5): await q.put(i)
    q.shutdown()
async def consume():
    got = []
    try:
        while True: got.append(await q.get())
    except asyncio.QueueShutDown: return got
print((await asyncio.gather(produce(), consume()))[1])
event, semaphore, barrier = asyncio.Event(), asyncio.Semaphore(1), asyncio.Barrier(2)
async def wait():
    await event.wait()
    async with semaphore: pass
    await barrier.wait()
    return 1
t = [asyncio.create_task(wait()) for _ in range(2)]
await asyncio.sleep(0)
event.set()
print(await asyncio.gather(*t))
condition = asyncio.Condition()
async def waiter():
    async with condition: return await condition.wait_for(lambda: True)
print(await waiter())`;
    expect(await getStdout(code)).toBe("[0, 1, 2, 3, 4]\n[1, 1]\nTrue");
  });

  it("async generators are closed at the end", async () => {
    const code =
      "async def g():\n    try:\n        yield 1\n        yield 2\n    finally: print('closed')\nasync for x in g():\n    print(x)\n    break";
    expect(await getStdout(code)).toBe("1\nclosed");
  });

  it("async context managers and exit stacks", async () => {
    const code = `
import contextlib
@contextlib.asynccontextmanager
async def c(n):
    print("in", n)
    yield n
    print("out", n)
async with contextlib.AsyncExitStack() as s:
    for n in range(2): await s.enter_async_context(c(n))`;
    expect(await getStdout(code)).toBe("in 0\nin 1\nout 1\nout 0");
  });

  it("call_later, call_soon and as_completed keep their order", async () => {
    const code = `
import asyncio
loop = asyncio.get_running_loop()
loop.call_later(0.03, print, "b")
loop.call_later(0.01, print, "a")
loop.call_soon(print, "soon")
await asyncio.sleep(0.06)
for f in asyncio.as_completed([asyncio.sleep(0.03, 2), asyncio.sleep(0.01, 1)]): print(await f)`;
    expect(await getStdout(code)).toBe("soon\na\nb\n1\n2");
  });

  it("sleep takes the time that it says", async () => {
    const code =
      "import asyncio, time\nstart = time.monotonic()\nawait asyncio.sleep(0.05)\nprint(time.monotonic() - start >= 0.05)";
    expect(await getStdout(code)).toBe("True");
  });

  it("subprocesses and connections are clear errors", async () => {
    for (const call of [
      "asyncio.create_subprocess_exec('ls')",
      "asyncio.open_connection('example.com', 80)",
    ]) {
      const error = await catchExecutionError(`import asyncio\nawait ${call}`);
      expect(error.message).toMatch(
        /^(NotImplementedError|OSError|PermissionError|socket\.gaierror|RuntimeError)/,
      );
    }
  });

  it("an unawaited coroutine is a warning on stderr", async () => {
    const result = await run("async def f(): pass\nx = f()\ndel x");
    expect(result.stderr).toContain("coroutine 'f' was never awaited");
  });
});
