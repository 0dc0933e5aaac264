import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  type ExecutionError,
  Sandbox,
  Session,
  VfsStorage,
} from "../../index.js";
import {
  catchExecutionError,
  catchRejection,
  readText,
  run,
} from "../helpers.js";

/** Leaves every kind of writer open, in every place where an object can be. */
const WRITERS = `
import csv, gzip, io, json, zipfile
csv.writer(open("b.csv", "w")).writerows([[1, 2], [3, 4]])
text = open("text", "w"); text.write("text")
raw = open("raw", "wb", buffering=0); raw.write(b"raw")
both = open("both", "w+b"); both.write(b"both")
appended = open("appended", "a"); appended.write("appended")
packed = gzip.open("a.gz", "wt"); packed.write("packed")
inner = open("b.gz", "wb")
around = gzip.GzipFile(fileobj=inner, mode="wb"); around.write(b"around")
archive = zipfile.ZipFile("a.zip", "w"); archive.writestr("name", "zipped")
members = zipfile.ZipFile("b.zip", "w"); member = members.open("member", "w"); member.write(b"member")
wrapped = io.TextIOWrapper(io.BufferedWriter(open("wrapped", "wb", buffering=0))); wrapped.write("wrapped")
cycle = [open("cycle", "w")]; cycle.append(cycle); cycle[0].write("cycle"); del cycle
def closure():
    file = open("closure", "w"); file.write("closure")
    return lambda: file
kept = closure()
json.user_file = open("module", "w"); json.user_file.write("module")
def generator():
    with open("generator", "w") as file:
        file.write("generator")
        yield
half = generator(); next(half)
class Holder: pass
Holder.file = open("class", "w"); Holder.file.write("class")
`;

const TEXTS = {
  "b.csv": "1,2\r\n3,4\r\n",
  text: "text",
  raw: "raw",
  both: "both",
  appended: "appended",
  wrapped: "wrapped",
  closure: "closure",
  module: "module",
  generator: "generator",
  class: "class",
  cycle: "cycle",
};

/** What is in the files. */
function texts(vfs: VfsStorage) {
  const read = (name: string) => [name, readText(vfs, name)];
  return Object.fromEntries(Object.keys(TEXTS).map(read));
}

async function expectFinished(vfs: VfsStorage) {
  expect(texts(vfs)).toEqual(TEXTS);
  expect(gunzipSync(vfs.readFile("a.gz")).toString()).toBe("packed");
  expect(gunzipSync(vfs.readFile("b.gz")).toString()).toBe("around");
  const code =
    "import zipfile\nzipfile.ZipFile('a.zip').read('name').decode(), zipfile.ZipFile('b.zip').read('member').decode()";
  const { value } = await new Sandbox({ vfs }).execute(code);
  expect(value).toEqual(["zipped", "member"]);
}

describe("files that a run leaves open", () => {
  it.each([
    ["the end", "", undefined],
    ["an await", "import asyncio\nawait asyncio.sleep(0)", undefined],
    ["an exception", "1 / 0", "ZeroDivisionError"],
    ["sys.exit(1)", "import sys\nsys.exit(1)", "SystemExit"],
  ])("are complete after %s", async (_, end, python) => {
    const vfs = new VfsStorage();
    const ran = new Sandbox({ vfs }).execute(WRITERS + end);
    if (python === undefined) await ran;
    else
      expect((await catchRejection<ExecutionError>(ran)).pythonType).toBe(
        python,
      );
    await expectFinished(vfs);
  });

  it("are complete in a writable volume", async () => {
    const hostPath = mkdtempSync(join(tmpdir(), "eryx-"));
    const volumes = [{ hostPath, guestPath: "/out", readOnly: false }];
    await new Sandbox({ volumes }).execute(
      "f = open('/out/a', 'w')\nf.write('x' * 10_000)",
    );
    expect(readFileSync(join(hostPath, "a"), "utf8")).toHaveLength(10_000);
  });

  it("are not written after os._exit, as in CPython", async () => {
    const vfs = new VfsStorage();
    await new Sandbox({ vfs }).execute(
      "f = open('a', 'w')\nf.write('x')\nimport os\nos._exit(0)",
    );
    expect(readText(vfs, "a")).toBe("");
  });

  it("are written when memory is used up", async () => {
    const vfs = new VfsStorage();
    const code = `
f = open("a", "w"); f.write("x")
held = []
while True: held.append([held])`;
    const limits = { maxMemoryBytes: 48 << 20 };
    const sandbox = new Sandbox({ vfs, resourceLimits: limits });
    expect(
      (await catchRejection<ExecutionError>(sandbox.execute(code))).pythonType,
    ).toBe("MemoryError");
    expect(readText(vfs, "a")).toBe("x");
  });

  it("roll a transaction of SQLite back", async () => {
    const vfs = new VfsStorage();
    const sandbox = new Sandbox({ vfs });
    await sandbox.execute(`
import sqlite3
db = sqlite3.connect("a.db")
db.execute("create table t (x)")
db.commit()
cursor = db.execute("select 1 union select 2"); cursor.fetchone()
db.execute("insert into t values (1)")`);
    expect(vfs.readdir("/").map(({ name }) => name)).toEqual(["a.db"]);
    const { value } = await sandbox.execute(
      "import sqlite3\nsqlite3.connect('a.db').execute('select count(*) from t').fetchone()[0]",
    );
    expect(value).toBe(0);
  });
});

describe("finalizers", () => {
  it("are called at the end, with the names they need", async () => {
    const { stdout } = await run(`
import json
class A:
    def __init__(self, name): self.name = name
    def __del__(self): print(json.dumps(self.name))
a, b = A("a"), A("b")
c = A("in a cycle"); c.c = c; del c
print("end")`);
    expect(stdout.split("\n").sort()).toEqual(
      ['"a"', '"b"', '"in a cycle"', "end"].sort(),
    );
    expect(stdout).toMatch(/^end\n/);
  });

  it("run once, and what they raise is told", async () => {
    const { stdout, stderr } = await run(
      "class A:\n    def __del__(self):\n        print('once')\n        1 / 0\na = A()",
    );
    expect(stdout).toBe("once");
    expect(stderr).toContain("ZeroDivisionError");
  });

  it("come after functions of atexit", async () => {
    const { stdout } = await run(`
import atexit
class A:
    def __del__(self): print("finalizer")
a = A()
atexit.register(print, "atexit")`);
    expect(stdout).toBe("atexit\nfinalizer");
  });

  it("end half-run generators", async () => {
    const { stdout } = await run(`
def g():
    try: yield 1
    finally: print("closed")
it = g(); next(it)`);
    expect(stdout).toBe("closed");
  });

  it.each([
    [
      "__del__",
      "class A:\n    def __del__(self):\n        while True: pass\na = A()",
    ],
    [
      "an obstinate __del__",
      `class A:
    def __del__(self):
        while True:
            try:
                while True: pass
            except BaseException: pass
a = A()`,
    ],
    [
      "atexit",
      "import atexit\n@atexit.register\ndef f():\n    while True: pass",
    ],
    [
      "a generator",
      "def g():\n    try: yield\n    finally:\n        while True: pass\nx = g(); next(x)",
    ],
  ])("end at the deadline: %s", async (_, code) => {
    const limits = { executionTimeoutMs: 300 };
    const sandbox = new Sandbox({ resourceLimits: limits });
    const error = await catchRejection<ExecutionError>(sandbox.execute(code));
    expect(error.code).toBe("ERYX_TIMEOUT");
    expect((await sandbox.execute("1")).value).toBe(1);
  });

  it("do not change how a run ended", async () => {
    const error = await catchExecutionError(
      "import sys\nclass A:\n    def __del__(self): sys.exit(0)\na = A()\nraise KeyError('x')",
    );
    expect(error.pythonType).toBe("KeyError");
  });

  it("flush what handlers of logging keep", async () => {
    const vfs = new VfsStorage();
    await new Sandbox({ vfs }).execute(`
import logging, logging.handlers
target = logging.FileHandler("log")
logger = logging.getLogger("x")
logger.addHandler(logging.handlers.MemoryHandler(1000, target=target))
logger.warning("kept")`);
    expect(readText(vfs, "log")).toBe("kept\n");
  });
});

describe("files that a session has open", () => {
  it("are written after each execution, and stay open", async () => {
    const session = new Session();
    await session.execute(WRITERS);
    expect(texts(session.vfs)).toEqual(TEXTS);
    await session.execute("text.write(' and more')");
    expect(readText(session.vfs, "text")).toBe("text and more");
    await session.close();
  });

  it("are written after an exception", async () => {
    const session = new Session();
    await catchRejection(
      session.execute("f = open('a', 'w')\nf.write('x')\n1 / 0"),
    );
    expect(readText(session.vfs, "a")).toBe("x");
  });

  it("are found when a writer is put around one of an earlier execution", async () => {
    const session = new Session();
    await session.execute("raw = open('a', 'wb', buffering=0)");
    await session.execute(
      "import io\nf = io.BufferedWriter(raw)\nf.write(b'x')",
    );
    expect(readText(session.vfs, "a")).toBe("x");
    await session.execute("f.write(b'y')");
    expect(readText(session.vfs, "a")).toBe("xy");
  });

  it.each(["close", "reset"] as const)("are finished by %s()", async (what) => {
    const session = new Session();
    await session.execute(WRITERS);
    await session[what]();
    await expectFinished(session.vfs);
  });

  it("are finished when a snapshot takes their place", async () => {
    const vfs = new VfsStorage();
    const session = new Session({ vfs });
    const empty = await new Session({ vfs }).snapshotState();
    await session.execute(WRITERS);
    await session.restoreState(empty);
    await expectFinished(vfs);
  });

  it("are finished after a restore", async () => {
    const session = new Session();
    await session.execute(WRITERS);
    const later = new Session();
    await later.restoreState(await session.snapshotState());
    await later.execute("text.write('!')");
    expect(readText(later.vfs, "text")).toBe("text!");
    await later.close();
    expect(gunzipSync(later.vfs.readFile("a.gz")).toString()).toBe("packed");
  });

  it("are not written twice by forks that share a storage", async () => {
    const vfs = new VfsStorage();
    const session = new Session({ vfs });
    await session.execute("f = open('a', 'a')\nf.write('once')");
    const forks = await session.fork(2);
    await Promise.all([session, ...forks].map((one) => one.close()));
    expect(readText(vfs, "a")).toBe("once");
  });

  it("go on separately in forks with files of their own", async () => {
    const session = new Session();
    await session.execute("f = open('a', 'w')\nf.write('both ')");
    const fork = await session.fork();
    await session.execute("f.write('parent')");
    await fork.execute("f.write('fork')");
    expect(readText(session.vfs, "a")).toBe("both parent");
    expect(readText(fork.vfs, "a")).toBe("both fork");
  });

  it("say so when they cannot be written", async () => {
    const vfs = new VfsStorage({ maxBytes: 10_000 });
    const session = new Session({ vfs });
    const { stderr } = await session.execute(
      "f = open('a', 'w', buffering=100_000)\nf.write('x' * 50_000)",
    );
    expect(stderr).toContain("No space left");
    await session.close();
  });

  it("run functions of atexit and finalizers when it is closed", async () => {
    const vfs = new VfsStorage();
    const session = new Session({ vfs });
    await session.execute(`
import atexit
def note(text):
    with open("notes", "a") as file: file.write(text + "\\n")
class A:
    def __del__(self): note("finalizer")
a = A()
atexit.register(note, "atexit")`);
    await session.execute("note('later')");
    expect(readText(vfs, "notes")).toBe("later\n");
    await session.close();
    expect(readText(vfs, "notes")).toBe("later\natexit\nfinalizer\n");
  });

  it("cannot hold close() up", async () => {
    const session = new Session({
      resourceLimits: { executionTimeoutMs: 300 },
    });
    await session.execute(
      "class A:\n    def __del__(self):\n        while True: pass\na = A()",
    );
    await session.close();
  });
});
