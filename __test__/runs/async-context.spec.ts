import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  type CallbackContext,
  Sandbox,
  Session,
  SuspendedError,
} from "../../index.js";
import { catchRejection } from "../helpers.js";
import { never, stop } from "../sessions/suspending.js";

const storage = new AsyncLocalStorage<string>();
const who = () => storage.getStore() ?? "nobody";

/** What each of the names answers that runs `task` in a context of its own, all at once. */
const inEach = (names: string[], task: () => Promise<unknown>) =>
  Promise.all(names.map((name) => storage.run(name, task)));

describe("AsyncLocalStorage", () => {
  it("in callbacks is that of the execute", async () => {
    const later = async () => {
      await sleep(5);
      return who();
    };
    await using sandbox = new Sandbox({ callbacks: { who, later } });
    const code = "[await who(), await later(), await who()]";
    const ask = async () => (await sandbox.execute(code)).value;
    expect(await inEach(["a", "b", "c"], ask)).toEqual(
      ["a", "b", "c"].map((name) => [name, name, name]),
    );
    expect(await ask()).toEqual(["nobody", "nobody", "nobody"]);
  });

  it("in a session is that of each execute, however they are queued", async () => {
    await using session = storage.run(
      "maker",
      () => new Session({ callbacks: { who } }),
    );
    const ask = async () => (await session.execute("await who()")).value;
    const names = ["a", "b", "c"];
    expect(await inEach(names, ask)).toEqual(names);
    const fork = await session.fork();
    const asked = storage.run("d", () => fork.execute("await who()"));
    expect((await asked).value).toBe("d");
  });

  it("in a resumed execution is that of the resume", async () => {
    const session = new Session({ callbacks: { stop } });
    const { checkpoint } = await catchRejection<SuspendedError>(
      storage.run("before", () => session.execute("await stop()")),
    );
    const resume = () =>
      Session.resume(checkpoint, { callbacks: { stop: who } });
    const { result } = await storage.run("after", resume);
    expect(result.value).toBe("after");
  });

  it("in handlers and abort listeners is that of the execute", async () => {
    const seen: string[] = [];
    const note = (what: string) => () => seen.push(`${what} ${who()}`);
    const wait = {
      fn: (_: object, { signal }: CallbackContext) => {
        signal.addEventListener("abort", note("abort"));
        return never();
      },
    };
    await using sandbox = new Sandbox({ callbacks: { wait } });
    const code = `import sys
print(1)
print(2, file=sys.stderr)
await wait()`;
    const options = {
      onStdout: note("stdout"),
      onStderr: note("stderr"),
      onTrace: note("trace"),
      timeoutMs: 100,
    };
    await catchRejection(
      storage.run("a", () => sandbox.execute(code, options)),
    );
    expect([...new Set(seen)].toSorted()).toEqual([
      "abort a",
      "stderr a",
      "stdout a",
      "trace a",
    ]);
  });
});
