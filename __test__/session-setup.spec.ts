import { describe, expect, it } from "vitest";
import { Session } from "../index.js";
import { nodePrints } from "./helpers.js";

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
      const printed = await nodePrints(`
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
