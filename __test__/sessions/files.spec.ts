import { describe, expect, it } from "vitest";
import { Session, SuspendedError, VfsStorage } from "../../index.js";
import { catchRejection } from "../helpers.js";
import { evaluate } from "../snapshots/support.js";
import { stop } from "./suspending.js";

const callbacks = { stop };

/** The error of code that suspends its session. */
async function suspendedIn(session: Session, code: string) {
  const error = await catchRejection<SuspendedError>(session.execute(code));
  expect(error, error.message).toBeInstanceOf(SuspendedError);
  return error;
}

describe("session.vfs", () => {
  it("is the object of the options, in forks and resumed sessions too", async () => {
    const vfs = new VfsStorage();
    const session = new Session({ vfs, callbacks });
    expect(session.vfs).toBe(vfs);
    const [a, b] = await session.fork(2);
    for (const fork of [a, b, await b.fork()]) expect(fork.vfs).toBe(vfs);
    const error = await suspendedIn(session, "await stop()");
    const other = new VfsStorage();
    const resumed = await Session.resume(error.checkpoint, {
      vfs: other,
      results: { [error.pending[0].id]: 1 },
    });
    expect(resumed.session.vfs).toBe(other);
    expect((await resumed.session.fork()).vfs).toBe(other);
  });

  it("is read once from the options", async () => {
    const vfs = new VfsStorage();
    const storages = [vfs];
    const session = new Session({
      get vfs() {
        return storages.pop();
      },
    });
    await session.execute("open('f', 'w').close()");
    expect(session.vfs).toBe(vfs);
    expect(vfs.exists("f")).toBe(true);
  });

  it("is the session's own without one, and each fork's own", async () => {
    const session = new Session({ callbacks });
    await session.execute("open('f', 'w').write('1')");
    expect(session.vfs).toBe(session.vfs);
    const fork = await session.fork();
    const error = await suspendedIn(session, "await stop()");
    const resumed = await Session.resume(error.checkpoint, {
      results: { [error.pending[0].id]: 1 },
    });
    const all = [session, fork, resumed.session];
    for (const [n, { vfs }] of all.entries()) vfs.writeFile("f", `of ${n}`);
    expect(new Set(all.map(({ vfs }) => vfs)).size).toBe(3);
    for (const [n, one] of all.entries())
      expect(await evaluate(one, "open('f').read()")).toBe(`of ${n}`);
  });

  it("can be used when the session is closed", async () => {
    const session = new Session();
    await session.execute("with open('f', 'w') as f: f.write('1')");
    await session.close();
    expect(session.vfs.readTextFile("f")).toBe("1");
  });
});

describe("what a suspended execution wrote", () => {
  const write = `
import os
x = 2
os.environ["A"] = "2"
os.chdir("/tmp")
for path in "/data/f", "/tmp/f":
    with open(path, "w") as f: f.write("written")
os.remove("/data/old")
await stop()`;
  const look =
    "[x, os.environ['A'], os.getcwd(), os.listdir('/data'), open('/data/f').read(), open('/tmp/f').read()]";

  it.each([
    ["its own files", undefined],
    ["files of a given storage", new VfsStorage()],
  ])("stays in %s; the interpreter is that before", async (_, vfs) => {
    await using session = new Session({ callbacks, vfs, env: { A: "1" } });
    await session.execute("import os\nx = 1\nopen('old', 'w').close()");
    const error = await suspendedIn(session, write);
    expect(await evaluate(session, look)).toEqual([
      1,
      "1",
      "/data",
      ["f"],
      "written",
      "written",
    ]);
    const { session: later } = await Session.resume(error.checkpoint, {
      vfs,
      results: { [error.pending[0].id]: 1 },
    });
    expect(await evaluate(later, look)).toEqual([
      2,
      "2",
      "/tmp",
      ["f"],
      "written",
      "written",
    ]);
    await later.close();
  });
});
