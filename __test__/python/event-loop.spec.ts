import { describe, expect, it } from "vitest";
import { catchExecutionError, getStdout, run } from "../helpers.js";

describe("asyncio's names for its loop", () => {
  it.each(["EventLoop", "SelectorEventLoop"])(
    "asyncio.%s is the loop that works here",
    async (name) => {
      const { value } = await run(`
import asyncio, selectors
async def f():
    await asyncio.sleep(0.001)
    return type(asyncio.get_running_loop()) is asyncio.${name}
made = [
    asyncio.run(f(), loop_factory=asyncio.${name}),
    asyncio.Runner(loop_factory=asyncio.${name}).run(f()),
    asyncio.run(f()),
]
def inside():
    with asyncio.Runner(loop_factory=lambda: asyncio.${name}()) as runner:
        made.append(runner.run(f()))
    loop = asyncio.${name}(selectors.DefaultSelector())
    made.append(loop.run_until_complete(f()))
    loop.close()
    class Own(asyncio.${name}): pass
    loop = Own()
    made.append(not loop.run_until_complete(f()))
    loop.close()
    return asyncio.run(f(), loop_factory=asyncio.${name})
made.append(inside())
made`);
      expect(value).toEqual(Array(7).fill(true));
    },
  );

  it("are one class, which looks like that of CPython on Linux", async () => {
    const { value } = await run(`
import asyncio
from asyncio import unix_events
loop = asyncio.new_event_loop()
[
    asyncio.EventLoop is asyncio.SelectorEventLoop is unix_events.EventLoop is unix_events._UnixSelectorEventLoop,
    type(loop) is asyncio.EventLoop,
    repr(loop),
    isinstance(loop, asyncio.BaseEventLoop),
]`);
    expect(value).toEqual([
      true,
      true,
      "<_UnixSelectorEventLoop running=False closed=False debug=False>",
      true,
    ]);
  });

  it("work by the default policy, set anew too", async () => {
    const out = await getStdout(`
import asyncio, warnings
warnings.simplefilter("ignore")
async def f(): return type(asyncio.get_running_loop()) is asyncio.EventLoop
for policy in (asyncio.DefaultEventLoopPolicy(), None):
    asyncio.set_event_loop_policy(policy)
    print(asyncio.run(f()), type(asyncio.new_event_loop()) is asyncio.EventLoop)`);
    expect(out).toBe("True True\nTrue True");
  });

  it("IsolatedAsyncioTestCase.loop_factory", async () => {
    const { stderr } = await run(`
import asyncio, unittest
class T(unittest.IsolatedAsyncioTestCase):
    loop_factory = asyncio.EventLoop
    async def test_it(self):
        await asyncio.sleep(0)
        self.assertIs(type(asyncio.get_running_loop()), asyncio.EventLoop)
unittest.main(argv=["x"], exit=False)`);
    expect(stderr).toMatch(/\nOK$/);
  });
});

describe("loop.run_in_executor", () => {
  it("refuses a coroutine function in debug mode", async () => {
    const error = await catchExecutionError(`
import asyncio
async def f(): pass
async def main(): await asyncio.get_running_loop().run_in_executor(None, f)
asyncio.run(main(), debug=True)`);
    expect(error.message).toBe(
      "TypeError: coroutines cannot be used with run_in_executor()",
    );
  });

  it("refuses to work after the default executor was shut down", async () => {
    const error = await catchExecutionError(`
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    await loop.run_in_executor(None, int)
asyncio.run(main())`);
    expect(error.message).toBe(
      "RuntimeError: Executor shutdown has been called",
    );
  });

  it("gives the function to an executor of the user's own", async () => {
    const { value } = await run(`
import asyncio
from concurrent.futures import Executor, Future, ThreadPoolExecutor
class Own(Executor):
    def submit(self, fn, /, *args):
        future = Future()
        future.set_result(("own", fn(*args)))
        return future
async def main():
    loop = asyncio.get_running_loop()
    return [await loop.run_in_executor(executor, int, "5") for executor in (Own(), ThreadPoolExecutor(), None)]
asyncio.run(main())`);
    expect(value).toEqual([["own", 5], 5, 5]);
  });
});

it("sys.thread_info says that there are no threads", async () => {
  const { value } = await run(
    "import sys\n[sys.thread_info.name, sys.thread_info.lock, len(sys.thread_info)]",
  );
  expect(value).toEqual(["pthread-stubs", null, 3]);
});
