import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InitializationError, Sandbox, VfsStorage } from "../../index.js";
import { catchArgumentError } from "../helpers.js";

let base: string;
let host: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "eryx-volume-"));
  host = join(base, "volume");
  mkdirSync(join(host, "d"), { recursive: true });
  writeFileSync(join(host, "f"), "one");
  writeFileSync(join(host, "d/g"), "two");
  writeFileSync(join(base, "secret"), "outside");
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

/** What each expression is, or the name of its OSError's number. */
async function each(sandbox: Sandbox, expressions: string[]) {
  const code = `
import errno, os, shutil
result = []
for expression in expressions:
    try: result.append(eval(expression))
    except OSError as e: result.append(errno.errorcode[e.errno])`;
  return (await sandbox.execute(code, { inputs: { expressions } })).result;
}

describe("volumes", () => {
  it("are read", async () => {
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: host, guestPath: "/mnt/v" }],
    });
    const found = await each(sandbox, [
      "open('/mnt/v/f').read()",
      "sorted(os.listdir('/mnt/v'))",
      "open('/mnt/v/d/../d/g').read()",
      "os.getcwd()",
      "os.stat('/mnt/v/f').st_size",
      "os.stat('/mnt/v/f').st_uid",
      "open('/mnt/v/no')",
    ]);
    expect(found).toEqual(["one", ["d", "f"], "two", "/data", 3, 0, "ENOENT"]);
    writeFileSync(join(host, "f"), "changed");
    expect(await each(sandbox, ["open('/mnt/v/f').read()"])).toEqual([
      "changed",
    ]);
  });

  it("are read-only unless asked otherwise", async () => {
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: host, guestPath: "/v" }],
    });
    const calls = [
      "open('/v/f', 'w')",
      "open('/v/f', 'a')",
      "open('/v/f', 'r+')",
      "open('/v/new', 'x')",
      "os.open('/v/f', os.O_RDONLY | os.O_TRUNC)",
      "os.truncate('/v/f', 0)",
      "os.mkdir('/v/new')",
      "os.remove('/v/f')",
      "os.rmdir('/v/d')",
      "os.rename('/v/f', '/v/new')",
      "os.symlink('f', '/v/new')",
      "os.link('/v/f', '/v/new')",
      "os.utime('/v/f', (1, 1))",
      "shutil.rmtree('/v/d')",
    ];
    expect(await each(sandbox, calls)).toEqual(calls.map(() => "EROFS"));
    expect(readFileSync(join(host, "f"), "utf8")).toBe("one");
  });

  it("are written if they may be", async () => {
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: host, guestPath: "/v", readOnly: false }],
    });
    await sandbox.execute(`
import os, shutil
open("/v/f", "a").write("+")
os.makedirs("/v/a/b")
open("/v/a/b/c", "w").write("größe")
shutil.copytree("/v/a", "/v/z")
shutil.rmtree("/v/a")
os.rename("/v/d/g", "/v/g")`);
    const text = (path: string) => readFileSync(join(host, path), "utf8");
    expect([text("f"), text("z/b/c"), text("g")]).toEqual([
      "one+",
      "größe",
      "two",
    ]);
    expect(existsSync(join(host, "a"))).toBe(false);
  });

  it("do not follow links that leave, nor tell where they lead", async () => {
    symlinkSync(join(base, "secret"), join(host, "absolute"));
    symlinkSync("../secret", join(host, "up"));
    symlinkSync("../data", join(host, "guest"));
    symlinkSync("d/g", join(host, "good"));
    symlinkSync("nowhere", join(host, "dangling"));
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: host, guestPath: "/v", readOnly: false }],
    });
    const found = await each(sandbox, [
      "open('/v/absolute').read()",
      "open('/v/up').read()",
      "open('/v/up', 'w')",
      "os.listdir('/v/guest')",
      "os.readlink('/v/absolute')",
      "os.readlink('/v/up')",
      "open('/v/good').read()",
      "open('/v/dangling')",
      "len(os.listdir('/v'))",
      "os.symlink('/etc', '/v/made')",
      "os.symlink('..', '/v/made')",
      "open('/v/../../secret')",
    ]);
    const no = "EPERM";
    expect(found).toEqual(
      [no, no, no, no, no, no, "two", "ENOENT", 7, no, no].concat("ENOENT"),
    );
    expect(readFileSync(join(base, "secret"), "utf8")).toBe("outside");
  });

  it("do not open pipes", async () => {
    execFileSync("mkfifo", [join(host, "pipe")]);
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: host, guestPath: "/v", readOnly: false }],
    });
    expect(
      await each(sandbox, [
        "open('/v/pipe')",
        "open('/v/pipe', 'w')",
        "sorted(os.listdir('/v'))",
      ]),
    ).toEqual(["EPERM", "EPERM", ["d", "f"]]);
  });

  it("can be single files", async () => {
    await using sandbox = new Sandbox({
      volumes: [
        { hostPath: join(host, "f"), guestPath: "/etc/config" },
        { hostPath: join(host, "d/g"), guestPath: "/g", readOnly: false },
      ],
    });
    const found = await each(sandbox, [
      "open('/etc/config').read()",
      "os.listdir('/etc')",
      "open('/etc/config', 'w')",
      "os.remove('/etc/config')",
      "open('/etc/f')",
      "open('/g', 'r+').write('2')",
      "open('/g/../f')",
    ]);
    expect(found).toEqual([
      "one",
      ["config"],
      "EROFS",
      "EPERM",
      "ENOENT",
      1,
      "ENOTDIR",
    ]);
    expect(readFileSync(join(host, "d/g"), "utf8")).toBe("2wo");
  });

  it("go with a storage", async () => {
    const vfs = new VfsStorage();
    await using sandbox = new Sandbox({
      vfs,
      vfsMountPath: "/job/out",
      volumes: [{ hostPath: host, guestPath: "/job/in" }],
    });
    await sandbox.execute("import shutil\nshutil.copytree('../in', 'copy')");
    expect(vfs.readTextFile("copy/d/g")).toBe("two");
  });

  it("may be named relative to the process's directory", async () => {
    await using sandbox = new Sandbox({
      volumes: [{ hostPath: relative(process.cwd(), host), guestPath: "/v" }],
    });
    expect(await each(sandbox, ["open('/v/f').read()"])).toEqual(["one"]);
  });

  it("have to exist", () => {
    const hostPath = join(host, "no");
    expect(
      () => new Sandbox({ volumes: [{ hostPath, guestPath: "/v" }] }),
    ).toThrow(
      new InitializationError(
        `volumes: ${JSON.stringify(hostPath)} cannot be mounted at "/v": no such file or directory`,
      ),
    );
  });

  it("are checked", async () => {
    const any = (value: unknown) => value as never;
    const volume = (guestPath: string) => ({ hostPath: host, guestPath });
    const cases: [unknown, string][] = [
      [1, "options.volumes: expected an array of volumes, got 1"],
      [
        ["x"],
        'options.volumes[0]: expected an object with hostPath and guestPath, got "x"',
      ],
      [
        Array(1),
        "options.volumes[0]: expected an object with hostPath and guestPath, got undefined",
      ],
      [
        [{ guestPath: "/v" }],
        "options.volumes[0].hostPath: expected a string, got undefined",
      ],
      [
        [{ hostPath: "a\0b", guestPath: "/v" }],
        'options.volumes[0].hostPath: expected a path without NUL characters, got "a\\u0000b"',
      ],
      [
        [{ ...volume("/v"), readonly: false }],
        "options.volumes[0].readonly: unknown option, expected one of hostPath, guestPath, readOnly",
      ],
      [
        [{ ...volume("/v"), readOnly: 1 }],
        "options.volumes[0].readOnly: expected a boolean, got 1",
      ],
      [
        [volume("v")],
        'volumes[0].guestPath: expected an absolute path other than "/", got "v"',
      ],
      [
        [volume("/v/../w")],
        'volumes[0].guestPath: expected a path without ".", "..", empty parts and a slash at the end, got "/v/../w"',
      ],
      [
        [volume("/a"), volume("/a/b")],
        'volumes[1].guestPath: "/a/b" overlaps "/a", which is the place of volumes[0]',
      ],
      [
        [volume("/usr/lib")],
        'volumes[0].guestPath: "/usr/lib" overlaps "/usr", which is the place of the standard library',
      ],
      [
        [volume("/data")],
        'volumes[0].guestPath: "/data" overlaps "/data", which is the place of the working directory',
      ],
    ];
    for (const [volumes, message] of cases) {
      expect(
        await catchArgumentError(() => new Sandbox({ volumes: any(volumes) })),
      ).toBe(message);
    }
  });
});
