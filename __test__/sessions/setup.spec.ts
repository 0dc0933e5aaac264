import { describe, expect, it } from "vitest";
import { RuntimeLibrary, Session } from "../../index.js";
import { catchRejection, getNodeStdout } from "../helpers.js";

describe("an execution that ends before it began", () => {
  it("leaves what the first one brings to the next", async () => {
    for (let round = 0; round < 50; round++) {
      await using session = new Session({
        callbacks: { f: () => 5 },
        env: { A: "1" },
      });
      const handle = session.executeCancellable("1");
      handle.cancel();
      // It may have come to its end.
      await handle.wait().catch(() => undefined);
      const code = "import os\n[await f(), os.environ['A']]";
      expect((await session.execute(code)).value).toEqual([5, "1"]);
    }
  });
});

describe("close()", () => {
  it("ends a run that is just starting", async () => {
    for (let round = 0; round < 3; round++) {
      const printed = await getNodeStdout(`
import { Session } from "@bsull/eryx";
const session = new Session();
const run = session.execute("while True: pass", { timeoutMs: 60_000 }).catch((error) => error);
await session.close();
console.log((await run).code);
`);
      expect(printed.trim()).toMatch(/^ERYX_(CANCELLED|CLOSED)$/);
    }
  });
});

describe("a library that is cut off in the first execution", () => {
  it("runs again, all of it, with the next", async () => {
    const library = new RuntimeLibrary({
      python: "import time\nstarted = time.time()\ntime.sleep(0.2)\nended = 1",
    });
    await using session = new Session({ libraries: [library] });
    const error = await catchRejection(session.execute("1", { timeoutMs: 50 }));
    expect(error.code).toBe("ERYX_TIMEOUT");
    expect((await session.execute("ended")).value).toBe(1);
    const { value } = await session.execute("started");
    expect((await session.execute("started")).value).toBe(value);
  });
});

describe("an execution that ends while it is set up", () => {
  it("leaves what the first one brings to the next", async () => {
    const names = Array.from({ length: 2000 }, (_, n) => `f${n}`);
    const callbacks = Object.fromEntries(
      names.map((name) => [name, () => name]),
    );
    for (let round = 0; round < 10; round++) {
      await using session = new Session({ callbacks });
      const timeoutMs = 1 + round / 4;
      await session.execute("1", { timeoutMs }).catch(() => undefined);
      expect((await session.execute("await f1999()")).value).toBe("f1999");
    }
  });
});
