import { describe, expect, it } from "vitest";
import { Sandbox, Session } from "../../index.js";
import { catchArgumentError, run } from "../helpers.js";

/** What an expression gives, or the name of its error. */
async function each(expressions: string[], before = "", stdin = "") {
  const code = `
import errno, os, shutil, stat
def attempt(text):
    try: return eval(text)
    except OSError as error: return errno.errorcode[error.errno]
${before}
[attempt(text) for text in texts]`;
  const { value, stdout, stderr } = await run(code, {
    inputs: { texts: expressions },
    stdin,
  });
  return { value, stdout, stderr };
}

async function expectEach(cases: [string, unknown][], before = "") {
  const { value } = await each(
    cases.map(([text]) => text),
    before,
  );
  const texts = (list: unknown[]) =>
    cases.map(([text], index) => `${text} -> ${JSON.stringify(list[index])}`);
  expect(texts(value as unknown[])).toEqual(
    texts(cases.map(([, wanted]) => wanted)),
  );
}

describe("/dev", () => {
  it("has the usual devices, which are character devices", async () => {
    const { value } = await run(`
import os, stat
names = sorted(os.listdir("/dev"))
[names, [n for n in names if stat.S_ISCHR(os.stat("/dev/" + n).st_mode)], stat.S_ISDIR(os.stat("/dev").st_mode),
 sorted(e.name for e in os.scandir("/dev") if e.is_dir())]`);
    const devices = [
      "full",
      "null",
      "random",
      "stderr",
      "stdin",
      "stdout",
      "urandom",
      "zero",
    ];
    expect(value).toEqual([["fd", ...devices].sort(), devices, true, ["fd"]]);
  });

  it("reads and writes", async () => {
    await expectEach([
      ["open(os.devnull).read()", ""],
      ["open(os.devnull, 'w').write('x' * 100_000)", 100_000],
      ["open(os.devnull, 'a').write('x')", 1],
      ["open(os.devnull, 'r+b').read() == b''", true],
      ["open('/dev/zero', 'rb').read(200_000) == bytes(200_000)", true],
      ["len(open('/dev/urandom', 'rb').read(200_000))", 200_000],
      ["len(open('/dev/random', 'rb').read(16))", 16],
      [
        "open('/dev/urandom', 'rb').read(16) == open('/dev/urandom', 'rb').read(16)",
        false,
      ],
      ["open('/dev/full', 'wb', buffering=0).write(b'x')", "ENOSPC"],
      ["os.isatty(os.open('/dev/null', os.O_RDWR))", false],
      ["os.lseek(os.open('/dev/zero', os.O_RDONLY), 0, 2)", 0],
    ]);
  });

  it("bounds what one call reads", async () => {
    await expectEach([
      ["len(os.read(os.open('/dev/zero', os.O_RDONLY), 1 << 26))", 65_536],
      ["len(os.read(os.open('/dev/urandom', os.O_RDONLY), 1 << 26))", 65_536],
    ]);
  });

  it("has names for the standard streams", async () => {
    const result = await each(
      [
        "open('/dev/stdin').read()",
        "open('/dev/stdout', 'w').write('out')",
        "open('/dev/stderr', 'w').write('err')",
        "open('/dev/fd/1', 'a').write('put')",
        "open('/dev/fd/0').read()",
        "open('/dev/stdin', 'w')",
        "open('/dev/stdout', 'r')",
      ],
      "",
      "given",
    );
    expect(result).toEqual({
      value: ["given", 3, 3, 3, "", "EACCES", "EACCES"],
      stdout: "output",
      stderr: "err",
    });
  });

  it("has names for open descriptors", async () => {
    await expectEach(
      [
        ["open(f'/dev/fd/{fd}').read()", "hello"],
        ["os.stat(f'/dev/fd/{fd}').st_size", 5],
        ["os.path.samefile(f'/dev/fd/{fd}', '/tmp/a')", true],
        ["str(fd) in os.listdir('/dev/fd')", true],
        ["os.listdir('/dev/fd')[:3]", ["0", "1", "2"]],
        ["os.path.exists('/dev/fd/999')", false],
        ["open('/dev/fd/999')", "ENOENT"],
        ["open('/dev/fd/x')", "ENOENT"],
        ["open('/dev/fd/01')", "ENOENT"],
        ["open('/dev/fd/+1')", "ENOENT"],
        ["open('/dev/fd/99999999999999999999')", "ENOENT"],
        ["os.listdir('/dev/fd/3') == os.listdir('/')", true],
        ["open(f'/dev/fd/{fd}', 'w').close()", null],
        ["os.stat('/tmp/a').st_size", 0],
      ],
      "file = open('/tmp/a', 'w+'); file.write('hello'); file.flush(); fd = file.fileno()",
    );
  });

  it("cannot be changed", async () => {
    await expectEach(
      [
        ["open('/dev/new', 'w')", "EACCES"],
        ["os.mkdir('/dev/new')", "EACCES"],
        ["os.symlink('/tmp', '/dev/new')", "EACCES"],
        ["os.remove('/dev/null')", "EACCES"],
        ["os.rmdir('/dev/fd')", "EACCES"],
        ["os.rename('/dev/null', '/dev/zero')", "EACCES"],
        ["os.rename('/tmp/a', '/dev/null')", "EXDEV"],
        ["os.replace('/dev/null', '/tmp/a')", "EXDEV"],
        ["os.truncate('/dev/null', 5)", "EINVAL"],
        ["os.utime('/dev/null')", "EACCES"],
        ["os.link('/dev/null', '/tmp/b')", "EXDEV"],
        ["os.readlink('/dev/stdin')", "EINVAL"],
        ["os.listdir('/dev/null')", "ENOTDIR"],
        ["open('/dev/null/x')", "ENOTDIR"],
        ["open('/dev', 'w')", "EISDIR"],
        ["open(os.devnull, 'x')", "EEXIST"],
        ["open('/dev/null').read()", ""],
      ],
      "open('/tmp/a', 'w').close()",
    );
    const code = "import os\nos.rename('/dev', '/tmp/dev')";
    await expect(run(code)).rejects.toThrow(/^OSError|^PermissionError/);
  });

  it("is in sessions, forks and what is restored, with what is open there", async () => {
    const session = new Session();
    await session.execute(
      "null = open('/dev/null', 'w')\nzero = open('/dev/zero', 'rb', buffering=0)",
    );
    const later = new Session();
    await later.restoreState(await session.snapshotState());
    for (const one of [session, await session.fork(), later]) {
      const { value } = await one.execute(
        "[null.write('x'), len(zero.read(5))]",
      );
      expect(value).toEqual([1, 5]);
    }
  });

  it("is no place for volumes and the working directory", async () => {
    for (const path of ["/dev", "/dev/shm"])
      expect(
        await catchArgumentError(() => new Sandbox({ vfsMountPath: path })),
      ).toContain("the devices");
  });
});

describe("what scripts ask of the platform", () => {
  it("answers or fails as documented", async () => {
    await expectEach(
      [
        ["os.get_terminal_size()", "ENOTTY"],
        ["os.get_terminal_size(99)", "EBADF"],
        ["list(shutil.get_terminal_size())", [80, 24]],
        ["shutil.disk_usage('/')", "ENOTSUP"],
        ["shutil.disk_usage('/nowhere')", "ENOENT"],
        ["os.getlogin()", "ENXIO"],
        ["os.path.expanduser('~/x')", "/home/sandbox/x"],
        ["os.path.expanduser('~root')", "~root"],
        ["os.cpu_count()", 1],
        ["os.process_cpu_count()", 1],
        ["os.getpid()", 42],
        ["os.uname().nodename", "(none)"],
        ["platform.node()", "(none)"],
        ["platform.system()", "wasi"],
        ["platform.machine()", "wasm32"],
        ["platform.python_implementation()", "CPython"],
        ["platform.platform()", "wasi-0.0.0-wasm32-32bit"],
        ["socket.gethostname()", "sandbox"],
        ["tempfile.gettempdir()", "/tmp"],
        ["list(time.tzname)", ["UTC", "UTC"]],
        ["sys.getfilesystemencoding()", "utf-8"],
        ["locale.getencoding().upper()", "UTF-8"],
        ["locale.getpreferredencoding()", "utf-8"],
        ["open('/tmp/a', encoding='locale').read()", "ä"],
        [
          "[hasattr(os, n) for n in ('getuid', 'getppid', 'statvfs', 'getloadavg', 'sched_getaffinity')]",
          [false, false, false, false, false],
        ],
      ],
      "import locale, platform, socket, sys, tempfile, time\nopen('/tmp/a', 'w').write('ä')",
    );
  });

  it("knows no user but the one that env names", async () => {
    const code = "import getpass\ngetpass.getuser()";
    await expect(run(code)).rejects.toThrow(/^OSError: No username set/);
    const sandbox = new Sandbox({ env: { USER: "me" } });
    expect((await sandbox.execute(code)).value).toBe("me");
  });
});
