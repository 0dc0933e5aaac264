import { describe, expect, it } from "vitest";
import { Sandbox, versions } from "../../index.js";
import {
  catchExecutionError,
  catchRejection,
  getStdout,
  run,
  tryUntilPrompt,
} from "../helpers.js";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("output", () => {
  it("gives the text without its last newline, and the bytes with it", async () => {
    const result = await run('print("hello")');
    expect(result.stdout).toBe("hello");
    expect(new Uint8Array(result.stdoutBytes)).toEqual(bytes("hello\n"));
  });

  it("keeps stderr apart", async () => {
    const result = await run(
      'import sys\nprint("out")\nprint("err", file=sys.stderr)',
    );
    expect([result.stdout, result.stderr]).toEqual(["out", "err"]);
    expect(new Uint8Array(result.stderrBytes)).toEqual(bytes("err\n"));
  });

  it("captures what is written to the descriptors", async () => {
    const result = await run(
      'import os\nn = os.write(1, b"x")\nm = os.write(2, b"y")',
    );
    expect([result.stdout, result.stderr]).toEqual(["x", "y"]);
  });

  it("keeps inner and leading newlines", async () => {
    expect(await getStdout(String.raw`print("\n\na\n\nb\n\n")`)).toBe(
      "\n\na\n\nb",
    );
  });

  it("shows bytes that are not UTF-8 as replacement characters", async () => {
    const code = String.raw`import sys; n = sys.stdout.buffer.write(b"a\xff\xfe")`;
    const result = await run(code);
    expect(result.stdout).toBe("a\ufffd\ufffd");
    expect(new Uint8Array(result.stdoutBytes)).toEqual(
      new Uint8Array([97, 255, 254]),
    );
  });

  it("keeps a byte order mark that the code printed", async () => {
    expect(await getStdout(String.raw`print("\ufeffx")`)).toBe("\ufeffx");
  });

  it("is empty for code that prints nothing", async () => {
    const result = await run("x = 1");
    expect(result).toMatchObject({
      stdout: "",
      stderr: "",
      outputTruncated: false,
    });
    expect(result.stdoutBytes).toHaveLength(0);
    expect(result.stderrBytes).toHaveLength(0);
  });

  it("goes on when the code closes its own stdout", async () => {
    const result = await run("import sys\nsys.stdout.close()\nresult = 1");
    expect(result.result).toBe(1);
  });

  it("holds what was printed with flush=False and end=''", async () => {
    expect(await getStdout('print("a", end="")\nprint("b", end="")')).toBe(
      "ab",
    );
  });
});

describe("source", () => {
  it.each([
    ["empty", ""],
    ["whitespace", " \n\t\n"],
    ["a comment", "# nothing"],
    ["a docstring", '"""doc"""'],
  ])("runs %s", async (_, code) => {
    expect((await run(code)).stdout).toBe("");
  });

  it("accepts a byte order mark", async () => {
    expect(await getStdout("\ufeffprint(1)")).toBe("1");
  });

  it("accepts CRLF", async () => {
    expect(await getStdout("if True:\r\n    print(1)\r\nprint(2)\r\n")).toBe(
      "1\n2",
    );
  });

  it("accepts names and text of every plane", async () => {
    expect(await getStdout('größe = "𝄞漢"\nprint(größe, len(größe))')).toBe(
      "𝄞漢 2",
    );
  });

  it("runs 800 kB of statements in the default memory", async () => {
    const code = `${"x = 1 + 2\n".repeat(80_000)}print(x)`;
    expect(await getStdout(code)).toBe("3");
  });

  it("takes 16 MiB", async () => {
    const code = `print(1)\n#${"x".repeat(16 * 1024 * 1024 - 10)}`;
    expect(await getStdout(code)).toBe("1");
  });

  it("holds __future__ imports", async () => {
    expect(
      await getStdout(
        "from __future__ import annotations\ndef f(a: nope): pass\nprint(f.__annotations__)",
      ),
    ).toBe("{'a': 'nope'}");
  });
});

describe("exit", () => {
  it.each(["sys.exit()", "sys.exit(0)", "sys.exit(None)", "raise SystemExit"])(
    "%s succeeds",
    async (call) => {
      const result = await run(`import sys\nprint("a")\n${call}\nprint("b")`);
      expect(result.stdout).toBe("a");
    },
  );

  it("os._exit(0) succeeds", async () => {
    expect(
      await getStdout('import os\nprint("a", flush=True)\nos._exit(0)'),
    ).toBe("a");
  });

  it.each(["sys.exit(3)", "raise SystemExit(3)", "os._exit(3)", "exit(3)"])(
    "%s is an error with exitCode 3",
    async (call) => {
      const error = await catchExecutionError(
        `import sys, os\nprint("a", flush=True)\n${call}`,
      );
      expect(error).toMatchObject({
        message: "SystemExit: 3",
        pythonType: "SystemExit",
        exitCode: 3,
        stdout: "a",
      });
    },
  );

  it("sys.exit with text prints it on stderr and exits with 1", async () => {
    const error = await catchExecutionError('import sys\nsys.exit("bye")');
    expect(error).toMatchObject({ exitCode: 1, stderr: "bye" });
  });

  it("leaves exitCode unset on other errors", async () => {
    expect(await catchExecutionError("1/0")).not.toHaveProperty("exitCode");
  });

  it("runs functions of atexit", async () => {
    const code =
      'import atexit\nf = atexit.register(print, "bye")\nprint("hello")';
    expect(await getStdout(code)).toBe("hello\nbye");
  });
});

describe("stdin", () => {
  it("feeds input()", async () => {
    const code = "print(input(), input('> '))";
    expect(await getStdout(code, { stdin: "a\nb\n" })).toBe("> a b");
  });

  it("is at its end without the option", async () => {
    expect((await catchExecutionError("input()")).message).toBe(
      "EOFError: EOF when reading a line",
    );
  });

  it("gives bytes as they are", async () => {
    const options = { stdin: new Uint8Array([0, 255, 10]) };
    const result = await run(
      "import sys\nresult = sys.stdin.buffer.read()",
      options,
    );
    expect(result.result).toEqual(new Uint8Array([0, 255, 10]));
  });

  it("gives text as UTF-8", async () => {
    const code = "import sys\nresult = [line for line in sys.stdin]";
    expect((await run(code, { stdin: "é\n𝄞" })).result).toEqual(["é\n", "𝄞"]);
  });

  it("holds megabytes", async () => {
    const code = "import sys\nprint(len(sys.stdin.read()))";
    expect(await getStdout(code, { stdin: "x".repeat(5_000_000) })).toBe(
      "5000000",
    );
  });
});

describe("the main module", () => {
  it("is __main__", async () => {
    expect(await getStdout("print(__name__)")).toBe("__main__");
  });

  it("shows the code's names to `import __main__`", async () => {
    expect(await getStdout("x = 3\nimport __main__\nprint(__main__.x)")).toBe(
      "3",
    );
  });

  it("has the file name of the option", async () => {
    const options = { filename: "report.py" };
    expect(await getStdout("print(__file__)", options)).toBe("report.py");
  });

  it("has the builtins of a script", async () => {
    expect(await getStdout("print(len(help.__class__.__name__) > 0)")).toBe(
      "True",
    );
  });
});

describe("surroundings", () => {
  it("holds the env option and HOME only", async () => {
    const sandbox = new Sandbox({ env: { TOKEN: "a=ü", EMPTY: "" } });
    const { result } = await sandbox.execute(
      "import os\nresult = dict(os.environ)",
    );
    expect(result).toEqual({ HOME: "/home/sandbox", TOKEN: "a=ü", EMPTY: "" });
  });

  it("lets the env option replace HOME", async () => {
    const sandbox = new Sandbox({ env: { HOME: "/data" } });
    const code = 'import os\nprint(os.path.expanduser("~/x"))';
    expect((await sandbox.execute(code)).stdout).toBe("/data/x");
  });

  it("has no host name, user, time zone or arguments", async () => {
    const code =
      "import sys, platform, time\nresult = [sys.argv, platform.node(), list(time.tzname)]";
    expect((await run(code)).result).toEqual([
      ["<sandbox>"],
      "(none)",
      ["UTC", "UTC"],
    ]);
  });

  it("has the wall clock and a monotonic clock", async () => {
    const code =
      "import time\na = time.monotonic()\ntime.sleep(0.02)\nresult = [time.time(), time.monotonic() - a]";
    const [now, slept] = (await run(code)).result as number[];
    expect(Math.abs(now - Date.now() / 1000)).toBeLessThan(5);
    expect(slept).toBeGreaterThanOrEqual(0.02);
  });

  it("has fresh randomness in each run", async () => {
    const code =
      "import random, uuid, secrets\nresult = [random.random(), str(uuid.uuid4()), secrets.token_hex()]";
    const all = await Promise.all([run(code), run(code), run(code)]);
    expect(new Set(all.flatMap(({ result }) => result)).size).toBe(9);
  });
});

describe("what the sandbox does not have", () => {
  it.each([
    [
      'import subprocess; subprocess.run(["ls"])',
      "OSError: [Errno 58] wasi does not support processes.",
    ],
    ["import ctypes", "ModuleNotFoundError: No module named '_ctypes'"],
    [
      "import threading; threading.Thread(target=print).start()",
      "RuntimeError: can't start new thread",
    ],
    [
      "import os; os.fork()",
      "AttributeError: module 'os' has no attribute 'fork'",
    ],
    [
      'import os; os.system("ls")',
      "AttributeError: module 'os' has no attribute 'system'",
    ],
    [
      'import socket; socket.getaddrinfo("example.com", 80)',
      "socket.gaierror: [Errno -4] network access is off in this sandbox",
    ],
    [
      'import urllib.request; urllib.request.urlopen("http://example.com")',
      "urllib.error.URLError: <urlopen error [Errno -4] network access is off in this sandbox>",
    ],
  ])("%s: a clear exception at once", async (code, message) => {
    expect(
      (await tryUntilPrompt(2000, () => catchExecutionError(code))).message,
    ).toBe(message);
  });

  it("a socket's connect says that the network is off", async () => {
    const error = await catchExecutionError(
      'import socket; socket.socket().connect(("1.1.1.1", 80))',
    );
    expect(error.message).toContain("network access is off in this sandbox");
    expect(error.pythonType).toBe("PermissionError");
  });

  it("waiting for a lock that nobody can release does not crash", async () => {
    const code =
      "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()";
    const error = await catchRejection(run(code, { timeoutMs: 300 }));
    expect(error.message).not.toContain("crashed");
  });

  it("a lock's timeout works", async () => {
    const code =
      "import threading\nlock = threading.Lock()\nlock.acquire()\nprint(lock.acquire(timeout=0.05))";
    expect(await getStdout(code)).toBe("False");
  });
});

describe("a sandbox", () => {
  it("gives 50 right answers to 50 executes at once", async () => {
    const code =
      "import time\ntime.sleep(0.01)\nresult = sum(range(n)) + n\nprint(n)";
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, n) => run(code, { inputs: { n } })),
    );
    expect(all.map(({ result }) => result)).toEqual(
      Array.from({ length: 50 }, (_, n) => (n * (n - 1)) / 2 + n),
    );
    expect(all.map(({ stdout }) => stdout)).toEqual(
      Array.from({ length: 50 }, (_, n) => String(n)),
    );
  });

  it("reports its measures", async () => {
    const result = await run("x = bytearray(20_000_000)");
    expect(result.durationMs).toBeGreaterThan(0);
    expect(result.peakMemoryBytes).toBeGreaterThan(20_000_000);
    expect(result.peakMemoryBytes).toBeLessThanOrEqual(134_217_728);
    expect(result.callbackInvocations).toBe(0);
    expect(result).not.toHaveProperty("fuelConsumed");
  });

  it("has no type stubs without callbacks", () => {
    expect(new Sandbox().typeStubs).toBe("");
  });

  it("names the versions", () => {
    expect(versions.eryx).toMatch(/^\d+\.\d+\.\d+/);
    expect(versions.python).toMatch(/^3\.14\.\d+/);
    expect(versions.wasmtime).toMatch(/^\d+\.\d+\.\d+/);
    expect(versions.runtime).toMatch(/^[0-9a-f]{8,64}$/);
    expect(Object.isFrozen(versions)).toBe(true);
  });
});
