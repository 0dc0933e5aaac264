import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Session } from "../../index.js";
import { catchRejection } from "../helpers.js";
import {
  evaluate,
  restoreSession,
  runElsewhere,
  takeSnapshot,
} from "./support.js";

describe("restoring", () => {
  it("replaces the state", async () => {
    const bytes = await takeSnapshot("x = 1\nimport math\nmath.mine = 1");
    await using session = new Session();
    await session.execute("x = 2\ny = 3\nimport json\njson.mine = 2");
    await session.restoreState(bytes);
    const code =
      "import json, math\n[x, 'y' in globals(), hasattr(json, 'mine'), math.mine]";
    expect(await evaluate(session, code)).toEqual([1, false, false, 1]);
  });

  it("is a state to fall back to, to fork and to reset from", async () => {
    await using session = await restoreSession(await takeSnapshot("x = 1"));
    expect(
      await catchRejection(session.execute("x = 2\nimport os\nos.abort()")),
    ).toMatchObject({ stateLost: false });
    const fork = await session.fork();
    expect([await evaluate(session, "x"), await evaluate(fork, "x")]).toEqual([
      1, 1,
    ]);
    await session.reset();
    expect(await evaluate(session, "'x' in globals()")).toBe(false);
  });

  it("lets the monotonic clock go on", async () => {
    const bytes = await takeSnapshot(
      "import time\nbefore = time.monotonic()\ntime.sleep(0.3)\nafter = time.monotonic()",
    );
    const code =
      "[after - before, time.monotonic() - after, time.time() > 1.7e9]";
    await using session = await restoreSession(bytes);
    const source = `
      const session = new Session();
      await session.restoreState(bytes);
      console.log(JSON.stringify((await session.execute(${JSON.stringify(code)})).value));`;
    const answers = [
      await evaluate(session, code),
      JSON.parse(await runElsewhere(bytes, source)),
    ];
    for (const [slept, since, isNow] of answers as [
      number,
      number,
      boolean,
    ][]) {
      expect(slept).toBeGreaterThan(0.25);
      expect(since).toBeGreaterThan(0);
      expect(since).toBeLessThan(10);
      expect(isNow).toBe(true);
    }
  });

  it("makes random numbers, names and ids differ", async () => {
    const code = `import random, secrets, tempfile, uuid
draw = lambda: [random.random(), str(uuid.uuid4()), secrets.token_hex(8), tempfile.mktemp()]
first = draw()`;
    const bytes = await takeSnapshot(code);
    const drawn: string[][] = [];
    for (let round = 0; round < 4; round++) {
      await using session = await restoreSession(bytes);
      drawn.push((await evaluate(session, "draw()")) as string[]);
    }
    for (let column = 0; column < 4; column++)
      expect(new Set(drawn.map((row) => row[column])).size).toBe(4);
  });

  it("takes lower limits, unless the memory is larger", async () => {
    const bytes = await takeSnapshot("x = 'a' * 40_000_000");
    const refusing = new Session({
      resourceLimits: { maxMemoryBytes: 32 << 20 },
    });
    await refusing.execute("y = 1");
    const error = await catchRejection(refusing.restoreState(bytes));
    expect(error.code).toBe("ERYX_SNAPSHOT");
    expect(error.message).toMatch(
      /^the snapshot cannot be restored: its memory of \d+ bytes is more than the memory limit of 33554432 bytes$/,
    );
    expect(await evaluate(refusing, "y")).toBe(1);
    await using lower = await restoreSession(bytes, {
      resourceLimits: { maxMemoryBytes: 72 << 20 },
    });
    expect(await evaluate(lower, "len(x)")).toBe(40_000_000);
    expect((await catchRejection(lower.execute("y = x + 'b'"))).message).toBe(
      "MemoryError",
    );
  });

  it("keeps the environment of the snapshot", async () => {
    const bytes = await takeSnapshot("import os\nos.environ['B'] = '2'", {
      env: { A: "1" },
    });
    await using session = await restoreSession(bytes, { env: { A: "9" } });
    expect(
      await evaluate(session, "[os.environ['A'], os.environ['B']]"),
    ).toEqual(["1", "2"]);
  });
});

describe("callbacks after restoring", () => {
  const before = {
    f: () => "old f",
    "ns.g": () => "old g",
    gone: () => "old gone",
  };
  const code =
    "kept = f\ndef call(): return f()\nasync def both(): return [await call(), await kept(), await ns.g()]";

  it("are those of the session, by their names", async () => {
    const bytes = await takeSnapshot(code, { callbacks: before });
    const callbacks = {
      other: () => "other",
      "ns.g": () => "new g",
      f: () => "new f",
    };
    await using session = await restoreSession(bytes, { callbacks });
    expect(await evaluate(session, "await both()")).toEqual([
      "new f",
      "new f",
      "new g",
    ]);
    expect(await evaluate(session, "await other()")).toBe("other");
    expect(
      await evaluate(session, "sorted(c['name'] for c in list_callbacks())"),
    ).toEqual(["f", "ns.g", "other"]);
    expect(
      (await catchRejection(session.execute("await gone()"))).message,
    ).toBe("CallbackError: gone() is not known to the host");
  });

  it("are gone in a session without any", async () => {
    const bytes = await takeSnapshot(code, { callbacks: before });
    await using session = await restoreSession(bytes);
    for (const name of ["f", "ns.g", "kept"])
      expect(
        (await catchRejection(session.execute(`await ${name}()`))).message,
      ).toMatch(/^CallbackError: (f|ns\.g)\(\) is not known to the host$/);
    const back = await restoreSession(await session.snapshotState(), {
      callbacks: before,
    });
    expect(await evaluate(back, "await both()")).toEqual([
      "old f",
      "old f",
      "old g",
    ]);
  });

  it("that are new do not replace a variable of the user's", async () => {
    const bytes = await takeSnapshot("f = 'mine'\nns = 5");
    await using session = await restoreSession(bytes, { callbacks: before });
    expect(await evaluate(session, "[f, ns, await gone()]")).toEqual([
      "mine",
      5,
      "old gone",
    ]);
  });

  it("have the signature that they have now", async () => {
    const bytes = await takeSnapshot("1", {
      callbacks: { f: { fn: () => 1, parameters: ["a"] } },
    });
    const fn = (args: object) => args;
    await using session = await restoreSession(bytes, {
      callbacks: { f: { fn, parameters: ["b", "c"], description: "New." } },
    });
    expect(await evaluate(session, "[await f(1, 2), f.__doc__]")).toEqual([
      { b: 1, c: 2 },
      "New.",
    ]);
    expect(
      (await catchRejection(session.execute("await f(a=1)"))).message,
    ).toBe("TypeError: f() got an unexpected keyword argument 'a'");
  });

  it("survive clearState, as libraries do", async () => {
    const options = {
      callbacks: before,
      libraries: [new RuntimeLibrary({ python: "def helper(): return 5" })],
    };
    await using session = await restoreSession(
      await takeSnapshot("x = 1", options),
      options,
    );
    await session.clearState();
    expect(
      await evaluate(
        session,
        "[await f(), await ns.g(), helper(), 'x' in globals()]",
      ),
    ).toEqual(["old f", "old g", 5, false]);
  });
});
