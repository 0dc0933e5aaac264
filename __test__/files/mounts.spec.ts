import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Session, VfsStorage } from "../../index.js";
import {
  catchSnapshotError,
  evaluate,
  restoreSession,
  takeSnapshot,
} from "../snapshots/support.js";

const directory = mkdtempSync(join(tmpdir(), "eryx-"));
writeFileSync(join(directory, "f"), "of the host");
afterAll(() => rmSync(directory, { recursive: true }));

describe("what is mounted after a restore", () => {
  it("are the volumes of the session that restores, where it says", async () => {
    const bytes = await takeSnapshot(
      "import os\nfor n in range(20):\n    os.mkdir(f'/tmp/d{n}')\n    open(f'/tmp/d{n}/mine', 'w').close()",
    );
    const volume = { hostPath: directory, guestPath: "/a/b", readOnly: false };
    await using session = await restoreSession(bytes, { volumes: [volume] });
    expect(await evaluate(session, "open('/a/b/f').read()")).toBe(
      "of the host",
    );
    const own = "[os.listdir(f'/tmp/d{n}') for n in range(20)]";
    expect(await evaluate(session, own)).toEqual(Array(20).fill(["mine"]));
    await session.execute(
      "for n in range(20): open(f'/tmp/d{n}/x', 'w').close()",
    );
    expect(readdirSync(directory)).toEqual(["f"]);
  });

  it("is the storage, at the place that it has now", async () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", "of the storage");
    const bytes = await takeSnapshot(
      "open('/work/dir/f', 'w').write('saved')",
      {
        vfsMountPath: "/work/dir",
      },
    );
    await using own = await restoreSession(bytes);
    expect(await evaluate(own, "open('/data/f').read()")).toBe("saved");
    await using given = await restoreSession(bytes, {
      vfs,
      vfsMountPath: "/here",
    });
    expect(await evaluate(given, "open('/here/f').read()")).toBe(
      "of the storage",
    );
    expect(await evaluate(given, "import os\nos.listdir('/work/dir')")).toEqual(
      [],
    );
  });

  it("can be a single file", async () => {
    const volumes = [{ hostPath: join(directory, "f"), guestPath: "/one/f" }];
    const bytes = await takeSnapshot("x = open('/one/f')\nx.read(3)", {
      volumes,
    });
    for (const source of [bytes, await takeSnapshot("x = 1")]) {
      await using session = await restoreSession(source, { volumes });
      expect(await evaluate(session, "open('/one/f').read()")).toBe(
        "of the host",
      );
    }
  });

  it("is refused where the saved files are in the way", async () => {
    const bytes = await takeSnapshot("open('/tmp/taken', 'w').close()");
    await using session = new Session({
      volumes: [{ hostPath: directory, guestPath: "/tmp/taken" }],
    });
    await session.execute("x = 1");
    expect(await catchSnapshotError(session.restoreState(bytes))).toMatch(
      /^nothing can be mounted at "\/tmp\/taken" in it: /,
    );
    expect(await evaluate(session, "x")).toBe(1);
  });
});

describe("open files of a volume", () => {
  it("come back, each time", async () => {
    const volumes = [{ hostPath: directory, guestPath: "/in" }];
    for (let round = 0; round < 8; round++) {
      const bytes = await takeSnapshot(
        "f = open('/in/f', 'rb', buffering=0)\nf.read(3)",
        { volumes },
      );
      await using session = await restoreSession(bytes, { volumes });
      expect(await evaluate(session, "f.read().decode()")).toBe("the host");
    }
  });
});

describe("the quota after a restore", () => {
  it("is the one that was set", async () => {
    const bytes = await takeSnapshot("x = 1");
    await using session = await restoreSession(bytes, {
      resourceLimits: { maxVfsBytes: 10_000 },
    });
    for (const path of ["/tmp/f", "/data/f"]) {
      const code = `
try: open(${JSON.stringify(path)}, 'wb', buffering=0).write(b'x' * 50_000)
except OSError as error: n = -error.errno
else: n = open(${JSON.stringify(path)}, 'rb').seek(0, 2)
n`;
      expect(await evaluate(session, code)).toBeLessThan(10_000);
    }
  });
});

describe("random numbers after a fork", () => {
  it("go on as they were in the session that was forked", async () => {
    await using session = new Session();
    await using same = new Session();
    for (const one of [session, same])
      await one.execute("import random\nrandom.seed(5)");
    const [fork] = await session.fork(1);
    const next = "random.random()";
    const expected = await evaluate(same, next);
    expect(await evaluate(fork, next)).not.toBe(expected);
    expect(await evaluate(session, next)).toBe(expected);
    await fork.close();
  });
});
