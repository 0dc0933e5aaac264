import { describe, expect, it } from "vitest";
import { catchExecutionError, getStdout, run } from "../helpers.js";

describe("the file system", () => {
  it("has a root, a working directory and a temporary one", async () => {
    const code =
      "import os, tempfile\nresult = [sorted(os.listdir('/')), os.getcwd(), os.listdir('.'), tempfile.gettempdir(), os.listdir('/tmp')]";
    expect((await run(code)).result).toEqual([
      ["data", "dev", "home", "tmp", "usr"],
      "/data",
      [],
      "/tmp",
      [],
    ]);
  });

  it("has nothing of the host", async () => {
    const code =
      "import os\nresult = [os.path.exists(p) for p in ['/etc', '/proc', '/sys', '/root', '/bin', '/var']]";
    expect((await run(code)).result).not.toContain(true);
  });

  it.each([
    "/etc/passwd",
    "../../etc/passwd",
    "/data/../../../etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "/data/%2e%2e/etc/passwd",
  ])("has no %s", async (path) => {
    const error = await catchExecutionError("open(path)", { inputs: { path } });
    expect(error.pythonType).toBe("FileNotFoundError");
  });

  it("resolves relative paths", async () => {
    const code = `
import os
os.makedirs("a/b")
os.chdir("a")
with open("b/c", "w") as f: f.write("x")
print(os.getcwd(), os.path.abspath("b/../b/c"), open("/data/a/./b/c").read())`;
    expect(await getStdout(code)).toBe("/data/a /data/a/b/c x");
  });

  it("gives temporary files and directories", async () => {
    const code = `
import os, tempfile
with tempfile.TemporaryDirectory() as d:
    open(os.path.join(d, "f"), "w").close()
    print(os.listdir(d), os.path.dirname(d))
print(os.path.exists(d))
with tempfile.NamedTemporaryFile("w+") as f:
    f.write("x")
    f.seek(0)
    print(f.read(), os.path.exists(f.name))
with tempfile.TemporaryFile() as f:
    f.write(b"y")
    f.seek(0)
    print(f.read())
with tempfile.SpooledTemporaryFile(10) as f:
    f.write(b"z" * 100)
    f.seek(0)
    print(len(f.read()))`;
    expect(await getStdout(code)).toBe("['f'] /tmp\nFalse\nx True\nb'y'\n100");
  });

  it("is empty again for the next run", async () => {
    await run(
      "import os\nopen('a', 'w').write('x')\nos.mkdir('/tmp/d')\nos.makedirs(os.path.expanduser('~/e'))\nos.chdir('/tmp')",
    );
    const code =
      "import os\nresult = [os.listdir(p) for p in ['/data', '/tmp', '/home/sandbox']] + [os.getcwd()]";
    expect((await run(code)).result).toEqual([[], [], [], "/data"]);
  });

  it("is each run's own while they run at once", async () => {
    const code =
      "import time\nopen('a', 'w').write(str(n))\ntime.sleep(0.02)\nresult = open('a').read()";
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, n) => run(code, { inputs: { n } })),
    );
    expect(all.map(({ result }) => result)).toEqual(
      Array.from({ length: 20 }, (_, n) => String(n)),
    );
  });

  it("holds thousands of files", async () => {
    const code = `
import os
for i in range(5000):
    with open(f"f{i}", "w") as f: f.write(str(i))
result = [len(os.listdir(".")), sum(int(open(f"f{i}").read()) for i in range(5000))]
for i in range(5000): os.remove(f"f{i}")
result.append(os.listdir("."))`;
    expect((await run(code)).result).toEqual([5000, 12_497_500, []]);
  });

  it("has a limit of open files that is an OSError", async () => {
    const code =
      "import errno, os\nopen('a', 'w').close()\ntry:\n    while True: os.open('a', os.O_RDONLY)\nexcept OSError as e: print(errno.errorcode[e.errno])";
    expect(await getStdout(code)).toMatch(/^(EMFILE|ENFILE)$/);
  });

  it("keeps the bytes of large files", async () => {
    const code = `
import hashlib
data = bytes(range(256)) * 40_000
open("a", "wb").write(data)
print(hashlib.sha256(open("a", "rb").read()).digest() == hashlib.sha256(data).digest())`;
    expect(await getStdout(code)).toBe("True");
  });

  it("takes names of every kind", async () => {
    const names = ["é漢𝄞", "a b", "x".repeat(255), "-", "a\nb", "CON", "a\\b"];
    const code =
      "import os\nfor n in names: open(n, 'w').close()\nresult = sorted(os.listdir('.')) == sorted(names)";
    expect((await run(code, { inputs: { names } })).result).toBe(true);
  });

  it.each([
    ["x".repeat(256), "OSError"],
    ["a\0b", "ValueError"],
    [`${"d/".repeat(3000)}f`, "OSError|FileNotFoundError"],
    ["/", "IsADirectoryError|OSError"],
  ])("refuses the name %j", async (name, type) => {
    const error = await catchExecutionError("open(name, 'w')", {
      inputs: { name },
    });
    expect(error.pythonType).toMatch(new RegExp(`^(${type})$`));
  });
});

describe("the standard library's files", () => {
  it("can be read", async () => {
    const code =
      "import os\nwith open(os.__file__) as f: print(f.readline()[:4])";
    expect(await getStdout(code)).toBe('r"""');
  });

  it.each([
    "open(json.__file__, 'w')",
    "open(json.__file__, 'a')",
    "os.remove(json.__file__)",
    "os.rename(json.__file__, '/data/json.py')",
    "os.truncate(json.__file__, 0)",
    "os.mkdir('/usr/lib/python3.14/x')",
    "open('/usr/lib/python3.14/x', 'w')",
    "os.rmdir('/usr/lib/python3.14/json')",
    "os.symlink('a', '/usr/lib/python3.14/l')",
    "os.link('/data/f', '/usr/lib/python3.14/l')",
    "os.utime(json.__file__, (1, 1))",
  ])("refuse %s", async (call) => {
    const error = await catchExecutionError(
      `import json, os\nopen('/data/f', 'w').close()\n${call}`,
    );
    expect(error.message).toMatch(
      /^(OSError: \[Errno 69\] Read-only file system|PermissionError|OSError: .*(Read-only|cross|Not supported|not permitted))/i,
    );
  });
});

describe("POSIX", () => {
  it("symbolic links", async () => {
    const code = `
import os
os.makedirs("d/e")
open("d/e/f", "w").write("x")
os.symlink("f", "d/e/l")
os.symlink("../d", "d/up")
os.symlink("nowhere", "dangling")
os.symlink("loop", "loop")
result = [open("d/e/l").read(), os.readlink("d/e/l"), os.path.islink("d/e/l"), os.path.exists("dangling"), sorted(os.listdir(".")), open("d/up/e/f").read(), os.path.realpath("d/up/e/l")]
try: open("loop")
except OSError as e: result.append(os.strerror(e.errno))
os.remove("d/e/l")
result.append(os.path.exists("d/e/f"))`;
    const result = (await run(code)).result as unknown[];
    expect(result.slice(0, 7)).toEqual([
      "x",
      "f",
      true,
      false,
      ["d", "dangling", "loop"],
      "x",
      "/data/d/e/f",
    ]);
    expect(result[7]).toMatch(/link/i);
    expect(result[8]).toBe(true);
  });

  it("a link that climbs stays inside", async () => {
    const code =
      "import os\nos.symlink('../../../../etc/passwd', 'l')\nos.symlink('/etc', 'm')\nprint(os.path.exists('l'), os.path.exists('m/passwd'))";
    expect(await getStdout(code)).toBe("False False");
  });

  it("rename replaces a file and moves a directory", async () => {
    const code = `
import os
open("a", "w").write("a")
open("b", "w").write("b")
os.rename("a", "b")
os.makedirs("d/e")
open("d/e/f", "w").write("f")
os.rename("d", "g")
result = [open("b").read(), sorted(os.listdir(".")), open("g/e/f").read()]
try: os.rename("g", "g/e/h")
except OSError as e: result.append(type(e).__name__)`;
    expect((await run(code)).result).toEqual(["a", ["b", "g"], "f", "OSError"]);
  });

  it("an open file outlives its name", async () => {
    const code = `
import os
f = open("a", "w+")
f.write("x")
f.flush()
os.remove("a")
f.seek(0)
print(f.read(), os.path.exists("a"), os.fstat(f.fileno()).st_size)`;
    expect(await getStdout(code)).toBe("x False 1");
  });

  it("append, exclusive, truncate, seek", async () => {
    const code = `
import os
open("a", "w").write("12345")
with open("a", "a") as f: f.write("678")
with open("a", "r+") as f:
    f.seek(2)
    f.write("X")
    f.truncate(6)
with open("a", "r+b") as f:
    f.seek(8)
    f.write(b"Y")
result = [open("a", "rb").read()]
try: open("a", "x")
except FileExistsError: result.append("exists")
fd = os.open("a", os.O_RDONLY)
try: os.write(fd, b"x")
except OSError as e: result.append(type(e).__name__)`;
    expect((await run(code)).result).toEqual([
      new Uint8Array([49, 50, 88, 52, 53, 54, 0, 0, 89]),
      "exists",
      "OSError",
    ]);
  });

  it("stat, utime, scandir, walk", async () => {
    const code = `
import os, stat
os.makedirs("d/e")
open("d/f", "w").write("abc")
os.utime("d/f", (1000, 2000))
s = os.stat("d/f")
result = [s.st_size, s.st_mtime, stat.S_ISREG(s.st_mode), os.path.isdir("d/e"), sorted(e.name for e in os.scandir("d")), [(p, sorted(d), f) for p, d, f in os.walk("d")]]`;
    expect((await run(code)).result).toEqual([
      3,
      2000,
      true,
      true,
      ["e", "f"],
      [
        ["d", ["e"], ["f"]],
        ["d/e", [], []],
      ],
    ]);
  });

  it.each([
    ["os.rmdir('d')", "OSError"],
    ["os.remove('d')", "IsADirectoryError|PermissionError|OSError"],
    ["os.mkdir('d')", "FileExistsError"],
    ["os.listdir('f')", "NotADirectoryError"],
    ["open('f/x')", "NotADirectoryError"],
    ["open('d')", "IsADirectoryError"],
    ["os.remove('nope')", "FileNotFoundError"],
    ["os.rename('nope', 'x')", "FileNotFoundError"],
    ["os.readlink('f')", "OSError"],
    ["os.rename('f', 'd')", "IsADirectoryError|OSError"],
  ])("%s is refused", async (call, type) => {
    const code = `import os\nos.makedirs('d/e')\nopen('f', 'w').close()\n${call}`;
    expect((await catchExecutionError(code)).pythonType).toMatch(
      new RegExp(`^(${type})$`),
    );
  });

  it("a directory changed while it is read", async () => {
    const code = `
import os
for i in range(500): open(f"f{i}", "w").close()
seen = 0
for entry in os.scandir("."):
    os.remove(entry.path)
    seen += 1
print(seen, len(os.listdir(".")))`;
    expect(await getStdout(code)).toBe("500 0");
  });

  it("shutil and pathlib", async () => {
    const code = `
import pathlib, shutil
p = pathlib.Path("a/b")
p.mkdir(parents=True)
(p / "c.txt").write_text("é")
shutil.copytree("a", "z")
shutil.make_archive("all", "zip", "z")
shutil.rmtree("a")
shutil.unpack_archive("all.zip", "back")
result = [sorted(str(q) for q in pathlib.Path(".").rglob("*.txt")), pathlib.Path("back/b/c.txt").read_text()]`;
    expect((await run(code)).result).toEqual([
      ["back/b/c.txt", "z/b/c.txt"],
      "é",
    ]);
  });
});

describe("sqlite3 on a file", () => {
  it("creates, commits, rolls back and opens again", async () => {
    const code = `
import sqlite3
db = sqlite3.connect("a.db")
db.execute("create table t (x)")
db.executemany("insert into t values (?)", [(i,) for i in range(1000)])
db.commit()
db.execute("delete from t")
db.rollback()
db.close()
db = sqlite3.connect("a.db")
result = db.execute("select count(*), sum(x) from t").fetchone()`;
    expect((await run(code)).result).toEqual([1000, 499_500]);
  });

  it("serves two connections", async () => {
    const code = `
import sqlite3
a = sqlite3.connect("a.db")
b = sqlite3.connect("a.db", timeout=0.05)
a.execute("create table t (x)")
a.commit()
a.execute("insert into t values (1)")
try:
    b.execute("insert into t values (2)")
    result = "both"
except sqlite3.OperationalError as e:
    result = str(e)
a.commit()
result = [result, b.execute("select count(*) from t").fetchone()[0]]`;
    const { result } = await run(code);
    expect(result).toEqual(["database is locked", 1]);
  });

  it("vacuums, and works in memory", async () => {
    const code =
      "import sqlite3\nfor name in ['a.db', ':memory:']:\n    db = sqlite3.connect(name)\n    db.execute('create table t (x)')\n    db.execute('vacuum')\n    print(db.execute('pragma integrity_check').fetchone()[0])";
    expect(await getStdout(code)).toBe("ok\nok");
  });
});
