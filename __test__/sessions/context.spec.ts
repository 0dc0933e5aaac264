import { describe, expect, it } from "vitest";
import { Session } from "../../index.js";
import { readText } from "../helpers.js";

const AWAIT = "import asyncio\nawait asyncio.sleep(0)\n";
const RUN = "import asyncio\nasyncio.run(asyncio.sleep(0))\n";
const WAYS = [
  ["no await", ""],
  ["an await", AWAIT],
  ["asyncio.run", RUN],
] as const;

describe("the context of a session's code", () => {
  for (const [setting, first] of WAYS)
    for (const [reading, second] of WAYS)
      it(`holds from code with ${setting} to code with ${reading}`, async () => {
        const session = new Session();
        await session.execute(
          `${first}import contextvars, decimal
var = contextvars.ContextVar("var", default=0)
var.set(1)
decimal.getcontext().prec = 5`,
        );
        const read = `${second}[var.get(), str(decimal.Decimal(1) / 3)]`;
        const fork = await session.fork();
        const restored = new Session();
        await restored.restoreState(await session.snapshotState());
        for (const one of [session, fork, restored]) {
          expect((await one.execute(read)).value).toEqual([1, "0.33333"]);
          await one.execute(`var.set(var.get() + 1)\n${second}var.set(2)`);
          expect((await one.execute("var.get()")).value).toBe(2);
        }
      });

  it("is what tasks begin with, and what they set is theirs", async () => {
    const session = new Session();
    const { value } = await session.execute(`
import asyncio, contextvars
var = contextvars.ContextVar("var")
var.set("outer")
async def task():
    seen = var.get()
    var.set("inner")
    return seen
[await asyncio.create_task(task()), asyncio.run(task()), var.get()]`);
    expect(value).toEqual(["outer", "outer", "outer"]);
  });

  it("takes a token back in a later execution", async () => {
    const session = new Session();
    await session.execute(
      `${AWAIT}import contextvars\nvar = contextvars.ContextVar("var", default=0)\ntoken = var.set(1)`,
    );
    const { value } = await session.execute("var.reset(token)\nvar.get()");
    expect(value).toBe(0);
  });

  it("is a new one after reset()", async () => {
    const session = new Session();
    await session.execute("import decimal\ndecimal.getcontext().prec = 5");
    await session.reset();
    const code = "import decimal\ndecimal.getcontext().prec";
    expect((await session.execute(code)).value).toBe(28);
  });
});

describe("a half-read async generator", () => {
  const GENERATOR = `
closed = []
async def numbers():
    try:
        for n in range(5): yield n
    finally:
        closed.append(1)
it = numbers()
first = await anext(it)
`;

  it("goes on in the next execution", async () => {
    const session = new Session();
    await session.execute(GENERATOR);
    const rest = "[n async for n in it], closed";
    const fork = await session.fork();
    for (const one of [session, fork])
      expect((await one.execute(rest)).value).toEqual([[1, 2, 3, 4], [1]]);
  });

  it("is closed when it is dropped", async () => {
    const session = new Session();
    await session.execute(GENERATOR);
    await session.execute("del it\nimport asyncio\nawait asyncio.sleep(0)");
    expect((await session.execute("closed")).value).toEqual([1]);
  });

  it("is closed with the session", async () => {
    const session = new Session();
    await session.execute(`
async def numbers():
    try: yield 1
    finally:
        with open("closed", "w") as file: file.write("yes")
file = open("open", "w")
it = numbers()
await anext(it)`);
    expect(session.vfs.exists("closed")).toBe(false);
    await session.close();
    expect(readText(session.vfs, "closed")).toBe("yes");
  });
});
