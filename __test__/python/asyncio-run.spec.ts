import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Sandbox, Session } from "../../index.js";
import {
  catchExecutionError,
  catchRejection,
  getStdout,
  run,
} from "../helpers.js";

const MAIN = `
import asyncio, sys
async def main(n=1):
    await asyncio.sleep(0.001)
    return n
`;
/** More than a source that is compiled at once. */
const PADDING = "x = 1\n".repeat(12_000);

const callbacks = { echo: (value: unknown) => value };

describe("around asyncio.run at the top level", () => {
  it.each([
    [
      "no loop runs",
      `def loop():
    try: return asyncio.get_running_loop()
    except RuntimeError as e: return str(e)
print(loop(), asyncio.run(main()), loop())
try: asyncio.current_task()
except RuntimeError as e: print(e)
try: asyncio.get_event_loop()
except RuntimeError: print("none")`,
      "no running event loop 1 no running event loop\nno running event loop\nnone",
    ],
    [
      "each call has a loop of its own, which is closed",
      `loops = []
async def f(): loops.append(asyncio.get_running_loop())
asyncio.run(f()), asyncio.run(f())
print(loops[0] is loops[1], [loop.is_closed() for loop in loops])`,
      "False [True, True]",
    ],
    [
      "context variables are read there and not written",
      `import contextvars
v = contextvars.ContextVar("v", default=0)
v.set(1)
async def f():
    v.set(v.get() + 1)
    return v.get()
print(asyncio.run(f()), v.get())`,
      "2 1",
    ],
    [
      "what is being handled is seen there",
      `async def f():
    await asyncio.sleep(0.001)
    try: raise KeyError("k")
    except KeyError as e: return repr(sys.exception()), repr(e.__context__)
try: 1 / 0
except ZeroDivisionError: print(asyncio.run(f()), repr(sys.exception()))
try:
    try: 1 / 0
    finally: asyncio.run(main())
except ZeroDivisionError as e: print(e.__context__)`,
      `("KeyError('k')", "ZeroDivisionError('division by zero')") ZeroDivisionError('division by zero')\nNone`,
    ],
    [
      "the namespace holds nothing else",
      `asyncio.run(main())
print([name for name in globals() if name[:2] != "__"])`,
      "['asyncio', 'sys', 'main']",
    ],
    [
      "a trace function goes on",
      `seen = []
def trace(frame, event, arg):
    if frame.f_code.co_name == "f": seen.append(event)
    return trace
async def f(): await asyncio.sleep(0.001)
sys.settrace(trace)
asyncio.run(f())
sys.settrace(None)
print(seen)
seen = []
def profile(frame, event, arg):
    if frame.f_code.co_name == "f": seen.append(event)
sys.setprofile(profile)
asyncio.run(f())
sys.setprofile(None)
print(seen)`,
      "['call', 'line', 'return', 'call', 'exception', 'return']\n['call', 'return', 'call', 'return']",
    ],
    [
      "functions run loops of their own",
      `def f(): return asyncio.run(main(2))
async def g(): return f() + asyncio.run(main(3))
print(f(), asyncio.run(g()), (lambda: asyncio.run(main(4)))(), [*(asyncio.run(main(n)) for n in (5, 6))])
class A: x = asyncio.run(main(7))
print(A.x)`,
      "2 5 4 [5, 6]\n7",
    ],
    [
      "code may also await",
      `async def tick():
    while True: await asyncio.sleep(0.001)
task = asyncio.create_task(tick())
loop = asyncio.get_running_loop()
print(asyncio.run(main(1)), await main(2), asyncio.run(main(3)))
print(loop is asyncio.get_running_loop(), task.done(), asyncio.current_task().get_name())
try: asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 0.01))
except TimeoutError: print("timeout")
inner, unused = asyncio.new_event_loop(), main()
try: inner.run_until_complete(unused)
except RuntimeError as e: print(e)
unused.close()`,
      "1 2 3\nTrue False main\ntimeout\nCannot run the event loop while another loop is running",
    ],
  ])("%s", async (_, code, text) => {
    expect(await run(MAIN + code)).toMatchObject({ stdout: text, stderr: "" });
  });
});

describe("what it is given", () => {
  it.each([
    [
      "is awaitable or refused",
      `class A:
    def __await__(self):
        yield from asyncio.sleep(0.001).__await__()
        return 7
print(asyncio.run(A()))
for bad in (None, main):
    try: asyncio.run(bad)
    except TypeError as e: print(e)`,
      "7\nAn asyncio.Future, a coroutine or an awaitable is required\nAn asyncio.Future, a coroutine or an awaitable is required",
    ],
    [
      "is counted",
      `for arguments in ([], [1, 2]):
    try: asyncio.run(*arguments)
    except TypeError as e: print(e)
try: asyncio.run(None, bogus=1)
except TypeError as e: print(e)`,
      "run() missing 1 required positional argument: 'main'\nrun() takes 1 positional argument but 2 were given\nrun() got an unexpected keyword argument 'bogus'",
    ],
    [
      "may be debug or a loop factory",
      `async def f():
    await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    return loop.get_debug(), type(loop).__name__
class Other(asyncio.BaseEventLoop): pass
made = []
def factory():
    made.append(asyncio.new_event_loop())
    return made[-1]
print(asyncio.run(f(), debug=True), asyncio.run(f(), debug=False, loop_factory=factory), made[0].is_closed())
class Mine(type(made[0])): pass
print(asyncio.run(f(), loop_factory=Mine))`,
      "(True, '_UnixSelectorEventLoop') (False, '_UnixSelectorEventLoop') True\n(False, 'Mine')",
    ],
  ])("%s", async (_, code, text) => {
    expect(await run(MAIN + code)).toMatchObject({ stdout: text, stderr: "" });
  });
});

describe("how it ends", () => {
  it.each([
    [
      "tasks that are left are cancelled, generators closed",
      `async def left():
    try: await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.001)
        print("cleaned")
async def g():
    try: yield 1
    finally:
        await asyncio.sleep(0.001)
        print("closed")
async def f():
    global task, generator
    task, generator = asyncio.create_task(left()), g()
    print(await anext(generator))
asyncio.run(f())
print(task.cancelled())`,
      "1\ncleaned\nclosed\nTrue",
    ],
    [
      "ready tasks take one more step",
      `order = []
async def other(name):
    for n in range(5):
        order.append(name + str(n))
        await asyncio.sleep(0)
async def f():
    for name in "ab": asyncio.create_task(other(name))
    await asyncio.sleep(0)
asyncio.run(f())
print(*order)`,
      "a0 b0 a1 b1",
    ],
    [
      "a task may cancel itself, or stop the loop",
      `async def f():
    asyncio.current_task().cancel()
    await asyncio.sleep(60)
try: asyncio.run(f())
except asyncio.CancelledError: print("cancelled")
async def g():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(60)
try: asyncio.run(g())
except RuntimeError as e: print(e)`,
      "cancelled\nEvent loop stopped before Future completed.",
    ],
    [
      "exits and interrupts pass",
      `import signal
async def child(): sys.exit(4)
async def f():
    task = asyncio.create_task(child())
    try: await asyncio.sleep(60)
    finally: print("cleaned")
try: asyncio.run(f())
except SystemExit as e: print("exit", e.code)
async def g(): raise KeyboardInterrupt
try: asyncio.run(g())
except KeyboardInterrupt: print("interrupt")
async def h():
    signal.raise_signal(signal.SIGINT)
    try: await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled")
        raise
try: asyncio.run(h())
except KeyboardInterrupt: print("interrupt")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)`,
      "cleaned\nexit 4\ninterrupt\ncancelled\ninterrupt\nTrue",
    ],
    [
      "errors may be caught",
      `async def bad(n): raise ValueError(n)
async def f():
    async with asyncio.TaskGroup() as g:
        for n in range(2): g.create_task(bad(n))
try: asyncio.run(f())
except* ValueError as e: print(e.exceptions)
import contextlib
with contextlib.suppress(ValueError): asyncio.run(bad(1))
print(sys.exception())
try: asyncio.run(asyncio.Event().wait())
except RuntimeError as e: print(e)`,
      "(ValueError(0), ValueError(1))\nNone\ndeadlock: every task waits, and nothing is left that could wake one",
    ],
  ])("%s", async (_, code, text) => {
    expect((await run(MAIN + code)).stdout).toBe(text);
  });

  it("errors of tasks that are left are told on stderr", async () => {
    const code = `async def left():
    try: await asyncio.sleep(60)
    finally: raise KeyError("left")
async def f():
    asyncio.create_task(left())
    await asyncio.sleep(0)
asyncio.run(f())
main()
x = 1`;
    const { stderr } = await run(MAIN + code);
    expect(stderr).toMatch(
      /^unhandled exception during asyncio\.run\(\) shutdown\n/,
    );
    expect(stderr).toContain("KeyError: 'left'");
    expect(stderr).toContain(
      "<sandbox>:13: RuntimeWarning: coroutine 'main' was never awaited\n  main()",
    );
    expect(stderr).not.toContain("eryx");
  });

  it("an error has the user's lines and carets", async () => {
    const code = `import asyncio
async def main():
    await asyncio.sleep(0.001)
    raise ValueError("x")
x = [1,
  asyncio.run(
    main())]`;
    expect((await catchExecutionError(code)).traceback)
      .toBe(`Traceback (most recent call last):
  File "<sandbox>", line 6, in <module>
    asyncio.run(
    ~~~~~~~~~~~^
      main())]
      ^^^^^^^
  File "<sandbox>", line 4, in main
    raise ValueError("x")
ValueError: x`);
  });

  it.each([
    ["sys.exit(asyncio.run(main(3)))", "SystemExit: 3"],
    ["asyncio.run(main())\nnext(iter(()))", "StopIteration"],
    [
      `${PADDING}asyncio.run(main())\n${PADDING}raise StopIteration(4)\n${PADDING}`,
      "StopIteration: 4",
    ],
    [`asyncio.run(main())\n${PADDING}1 / 0`, "ZeroDivisionError: division"],
    ["asyncio.run(main())\nreturn 1", "SyntaxError: 'return' outside function"],
    ["asyncio.run(main()", "SyntaxError: '(' was never closed"],
  ])("%#: the end of the code is that of the run", async (code, message) => {
    const error = await catchExecutionError(MAIN + code);
    expect(error.message.slice(0, message.length)).toBe(message);
    expect(error.traceback).not.toContain("During handling");
  });

  it("the value of a last expression is the run's", async () => {
    expect((await run(`${MAIN}asyncio.run(main(5)) + 1`)).value).toBe(6);
  });

  it.each([
    [
      "that waits",
      "async def f():\n    try: await asyncio.sleep(60)\n    finally: print('inner')",
    ],
    [
      "that computes",
      "async def f():\n    try:\n        while True: pass\n    finally: print('inner')",
    ],
    [
      "that never rests",
      "async def f():\n    try:\n        while True: await asyncio.sleep(0)\n    finally: print('inner')",
    ],
  ])("the deadline of code %s raises there", async (_, code) => {
    for (const first of ["", "await asyncio.sleep(0)\n"]) {
      const whole = `${MAIN}${code}\n${first}try: asyncio.run(f())\nfinally: print('outer')`;
      const error = await catchRejection(run(whole, { timeoutMs: 200 }));
      expect(error).toMatchObject({
        code: "ERYX_TIMEOUT",
        stdout: "inner\nouter",
        stderr: "",
      });
    }
  });
});

describe("where it stands", () => {
  it.each([
    [
      "in expressions",
      `print(asyncio.run(main(asyncio.run(main(1)) + asyncio.run(main(2)))), f"{asyncio.run(main())!r:>3}")
print([asyncio.run(main(n)) for n in range(2)], {asyncio.run(main(n)): 1 for n in range(2) if asyncio.run(main(n))})
print(asyncio.run(main(0)) or asyncio.run(main(4)), *asyncio.run(main([5])), sep=asyncio.run(main("-")))`,
      "3   1\n[0, 1] {1: 1}\n4-5",
    ],
    [
      "in statements",
      `if asyncio.run(main(0)): pass
elif asyncio.run(main(1)): print("elif")
while asyncio.run(main(0)): pass
else: print("else")
for n in asyncio.run(main([1])): print("for", n)
match asyncio.run(main(2)):
    case 2 if asyncio.run(main(1)): print("case")
try: raise KeyError
except* KeyError: print("except", asyncio.run(main(3)))
finally: print("finally", asyncio.run(main(4)))
d: dict = {}
d[asyncio.run(main("k"))] = asyncio.run(main("v"))
d["n"] = 1
d["n"] += asyncio.run(main(1))
assert asyncio.run(main(1)), asyncio.run(main(2))
print(d)`,
      "elif\nelse\nfor 1\ncase\nexcept 3\nfinally 4\n{'k': 'v', 'n': 2}",
    ],
    [
      "in what definitions evaluate",
      `@asyncio.run(main(lambda f: f))
def f(a=asyncio.run(main(1)), *, b=asyncio.run(main(2))): return a, b
class A(asyncio.run(main(dict)), metaclass=asyncio.run(main(type))): pass
class B[T](asyncio.run(main(list))): pass
def g[T](a=asyncio.run(main(3))): return a
type C = asyncio.run(main(int))
print(f(), issubclass(A, dict), issubclass(B, list), g(), C.__value__)`,
      "(1, 2) True True 3 <class 'int'>",
    ],
    [
      "below other names",
      `import asyncio as aio
from asyncio import run
print(aio.run(main(1)), run(main(2)))
from asyncio import *
print(run(main(3)))`,
      "1 2\n3",
    ],
    [
      "as a method of a Runner or a loop",
      `with asyncio.Runner() as runner:
    print(runner.run(main(1)), runner.run(main(2)))
    try: runner.run()
    except TypeError as e: print(e)
loop = asyncio.new_event_loop()
future = loop.create_future()
loop.call_later(0.001, future.set_result, 3)
print(loop.run_until_complete(future), loop.run_until_complete(main(4)))
try: loop.run_until_complete()
except TypeError as e: print(e)
loop.close()
last = main()
try: loop.run_until_complete(last)
except RuntimeError as e: print(e)
last.close()`,
      "1 2\nRunner.run() missing 1 required positional argument: 'coro'\n3 4\nBaseEventLoop.run_until_complete() missing 1 required positional argument: 'future'\nEvent loop is closed",
    ],
  ])("%s", async (_, code, text) => {
    expect(await run(MAIN + code)).toMatchObject({ stdout: text, stderr: "" });
  });

  it("in a library, which runs without a loop", async () => {
    const python = `${MAIN}made = asyncio.run(main(5))`;
    const library = new RuntimeLibrary({ python });
    const sandbox = new Sandbox({ libraries: [library] });
    for (const code of ["made", "asyncio.run(main(made))", "await main(made)"])
      expect((await sandbox.execute(code)).value).toBe(5);
  });

  it("in a session, after an import of an earlier execution", async () => {
    await using session = new Session({ callbacks });
    await session.execute(
      `${MAIN}import asyncio as aio\nfrom asyncio import run\nloop = aio.new_event_loop()`,
    );
    for (const code of ["run(main(1))", "aio.run(echo(1))", "await echo(1)"])
      expect((await session.execute(code)).value).toBe(1);
    const { value } = await session.execute("loop.run_until_complete(echo(2))");
    expect(value).toBe(2);
  });

  it("has the trace of any other call", async () => {
    const code = `import asyncio
async def main():
    await asyncio.sleep(0.001)
    raise KeyError
try:
    asyncio.run(
        main()
    )
except KeyError: pass`;
    const { trace } = await run(code, { trace: true });
    const lines = trace?.map(({ kind, line }) => `${kind} ${line}`);
    expect(lines?.join(", ")).toBe(
      "call 1, line 1, line 2, line 5, line 6, line 7, line 6, call 2, line 3, line 4, exception 4, exception 6, line 9, return 9",
    );
  });
});

describe("what only looks like it", () => {
  it("is called as it is", async () => {
    const code = `
class asyncio:
    def run(*args, **kwargs):
        log.append((args, kwargs))
        if args == (3,): raise ValueError(3)
        return coroutine
def note(x):
    log.append(x)
    return x
async def f(): pass
log, coroutine = [], f()
print(asyncio.run(note(1), *[note(2)], k=note(3)) is coroutine, log)
coroutine.close()
del log[:]
try: later.run_until_complete(note(1))
except NameError as e: print(e, log)
later = 5
try: later.run_until_complete(note(1))
except AttributeError as e: print(e, log)
asyncio.run(
    3)`;
    const error = await catchExecutionError(code);
    expect(error.stdout).toBe(
      "True [1, 2, 3, ((1, 2), {'k': 3})]\nname 'later' is not defined []\n'int' object has no attribute 'run_until_complete' []",
    );
    expect(error.traceback).toBe(`Traceback (most recent call last):
  File "<sandbox>", line 20, in <module>
    asyncio.run(
    ~~~~~~~~~~~^
        3)
        ^^
  File "<sandbox>", line 5, in run
    if args == (3,): raise ValueError(3)
                     ^^^^^^^^^^^^^^^^^^^
ValueError: 3`);
  });

  it("may be a patch of it", async () => {
    const code = `original = asyncio.run
def patched(main, **options):
    print("patched")
    return original(main, **options)
asyncio.run = patched
print(asyncio.run(main(2)))`;
    expect(await getStdout(MAIN + code)).toBe("patched\n2");
  });
});

/** What a native Python of a fitting version prints, or null. */
function nativePrints(code: string): string | null {
  try {
    return execFileSync("python3", ["-c", code], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}
const isThere =
  nativePrints("import sys; print(sys.version_info >= (3, 11))") === "True";

describe.skipIf(!isThere)("as a native Python prints it", () => {
  it.each([
    [
      "the order of steps and clean-ups",
      `log = []
async def worker(name, steps):
    try:
        for n in range(steps):
            log.append(f"{name}{n}")
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        log.append(f"{name}x")
        raise
    finally: log.append(f"{name}.")
async def f():
    tasks = [asyncio.create_task(worker(name, steps)) for name, steps in (("a", 2), ("b", 9))]
    await asyncio.gather(tasks[0], worker("c", 1))
    return [task.done() for task in tasks]
print(asyncio.run(f()), log)
log.append("|")
print(asyncio.run(f()), log)`,
    ],
    [
      "a lock that an earlier run waited for",
      `lock = asyncio.Lock()
async def hold():
    async with lock: await asyncio.sleep(0.001)
async def f(): await asyncio.gather(hold(), hold())
asyncio.run(f())
try: asyncio.run(f())
except RuntimeError as e: print(str(e).split(" is ")[-1])`,
    ],
    [
      "a bare raise there",
      `async def f():
    await asyncio.sleep(0.001)
    raise
try:
    try: 1 / 0
    except ZeroDivisionError: asyncio.run(f())
except Exception as e: print(repr(e), repr(e.__context__))`,
    ],
    [
      "a StopIteration there",
      `async def f(): raise StopIteration(3)
try: asyncio.run(f())
except RuntimeError as e: print(repr(e), repr(e.__cause__))`,
    ],
    [
      "queues, timeouts and shields",
      `async def f():
    queue = asyncio.Queue(1)
    async def produce():
        for n in range(4): await queue.put(n)
    task = asyncio.create_task(produce())
    got = [await queue.get() for _ in range(4)]
    try:
        async with asyncio.timeout(0.01): await asyncio.shield(asyncio.sleep(0.05))
    except TimeoutError: got.append("timeout")
    return got, await asyncio.to_thread(lambda: 5)
print(asyncio.run(f()))`,
    ],
  ])("%s", async (_, code) => {
    expect(await getStdout(MAIN + code)).toBe(nativePrints(MAIN + code));
  });
});
