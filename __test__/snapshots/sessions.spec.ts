import { describe, expect, it } from "vitest";
import { Session } from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";
import {
  evaluate,
  restoreSession,
  runElsewhere,
  takeSnapshot,
} from "./support.js";

const STATE = `
import asyncio, collections, dataclasses, enum, functools, io, itertools, math, random, re, threading, weakref
def function(a, b=2): return a * b
class Base:
    n = 1
    def __init__(self): self.me = self
class Derived(Base):
    __slots__ = ("slot",)
class Color(enum.Enum):
    RED = 1
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list)
nothing = None
add = lambda a: a + len(words)
words = ["a", "b", "\\U0001f600"]
def count():
    n = 0
    while True:
        n += (yield n) or 1
generator = count()
next(generator), generator.send(5)
def make():
    n = 10
    def up():
        nonlocal n
        n += 1
        return n
    return up
up = make()
up()
derived = Derived()
derived.slot = Color.RED
point = Point(1, [2, 3])
lock = threading.Lock()
lock.acquire()
alock = asyncio.Lock()
await alock.acquire()
queue = asyncio.Queue()
await queue.put("q")
math.mine = "kept"
stream = io.StringIO("one\\ntwo\\n")
stream.readline()
pattern = re.compile(r"(\\d+)")
deque = collections.deque([1, 2, 3], 3)
ref = weakref.ref(derived)
chain = itertools.chain([1, 2], [3])
next(chain)
cached = functools.cache(lambda n: print("computed") or n)
cached(3)
big = list(range(100_000))
huge = 7 ** 1000
cycle = []
cycle.append(cycle)
code = compile("1 + 2", "x", "eval")
frozen = (x for x in [lock, pattern])
`;

const LOOK: [string, string, unknown][] = [
  ["functions", "function(4)", 8],
  [
    "classes",
    "class More(Derived): pass\n[More().n, isinstance(derived, Base), derived.me is derived]",
    [1, true, true],
  ],
  [
    "enums",
    "[derived.slot is Color.RED, Color(1).name, repr(Color.RED)]",
    [true, "RED", "<Color.RED: 1>"],
  ],
  [
    "dataclass instances",
    "[repr(point), point == Point(1, [2, 3]), hash(Color.RED) == hash(Color.RED)]",
    ["Point(x=1, y=[2, 3])", true, true],
  ],
  ["None", "nothing is None and 'nothing' in globals()", true],
  ["lambdas", "add(1)", 4],
  ["text", "words[2]", "\u{1f600}"],
  ["half-run generators", "[generator.send(10), next(generator)]", [15, 16]],
  ["closures", "up()", 12],
  [
    "locks of threads",
    "[lock.locked(), lock.acquire(blocking=False)]",
    [true, false],
  ],
  [
    "locks of asyncio",
    "alock.release()\nasync with alock: pass\nalock.locked()",
    false,
  ],
  ["queues of asyncio", "await queue.get()", "q"],
  ["modules with state", "import math\nmath.mine", "kept"],
  ["streams in the middle", "stream.readline()", "two\n"],
  ["patterns", "pattern.findall('a1b22')", ["1", "22"]],
  ["deques", "deque.append(4)\nlist(deque)", [2, 3, 4]],
  ["weak references", "ref() is derived", true],
  ["iterators of C", "list(chain)", [2, 3]],
  ["caches", "cached(3)\ncached.cache_info().hits", 1],
  ["big lists", "[len(big), sum(big)]", [100_000, 4_999_950_000]],
  ["big numbers", "huge == 7 ** 1000", true],
  ["cycles", "cycle[0] is cycle", true],
  ["code objects", "eval(code)", 3],
  [
    "generators over what does not pickle",
    "[next(frozen) is lock, next(frozen).pattern]",
    [true, "(\\d+)"],
  ],
];

describe("a snapshot", () => {
  it("restores in the same process", async () => {
    const bytes = await takeSnapshot(STATE);
    expect(bytes).toBeInstanceOf(Uint8Array);
    await using session = await restoreSession(bytes);
    for (const [what, code, expected] of LOOK)
      expect(await evaluate(session, code), what).toEqual(expected);
  });

  it("restores in another process", async () => {
    const bytes = await takeSnapshot(STATE);
    const source = `
      const session = new Session();
      await session.restoreState(bytes);
      const values = [];
      for (const code of ${JSON.stringify(LOOK.map(([, code]) => code))})
        values.push((await session.execute(code)).value);
      console.log(JSON.stringify(values));`;
    const values = JSON.parse(await runElsewhere(bytes, source));
    for (const [n, [what, , expected]] of LOOK.entries())
      expect(values[n], what).toEqual(expected);
  });

  it("leaves the session as it is, and may be restored often", async () => {
    await using session = new Session();
    await session.execute("x = [1]");
    const bytes = await session.snapshotState();
    await session.execute("x.append(2)");
    expect(await evaluate(session, "x")).toEqual([1, 2]);
    const sessions = await Promise.all(
      Array.from({ length: 10 }, () => restoreSession(bytes)),
    );
    const values = await Promise.all(
      sessions.map((each, n) => evaluate(each, `x.append(${n})\nx`)),
    );
    expect(values).toEqual(sessions.map((_, n) => [1, n]));
    await session.restoreState(bytes);
    expect(await evaluate(session, "x")).toEqual([1]);
  });

  it("of a restored session, many times over", async () => {
    let bytes = await takeSnapshot("path = [0]\nbig = list(range(100_000))");
    const first = bytes.length;
    for (let round = 1; round <= 8; round++) {
      await using session = await restoreSession(bytes);
      await session.execute(`path.append(${round})`);
      bytes = await session.snapshotState();
    }
    await using session = await restoreSession(bytes);
    expect(await evaluate(session, "[path, len(big)]")).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
      100_000,
    ]);
    expect(bytes.length).toBeLessThan(first + 300_000);
  });

  it("is small", async () => {
    await using session = new Session();
    expect((await session.snapshotState()).length).toBeLessThan(10_000);
    await session.execute("x = 1");
    expect((await session.snapshotState()).length).toBeLessThan(500_000);
    await session.execute("x = list(range(100_000))");
    expect((await session.snapshotState()).length).toBeLessThan(1_000_000);
  });

  it("of grown memory restores into a session that has not grown, and the reverse", async () => {
    const small = await takeSnapshot("x = 1");
    const large = await takeSnapshot(
      "x = [bytes([n]) * 1_000_000 for n in range(50)]",
    );
    expect(large.length).toBeLessThan(1_000_000);
    await using session = await restoreSession(large);
    expect(await evaluate(session, "[len(x), x[49][-1]]")).toEqual([50, 49]);
    await session.restoreState(small);
    expect(await evaluate(session, "x")).toBe(1);
    await session.restoreState(large);
    expect(await evaluate(session, "len(x)")).toBe(50);
    expect(
      (await catchRejection(session.execute("y = 'a' * 2**27"))).message,
    ).toBe("MemoryError");
  });

  it("has the count of executions, not the options", async () => {
    const bytes = await takeSnapshot("1", {
      resourceLimits: { executionTimeoutMs: 9 * 1000 },
    });
    await using session = await restoreSession(bytes);
    expect([session.executionCount, session.executionTimeoutMs]).toEqual([
      1, 30_000,
    ]);
    await session.execute("1");
    expect(session.executionCount).toBe(2);
  });

  it.each([
    undefined,
    null,
    "text",
    5,
    {},
    [1, 2],
    new ArrayBuffer(9),
    new Uint16Array(9),
  ])("of %o is a wrong type", async (bad) => {
    const session = new Session();
    expect(
      await catchArgumentError(() => session.restoreState(bad as never)),
    ).toMatch(/^snapshot: expected a Uint8Array, got /);
  });

  it("may be a Buffer, or a part of a larger one", async () => {
    const bytes = await takeSnapshot("x = 4");
    const larger = Buffer.concat([Buffer.alloc(7), bytes, Buffer.alloc(9)]);
    for (const given of [
      Buffer.from(bytes),
      larger.subarray(7, 7 + bytes.length),
    ])
      expect(await evaluate(await restoreSession(given), "x")).toBe(4);
  });

  it("is read when it is given", async () => {
    const bytes = await takeSnapshot("x = 4");
    const session = new Session();
    const restoring = session.restoreState(bytes);
    bytes.fill(0);
    await restoring;
    expect(await evaluate(session, "x")).toBe(4);
  });
});
