import { describe, expect, it } from "vitest";
import { type SandboxOptions, Session } from "../../index.js";
import { catchArgumentError, catchRejection } from "../helpers.js";

const evaluate = async (session: Session, code: string) =>
  (await session.execute(code)).value;

/** What each of the sessions answers to the same code. */
const all = (sessions: Session[], code: string) =>
  Promise.all(sessions.map((session) => evaluate(session, code)));

async function started(code: string, options?: SandboxOptions) {
  const session = new Session(options);
  await session.execute(code);
  return session;
}

describe("fork", () => {
  it("gives one session, or an array of as many as asked for", async () => {
    await using parent = await started("x = 1");
    const one = await parent.fork();
    expect(one).toBeInstanceOf(Session);
    expect(one).not.toBe(parent);
    for (const count of [1, 2, 7]) {
      const forks = await parent.fork(count);
      expect(forks).toHaveLength(count);
      expect(await all(forks, "x")).toEqual(forks.map(() => 1));
    }
    expect((await parent.fork(undefined as never)) as unknown).toBeInstanceOf(
      Session,
    );
  });

  it("copies are independent in every direction", async () => {
    await using parent = await started("x = [0]\nd = {'k': x}");
    const [a, b] = await parent.fork(2);
    await a.execute("x.append('a')");
    await parent.execute("x.append('p')");
    await b.execute("x.append('b')");
    const c = await a.fork();
    await a.execute("x.append('a2')");
    await c.execute("x.append('c')");
    expect(await all([parent, a, b, c], "d['k']")).toEqual([
      [0, "p"],
      [0, "a", "a2"],
      [0, "b"],
      [0, "a", "c"],
    ]);
  });

  it.each<[string, string, string, unknown]>([
    ["half-run generators", "g = iter(range(9))\nnext(g)", "next(g)", 1],
    ["closures", "def make(n):\n    return lambda: n\nf = make(4)", "f()", 4],
    [
      "objects that do not pickle",
      "import re\ng = (x for x in [3])\nl = lambda: re",
      "l().escape('a') + str(next(g))",
      "a3",
    ],
    [
      "asyncio locks",
      "import asyncio\nl = asyncio.Lock()\nawait l.acquire()",
      "l.release()\nasync with l: pass\nl.locked()",
      false,
    ],
    ["patched modules", "import math\nmath.pi = 3", "import math\nmath.pi", 3],
    [
      "identity",
      "a = []\nb = [a, a]\ni = id(a)",
      "[b[0] is b[1] is a, i == id(a)]",
      [true, true],
    ],
  ])("copies %s", async (_, code, look, expected) => {
    await using parent = await started(code);
    const forks = await parent.fork(3);
    expect(await all([...forks, parent], look)).toEqual([
      expected,
      expected,
      expected,
      expected,
    ]);
  });

  it("of a session that ran nothing", async () => {
    await using parent = new Session({
      callbacks: { f: () => 7 },
      env: { A: "1" },
    });
    const forks = await parent.fork(2);
    expect(
      await all(forks, "import os\nx = await f()\n[x, os.environ['A']]"),
    ).toEqual([
      [7, "1"],
      [7, "1"],
    ]);
    expect(await evaluate(parent, "'x' in globals()")).toBe(false);
  });

  it("of a fork of a fork of a fork", async () => {
    let session = await started("path = [0]");
    for (let depth = 1; depth < 20; depth++) {
      const next = await session.fork();
      await next.execute(`path.append(${depth})`);
      await session.close();
      session = next;
    }
    expect(await evaluate(session, "path")).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
  });

  it("of a session whose memory has grown", async () => {
    await using parent = await started(
      "big = [bytes([n]) * 1_000_000 for n in range(40)]",
    );
    const [a, b] = await parent.fork(2);
    await a.execute("big[3] = None\nbig.append('a' * 10_000_000)");
    expect(
      await all([parent, a, b], "[len(big), big[3] is None, big[39][-1]]"),
    ).toEqual([
      [40, false, 39],
      [41, true, 39],
      [40, false, 39],
    ]);
    const limited = await catchRejection(b.execute("'a' * 2**27"));
    expect(limited.message).toBe("MemoryError");
  });

  it("a hundred forks share what they do not write", async () => {
    await using parent = await started("big = list(range(200_000))\nn = None");
    await parent.fork();
    const before = process.memoryUsage.rss();
    const forks = await parent.fork(100);
    await Promise.all(
      forks.map((fork, n) => fork.execute(`n = ${n}\nbig[${n}] = -1`)),
    );
    const answers = await all(forks, "[n, big.count(-1), big[n], len(big)]");
    expect(answers).toEqual(forks.map((_, n) => [n, 1, -1, 200_000]));
    expect(await evaluate(parent, "[n, big.count(-1)]")).toEqual([null, 0]);
    expect(process.memoryUsage.rss() - before).toBeLessThan(1000 * (1 << 20));
    await Promise.all(forks.map((fork) => fork.close()));
  });

  it("gives a thousand", async () => {
    await using parent = await started("x = 1");
    const forks = await parent.fork(1000);
    expect(await evaluate(forks[999], "x")).toBe(1);
    await Promise.all(forks.map((fork) => fork.close()));
  });

  it.each([
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    10_001,
    "2",
    null,
    {},
    2n,
  ])("of %o copies is refused", async (count) => {
    const session = new Session();
    const message = await catchArgumentError(() =>
      session.fork(count as never),
    );
    expect(message).toMatch(
      /^count: expected a whole number from 1 to 10000, got /,
    );
    expect(await evaluate(session, "1")).toBe(1);
  });
});

describe("forks", () => {
  it("draw different random numbers, names and ids", async () => {
    const code = `import random, secrets, tempfile, uuid, os, string
draw = lambda: [random.random(), str(uuid.uuid4()), secrets.token_hex(8), tempfile.NamedTemporaryFile().name, os.urandom(8).hex(), str(uuid.uuid1())]
first = draw()`;
    await using parent = await started(code);
    const drawn = (await all(
      [parent, ...(await parent.fork(5))],
      "draw()",
    )) as string[][];
    for (let column = 0; column < drawn[0].length; column++)
      expect(
        new Set(drawn.map((row) => row[column])).size,
        `column ${column}`,
      ).toBe(6);
  });

  it("draw different random numbers before their first execute too", async () => {
    const code =
      "import random, tempfile, secrets\n[random.random(), tempfile.mktemp(), secrets.token_hex(8)]";
    const parent = new Session();
    const drawn = (await all(
      [parent, ...(await parent.fork(3))],
      code,
    )) as string[][];
    for (let column = 0; column < 3; column++)
      expect(new Set(drawn.map((row) => row[column])).size).toBe(4);
  });

  it("draw different random numbers after clearState too", async () => {
    await using parent = await started("import random");
    const forks = await parent.fork(3);
    await Promise.all(forks.map((fork) => fork.clearState()));
    const drawn = await all(forks, "import random\nrandom.random()");
    expect(new Set(drawn).size).toBe(3);
  });

  it("have files of their own, with open ones and their offsets", async () => {
    const code = `import os
os.makedirs('/data/d', exist_ok=True)
for path in '/data/a', '/tmp/a':
    open(path, 'w').write('0123456789')
f = open('/data/a', 'r+')
f.read(2), f.seek(2)
g = open('/tmp/a', 'rb', buffering=0)
head = g.read(4)
gone = open('/tmp/gone', 'w+')
n = gone.write('still here'), gone.flush()
os.unlink('/tmp/gone')`;
    await using parent = await started(code);
    const [a, b] = await parent.fork(2);
    await a.execute(
      "n = f.write('AA'), f.flush()\nos.remove('/tmp/a')\nopen('/tmp/new', 'w').close()",
    );
    expect(
      await evaluate(b, "[f.read(3), g.read(2).decode(), f.tell()]"),
    ).toEqual(["234", "45", 5]);
    const look = "[open('/data/a').read(), sorted(os.listdir('/tmp'))]";
    expect(await all([parent, a, b], look)).toEqual([
      ["0123456789", ["a"]],
      ["01AA456789", ["new"]],
      ["0123456789", ["a"]],
    ]);
    expect(await all([parent, a], "[f.tell(), g.read(1).decode()]")).toEqual([
      [2, "4"],
      [4, "4"],
    ]);
    expect(await all([parent, a, b], "gone.seek(0)\ngone.read()")).toEqual([
      "still here",
      "still here",
      "still here",
    ]);
  });

  it("keep the working directory and the environment", async () => {
    await using parent = await started(
      "import os\nos.mkdir('/tmp/d')\nos.chdir('/tmp/d')\nos.environ['A'] = '1'",
    );
    const fork = await parent.fork();
    await fork.execute("open('x', 'w').close()\nos.environ['A'] = '2'");
    const look = "[os.getcwd(), os.listdir(), os.environ['A']]";
    expect(await all([parent, fork], look)).toEqual([
      ["/tmp/d", [], "1"],
      ["/tmp/d", ["x"], "2"],
    ]);
  });

  it("call the same callbacks, at the same time", async () => {
    // The first ten calls end when all of them have come.
    let calls = 0;
    let meet = () => {};
    const met = new Promise<void>((resolve) => (meet = resolve));
    const slow = async (n: number) => {
      if (++calls === 10) meet();
      await met;
      return n * 2;
    };
    await using parent = await started("g = slow", { callbacks: { slow } });
    const forks = await parent.fork(10);
    const answers = await Promise.all(
      forks.map((fork, n) => evaluate(fork, `await slow(${n}) + await g(1)`)),
    );
    expect(answers).toEqual(forks.map((_, n) => n * 2 + 2));
  });

  it("have the options, time limit and count of their parent", async () => {
    await using parent = await started("x = 1", {
      resourceLimits: { maxOutputBytes: 5 },
      resultVariable: "out",
      callbacks: { f: () => 1 },
    });
    parent.executionTimeoutMs = 4000;
    const fork = await parent.fork();
    expect([
      fork.executionTimeoutMs,
      fork.executionCount,
      fork.typeStubs,
    ]).toEqual([4000, 1, parent.typeStubs]);
    expect(await fork.execute("out = 3\nprint('0123456789')")).toMatchObject({
      stdout: "01234",
      outputTruncated: true,
      result: 3,
    });
    fork.executionTimeoutMs = 100;
    expect(
      (await catchRejection(fork.execute("while True: pass"))).message,
    ).toBe("execution timed out after 100 ms");
    expect([
      parent.executionTimeoutMs,
      parent.executionCount,
      fork.executionCount,
    ]).toEqual([4000, 1, 3]);
  });

  it("fall back to the state of the fork when they are cut off", async () => {
    await using parent = await started("x = 1");
    const fork = await parent.fork();
    await parent.execute("x = 2");
    const error = await catchRejection(
      fork.execute("x = 3\nimport os\nos.abort()"),
    );
    expect(error.stateLost).toBe(false);
    expect(await all([fork, parent], "x")).toEqual([1, 2]);
  });

  it("outlive their parent, and end apart from it and each other", async () => {
    const parent = await started("x = [1, 2]");
    const [a, b] = await parent.fork(2);
    await parent.close();
    expect(await all([a, b], "x")).toEqual([
      [1, 2],
      [1, 2],
    ]);
    await a.close();
    expect((await catchRejection(a.execute("x"))).code).toBe("ERYX_CLOSED");
    expect(await evaluate(b, "x")).toEqual([1, 2]);
    await b.reset();
    expect(await evaluate(b, "'x' in globals()")).toBe(false);
  });

  it("may reset, clear and be snapshotted", async () => {
    await using parent = await started("x = 1");
    const [a, b, c] = await parent.fork(3);
    await a.reset();
    await b.clearState();
    await parent.execute("x = 2");
    const snapshot = await c.snapshotState();
    await parent.restoreState(snapshot);
    expect(await all([a, b, c, parent], "globals().get('x', 'no')")).toEqual([
      "no",
      "no",
      1,
      1,
    ]);
  });
});

describe("a fork that is asked for while executes are queued", () => {
  it("is the state of that point", async () => {
    for (let round = 0; round < 20; round++) {
      await using parent = new Session();
      void parent.execute("x = 1");
      const first = parent.fork();
      void parent.execute("x = 2");
      const second = parent.fork(2);
      await parent.execute("x = 3");
      const forks = [await first, ...(await second)];
      expect(await all([...forks, parent], "x")).toEqual([1, 2, 2, 3]);
    }
  });

  it("waits for the execute that runs", async () => {
    await using parent = await started("import asyncio\nx = 0");
    const running = parent.execute("x = 1\nawait asyncio.sleep(0.2)\nx = 2");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const fork = await parent.fork();
    await running;
    expect(await evaluate(fork, "x")).toBe(2);
  });

  it("comes after a failure too", async () => {
    await using parent = await started("x = 1");
    const failed = catchRejection(parent.execute("x = 2\n1/0"));
    await failed;
    const cut = catchRejection(parent.execute("x = 3\nimport os\nos._exit(1)"));
    await cut;
    expect(await evaluate(await parent.fork(), "x")).toBe(2);
  });
});
