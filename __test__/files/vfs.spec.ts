import { describe, expect, it } from "vitest";
import { Sandbox, SnapshotError, VfsStorage } from "../../index.js";
import {
  catchArgumentError,
  catchRejection,
  getNodeStdout,
  makeHollowArrays,
} from "../helpers.js";

type FileError = Error & {
  code: string;
  errno: number;
  syscall: string;
  path: string;
  dest?: string;
};

/** The error of a call that has to fail as node:fs does. */
function fileError(call: () => unknown): FileError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TypeError);
    return error as FileError;
  }
  return expect.fail("nothing was thrown");
}

/** What `code` makes of a storage: its result. */
async function withFiles(
  vfs: VfsStorage,
  code: string,
  vfsMountPath?: string,
): Promise<unknown> {
  await using sandbox = new Sandbox({ vfs, vfsMountPath });
  return (await sandbox.execute(code)).result;
}

describe("VfsStorage", () => {
  it("holds files, bytes and text", () => {
    const vfs = new VfsStorage();
    vfs.mkdir("/a/b", { recursive: true });
    vfs.writeFile("/a/b/f", new Uint8Array([0, 255, 10]));
    vfs.writeFile("text", "größe\uFEFF𝄞");
    expect(vfs.readFile("a/b/f")).toEqual(new Uint8Array([0, 255, 10]));
    expect(vfs.readTextFile("/text")).toBe("größe\uFEFF𝄞");
    expect(vfs.readdir("/")).toEqual([
      { name: "a", kind: "directory", size: 1 },
      { name: "text", kind: "file", size: 14 },
    ]);
    vfs.rename("text", "a/b/text");
    vfs.writeFile("a/b/text", Buffer.from("buffer").subarray(0, 4));
    expect(vfs.readTextFile("a/b/text")).toBe("buff");
    expect([vfs.exists("text"), vfs.exists("a/b/text")]).toEqual([false, true]);
    vfs.remove("a", { recursive: true });
    expect(vfs.readdir("/")).toEqual([]);
    expect(vfs.usedBytes).toBe(0);
  });

  it("keeps a byte order mark", () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", "\uFEFFx");
    expect(vfs.readTextFile("f")).toBe("\uFEFFx");
  });

  it("knows times", async () => {
    const vfs = new VfsStorage();
    const before = Date.now();
    vfs.writeFile("f", "x");
    const { kind, size, mtimeMs } = vfs.stat("f");
    expect({ kind, size }).toEqual({ kind: "file", size: 1 });
    expect(mtimeMs).toBeGreaterThanOrEqual(before - 1);
    expect(mtimeMs).toBeLessThanOrEqual(Date.now() + 1);
    await withFiles(vfs, "import os\nos.utime('f', (1, 1234567.5))");
    expect(vfs.stat("f").mtimeMs).toBe(1_234_567_500);
  });

  it("fails as node:fs does", () => {
    const vfs = new VfsStorage();
    vfs.mkdir("d");
    vfs.writeFile("d/f", "");
    const error = fileError(() => vfs.readFile("/a/b"));
    expect(error.message).toBe(
      "ENOENT: no such file or directory, open '/a/b'",
    );
    expect({ ...error }).toEqual({
      code: "ENOENT",
      errno: -2,
      syscall: "open",
      path: "/a/b",
    });
    const renamed = fileError(() => vfs.rename("no", "d"));
    expect(renamed.message).toBe(
      "ENOENT: no such file or directory, rename 'no' -> 'd'",
    );
    expect(renamed.dest).toBe("d");
    const codes: [string, () => unknown][] = [
      ["EISDIR", () => vfs.readFile("d")],
      ["EISDIR", () => vfs.writeFile("d", "")],
      ["ENOTDIR", () => vfs.readdir("d/f")],
      ["ENOTDIR", () => vfs.readFile("d/f/g")],
      ["EEXIST", () => vfs.mkdir("d")],
      ["EEXIST", () => vfs.mkdir("d/f", { recursive: true })],
      ["ENOENT", () => vfs.mkdir("x/y")],
      ["ENOENT", () => vfs.stat("x")],
      ["ENOENT", () => vfs.remove("x", { recursive: true })],
      ["ENOTEMPTY", () => vfs.remove("d")],
      ["EPERM", () => vfs.remove("/", { recursive: true })],
      ["EPERM", () => vfs.remove("d/..", { recursive: true })],
      ["EINVAL", () => vfs.rename("d", "d/e")],
      ["ENAMETOOLONG", () => vfs.readFile("x".repeat(256))],
      ["ENAMETOOLONG", () => vfs.writeFile("x/".repeat(2049), "")],
    ];
    for (const [code, call] of codes)
      expect(fileError(call).code, call.toString()).toBe(code);
    expect(vfs.readdir("/")).toHaveLength(1);
  });

  it("refuses what is no text", () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", new Uint8Array([0xff]));
    expect(() => vfs.readTextFile("f")).toThrow(
      expect.objectContaining({
        name: "TypeError",
        code: "ERR_ENCODING_INVALID_ENCODED_DATA",
        message: "expected a file with UTF-8 text, got other bytes, read 'f'",
      }),
    );
  });

  it("refuses text that is longer than a string can be, as node:fs does", async () => {
    const vfs = new VfsStorage({ maxBytes: null });
    await withFiles(vfs, "open('f', 'w').truncate(600_000_000)");
    const error = fileError(() => vfs.readTextFile("f"));
    expect(error.code).toBe("ERR_STRING_TOO_LONG");
  });

  it("checks arguments", async () => {
    const vfs = new VfsStorage();
    const any = (value: unknown) => value as never;
    const cases: [() => unknown, string][] = [
      [() => vfs.readFile(any(1)), "path: expected a string, got 1"],
      [() => vfs.readFile(""), 'path: expected a path, got ""'],
      [
        () => vfs.readFile("a\0b"),
        'path: expected a path without NUL characters, got "a\\u0000b"',
      ],
      [
        () => vfs.exists("\ud800"),
        "path: expected well-formed text, got a string with a lone surrogate",
      ],
      [
        () => vfs.writeFile("f", any(1)),
        "data: expected a string or a Uint8Array, got 1",
      ],
      [
        () => vfs.writeFile("f", "\ud800"),
        "data: expected well-formed text, got a string with a lone surrogate",
      ],
      [() => vfs.rename("a", any(null)), "to: expected a string, got null"],
      [() => vfs.rename(any(1), any(2)), "from: expected a string, got 1"],
      [
        () => vfs.mkdir("a", { recursive: any(1) }),
        "options.recursive: expected a boolean, got 1",
      ],
      [
        () => vfs.mkdir("a", any({ mode: 1 })),
        "options.mode: unknown option, expected one of recursive",
      ],
      [
        () => new VfsStorage({ maxBytes: 0 }),
        "options.maxBytes: expected a whole number of bytes from 1 to 9007199254740991, or null for no limit, got 0",
      ],
      [
        () => VfsStorage.from(any("x")),
        'snapshot: expected a Uint8Array, got "x"',
      ],
      [
        () => new Sandbox({ vfs: any({}) }),
        "options.vfs: expected a VfsStorage, got an object (Object)",
      ],
      [
        () => new Sandbox({ vfsMountPath: any(1) }),
        "options.vfsMountPath: expected a string, got 1",
      ],
      [
        () => new Sandbox({ vfsMountPath: "work" }),
        'vfsMountPath: expected an absolute path other than "/", got "work"',
      ],
    ];
    for (const [call, message] of cases)
      expect(await catchArgumentError(call)).toBe(message);
    expect(vfs.readdir("/")).toEqual([]);
  });

  it("refuses bytes that have lost their buffer", async () => {
    const vfs = new VfsStorage();
    for (const bytes of Object.values(makeHollowArrays()))
      expect(await catchArgumentError(() => vfs.writeFile("f", bytes))).toBe(
        "data: expected a string or a Uint8Array, got a detached one",
      );
    expect(vfs.exists("f")).toBe(false);
    vfs.writeFile("f", new Uint8Array(0));
    expect(vfs.readFile("f")).toHaveLength(0);
  });

  it("counts names and directories", () => {
    const vfs = new VfsStorage({ maxBytes: 10_000 });
    vfs.mkdir("d");
    expect(vfs.usedBytes).toBe(512 + 400 + 1);
    const error = fileError(() => {
      for (let n = 0; ; n++) vfs.writeFile(String(n), "");
    });
    expect(error.code).toBe("ENOSPC");
    expect(vfs.readdir("/")).toHaveLength(10);
    expect(vfs.usedBytes).toBeLessThanOrEqual(10_000);
  });
});

describe("a storage in Python", () => {
  it("shows what the host wrote, and the reverse", async () => {
    const vfs = new VfsStorage();
    vfs.writeFile("in", "größe");
    const code = `
import os
os.mkdir("d")
open("/data/d/out", "w").write(open("in").read() * 2)
result = os.getcwd()`;
    expect(await withFiles(vfs, code)).toBe("/data");
    expect(vfs.readTextFile("d/out")).toBe("größegröße");
  });

  it("is shared at different paths, at once", async () => {
    const vfs = new VfsStorage();
    const code = (who: string) => `
import os, time
open("${who}", "w").write(os.getcwd())
while [os.path.getsize(name) > 0 for name in os.listdir(".")] != [True, True]: time.sleep(0.001)
result = [open(name).read() for name in sorted(os.listdir("."))]`;
    const both = await Promise.all([
      withFiles(vfs, code("a"), "/work"),
      withFiles(vfs, code("b"), "/mnt/deep"),
    ]);
    expect(both).toEqual([
      ["/work", "/mnt/deep"],
      ["/work", "/mnt/deep"],
    ]);
  });

  it("is full with ENOSPC", async () => {
    const vfs = new VfsStorage({ maxBytes: 100_000 });
    const code = `
import errno, os
def fill(path):
    with open(path, "wb") as f: f.write(bytes(200_000))
result = []
for act in [lambda: fill("f"), lambda: [os.mkdir(str(n)) for n in range(1000)]]:
    try: act()
    except OSError as e: result.append(errno.errorcode[e.errno])
fill("/tmp/f")`;
    expect(await withFiles(vfs, code)).toEqual(["ENOSPC", "ENOSPC"]);
    expect(vfs.usedBytes).toBeLessThanOrEqual(100_000);
    expect(fileError(() => vfs.writeFile("g", "x")).code).toBe("ENOSPC");
  });

  it("is not what maxVfsBytes bounds", async () => {
    const vfs = new VfsStorage();
    await using sandbox = new Sandbox({
      vfs,
      resourceLimits: { maxVfsBytes: 10_000 },
    });
    await sandbox.execute("open('f', 'wb').write(bytes(100_000))");
    expect(vfs.stat("f").size).toBe(100_000);
    const error = await catchRejection(
      sandbox.execute(
        "with open('/tmp/f', 'wb') as f: f.write(bytes(100_000))",
      ),
    );
    expect(error.message).toMatch(/No space left/);
  });

  it("keeps links inside", async () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", "x");
    const code = `
import os
os.mkdir("d")
os.symlink("../../../../../f", "d/up")
os.symlink("/etc/passwd", "absolute")
os.symlink("nowhere", "dangling")
os.symlink("loop", "loop")
result = sorted(os.listdir("."))`;
    expect(await withFiles(vfs, code)).toEqual([
      "absolute",
      "d",
      "dangling",
      "f",
      "loop",
    ]);
    expect(vfs.readTextFile("d/up")).toBe("x");
    expect(fileError(() => vfs.readFile("absolute")).code).toBe("ENOENT");
    expect(fileError(() => vfs.readFile("loop")).code).toBe("ELOOP");
    expect(vfs.readdir("/")).toHaveLength(5);
    expect(vfs.stat("dangling")).toMatchObject({ kind: "symlink", size: 7 });
    expect(vfs.exists("dangling")).toBe(false);
    vfs.remove("dangling");
    expect(vfs.readdir("/")).toHaveLength(4);
  });

  it.each([
    "../../etc/passwd",
    "/../../../etc/passwd",
    "%2e%2e/etc/passwd",
    "..\u2215etc\u2215passwd",
    "\uff0e\uff0e/etc/passwd",
    "file:///etc/passwd",
    "C:\\etc\\passwd",
  ])("never leads out by %s", (path) => {
    const vfs = new VfsStorage();
    expect(fileError(() => vfs.readFile(path)).code).toBe("ENOENT");
    expect(vfs.exists(path)).toBe(false);
  });

  it("has POSIX semantics", async () => {
    const vfs = new VfsStorage();
    vfs.writeFile("a", "12345");
    const code = `
import os
f = open("a", "r+")
os.remove("a")
f.write("X")
f.seek(0)
result = [f.read(), os.path.exists("a")]
with open("s", "wb") as s:
    s.seek(1 << 30)
    s.write(b"!")
with open("s", "ab") as s: s.write(b"?")
result.append(os.path.getsize("s"))
os.truncate("s", 3)
open("t", "w").write("t")
os.rename("t", "s")
for n in range(300): open(f"n{n}", "w").close()
seen = 0
for entry in os.scandir("."):
    os.remove(entry.path)
    seen += 1
result += [seen, os.listdir(".")]`;
    expect(await withFiles(vfs, code)).toEqual([
      "X2345",
      false,
      2 ** 30 + 2,
      301,
      [],
    ]);
    expect(vfs.usedBytes).toBe(0);
  });

  it("refuses to read what only holes make large", async () => {
    const vfs = new VfsStorage();
    await withFiles(vfs, "open('f', 'w').truncate(1 << 40)");
    expect(fileError(() => vfs.readFile("f")).code).toBe("EFBIG");
    expect(vfs.stat("f").size).toBe(2 ** 40);
  });

  it("holds an sqlite database", async () => {
    const vfs = new VfsStorage();
    await withFiles(
      vfs,
      `
import sqlite3
db = sqlite3.connect("a.db")
db.execute("create table t (x)")
db.executemany("insert into t values (?)", [(i,) for i in range(1000)])
db.commit()
db.execute("delete from t")
db.rollback()
db.close()`,
    );
    const sum =
      "import sqlite3\nresult = sqlite3.connect('a.db').execute('select count(*), sum(x) from t').fetchone()";
    expect(await withFiles(vfs, sum, "/elsewhere")).toEqual([1000, 499_500]);
    const copy = VfsStorage.from(vfs.snapshot());
    expect(await withFiles(copy, sum)).toEqual([1000, 499_500]);
  });
});

describe("a snapshot", () => {
  it("comes back in another process", async () => {
    const vfs = new VfsStorage({ maxBytes: 1_000_000 });
    vfs.mkdir("d");
    vfs.writeFile("d/f", "hello");
    await withFiles(vfs, "import os\nos.symlink('d/f', 'l')");
    const bytes = Buffer.from(vfs.snapshot()).toString("base64");
    const source = `
import { VfsStorage } from "@bsull/eryx";
const vfs = VfsStorage.from(Buffer.from("${bytes}", "base64"));
console.log(vfs.readTextFile("l"), vfs.usedBytes);`;
    expect(await getNodeStdout(source)).toBe(`hello ${vfs.usedBytes}`);
  });

  it("is apart from its storage", () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", "before");
    const snapshot = vfs.snapshot();
    vfs.writeFile("f", "after");
    const copy = VfsStorage.from(snapshot);
    expect(copy).toBeInstanceOf(VfsStorage);
    expect(copy.readTextFile("f")).toBe("before");
    expect(vfs.readTextFile("f")).toBe("after");
  });

  it("takes a limit, or the one that was saved", () => {
    const vfs = new VfsStorage({ maxBytes: 5000 });
    vfs.writeFile("f", "x");
    const snapshot = vfs.snapshot();
    const full = (storage: VfsStorage) =>
      fileError(() => storage.writeFile("g", new Uint8Array(100_000))).code;
    expect(full(VfsStorage.from(snapshot))).toBe("ENOSPC");
    const roomy = VfsStorage.from(snapshot, { maxBytes: null });
    roomy.writeFile("g", new Uint8Array(100_000));
    expect(() => VfsStorage.from(snapshot, { maxBytes: 100 })).toThrow(
      "snapshot: the files take more than 100 bytes",
    );
  });

  it("that is none is a SnapshotError", () => {
    const vfs = new VfsStorage();
    vfs.writeFile("f", "x".repeat(1000));
    const good = vfs.snapshot();
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at] ^= 0x10;
      for (const bytes of [bad, good.subarray(0, at)]) {
        try {
          VfsStorage.from(bytes);
          expect.fail(`accepted, with a change at ${at}`);
        } catch (error) {
          expect(error).toBeInstanceOf(SnapshotError);
          expect((error as SnapshotError).code).toBe("ERYX_SNAPSHOT");
          expect((error as SnapshotError).message).toMatch(/^snapshot: /);
        }
      }
    }
  });
});
