import { describe, expect, it } from "vitest";
import {
  type ExecutionOptions,
  type SandboxOptions,
  Session,
} from "../../index.js";
import { catchRejection, getNodeStdout } from "../helpers.js";

const MB = 1 << 20;
const FOREVER = "while True: pass";
const STUBBORN =
  "while True:\n    try:\n        while True: pass\n    except BaseException: pass";

describe("after", () => {
  const limits = { maxMemoryBytes: 64 * MB };
  it.each<
    [
      string,
      string,
      ExecutionOptions,
      SandboxOptions["resourceLimits"],
      string,
      unknown,
    ]
  >([
    [
      "a timeout",
      `x.append(2)\n${FOREVER}`,
      { timeoutMs: 500 },
      {},
      "ERYX_TIMEOUT",
      [1, 2],
    ],
    [
      "a timeout in a wait",
      "x.append(2)\nimport asyncio\nawait asyncio.sleep(60)",
      { timeoutMs: 500 },
      {},
      "ERYX_TIMEOUT",
      [1, 2],
    ],
    [
      "a hard stop",
      `x.append(2)\n${STUBBORN}`,
      { timeoutMs: 500 },
      {},
      "ERYX_TIMEOUT",
      [1],
    ],
    [
      "fuel",
      `x.append(2)\n${FOREVER}`,
      {},
      { maxFuel: 300_000_000 },
      "ERYX_RESOURCE_LIMIT",
      [1],
    ],
    [
      "memory",
      "x.append(2)\nx.append('a' * 2**28)",
      {},
      limits,
      "ERYX_EXECUTION",
      [1, 2],
    ],
    [
      "os._exit",
      "x.append(2)\nimport os\nos._exit(3)",
      {},
      {},
      "ERYX_EXECUTION",
      [1],
    ],
    [
      "a trap",
      "x.append(2)\nimport os\nos.abort()",
      {},
      {},
      "ERYX_EXECUTION",
      [1],
    ],
    [
      "a trap in a task",
      "x.append(2)\nimport asyncio, os\nasync def f(): os.abort()\nawait asyncio.gather(f(), asyncio.sleep(9))",
      {},
      {},
      "ERYX_EXECUTION",
      [1],
    ],
    [
      "memory growth and a trap",
      "x.append('a' * 30_000_000)\nimport os\nos.abort()",
      {},
      limits,
      "ERYX_EXECUTION",
      [1],
    ],
  ])(
    "%s it works at once",
    async (_, code, options, resourceLimits, error, expected) => {
      await using session = new Session({ resourceLimits });
      await session.execute("x = [1]\nimport json");
      for (let round = 0; round < 3; round++) {
        const failure = await catchRejection(
          session.execute(`print('so far', flush=True)\n${code}`, options),
        );
        expect(failure).toMatchObject({
          code: error,
          stateLost: false,
          stdout: "so far",
        });
        expect(
          (await session.execute("json.loads(json.dumps(x))")).value,
        ).toEqual(expected);
        await session.execute("x = [1]");
      }
      expect(session.executionCount).toBe(10);
    },
  );

  it("a signal it works at once, with the state reached", async () => {
    await using session = new Session();
    const controller = new AbortController();
    const onStdout = () => controller.abort();
    const code = `try:\n    x = 1\n    print(1, flush=True)\n    ${FOREVER}\nfinally: y = 2`;
    const error = await catchRejection(
      session.execute(code, { signal: controller.signal, onStdout }),
    );
    expect(error).toMatchObject({ code: "ERYX_CANCELLED", stateLost: false });
    expect((await session.execute("[x, y]")).value).toEqual([1, 2]);
  });

  it("growth and many cut-offs it keeps a large state", async () => {
    await using session = new Session();
    await session.execute("big = list(range(500_000))\nn = 0");
    for (let round = 0; round < 8; round++) {
      await session.execute("n += 1");
      await catchRejection(
        session.execute("big.clear()\nn = None\nimport os\nos._exit(1)"),
      );
    }
    expect((await session.execute("[n, len(big), sum(big)]")).value).toEqual([
      8, 500_000, 124_999_750_000,
    ]);
  });
});

it("a thousand sessions that are kept do not end the process", async () => {
  const source = `
    import { Session } from "@bsull/eryx";
    const sessions = Array.from({ length: 1000 }, () => new Session());
    const codes = new Set();
    for (let round = 0; round < 4; round++) {
      const all = sessions.map((session) => session.execute("x = 1").catch((error) => codes.add(error.code)));
      await Promise.all(all);
    }
    console.log([...codes].filter((code) => code !== "ERYX_INITIALIZATION").length);
    process.exit(0);`;
  expect(await getNodeStdout(source)).toBe("0");
});
