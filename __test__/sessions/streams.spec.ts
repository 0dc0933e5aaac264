import { describe, expect, it } from "vitest";
import { Session } from "../../index.js";
import { catchRejection } from "../helpers.js";

/** What code can do to the standard streams. */
const DAMAGE = [
  "import sys\nsys.stdout.close()",
  "import sys\nsys.stderr.close()\nsys.stdin.close()",
  "import sys\nsys.stdout.buffer.close()",
  "import sys\nsys.stdout.buffer.raw.close()",
  "import sys\nsys.stdout.detach()\nsys.stderr.detach()\nsys.stdin.detach()",
  "import sys\nsys.stdout.buffer.detach()",
  "import io, sys\nio.TextIOWrapper(sys.stdout.buffer)",
  "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')",
  "import io, sys\nkept = io.TextIOWrapper(sys.stdout.buffer)",
  "import io, sys\nsys.stdout = kept = io.TextIOWrapper(sys.stdout.buffer)",
  "import sys\nsys.stdout = open(sys.stdout.fileno(), 'w', buffering=1)",
  "import sys\nkept = sys.stdout = open(1, 'w')",
  "import sys\nsys.stdout = sys.stderr = sys.stdin = None",
  "import sys\nsys.stdout = sys.__stdout__ = None",
  "import sys\ndel sys.stdout, sys.stderr, sys.__stdout__",
  "import os\nos.close(0); os.close(1); os.close(2)",
  "import os\nos.closerange(0, 100)",
  "import os\nos.close(1)\nkept = open('/tmp/not stdout', 'w')",
  "import sys\nsys.stdout.reconfigure(encoding='latin-1', errors='replace')",
  "import sys\nsys.stdout.reconfigure(newline='\\r\\n')",
  "import sys\nsys.stdin.reconfigure(encoding='ascii')",
  "import sys\nsys.stdout.reconfigure(write_through=True)",
  "import sys\nsys.stdout.write = lambda text: 0",
  "import sys, io\nsys.stdout.__init__(io.BytesIO())",
  "import sys, io\nsys.stdout.buffer.__init__(io.FileIO('/tmp/a', 'w'))",
  "import sys\nsys.stdout.buffer.raw.__init__('/tmp/b', 'w')",
  "import runpy, sys\nsys.argv = ['x', '/dev/stdin']\nrunpy.run_module('json.tool', run_name='__main__')",
  "import contextlib, io\ndef g():\n    with contextlib.redirect_stdout(io.StringIO()):\n        yield\nkept = g(); next(kept)",
];

const LOOK = `
import sys
print("out ä")
print("err ä", file=sys.stderr)
print("hidden", file=sys.__stdout__)
[input(), sys.stdin.read(), sys.stdout is sys.__stdout__, sys.stdout.encoding, sys.stdout.errors]
`;
const SEEN = {
  stdout: "out ä\nhidden",
  stderr: "err ä",
  value: ["line", "rest ä", true, "utf-8", "surrogateescape"],
};

describe("the standard streams of each execution", () => {
  it.each(DAMAGE)("work after %s", async (code) => {
    const session = new Session();
    await session.execute(code, { stdin: "{}" }).catch(() => {});
    for (let time = 0; time < 2; time++)
      expect(
        await session.execute(LOOK, { stdin: "line\nrest ä" }),
      ).toMatchObject(SEEN);
    // What was kept is dropped in the middle.
    const dropped = await session.execute(
      "kept = None\nimport gc\ngc.collect()\nprint('still')",
    );
    expect(dropped.stdout).toBe("still");
    const fork = await session.fork();
    expect(await fork.execute(LOOK, { stdin: "line\nrest ä" })).toMatchObject(
      SEEN,
    );
  });

  it("work after all of that, one after the other", async () => {
    const session = new Session();
    for (const code of DAMAGE) {
      await session.execute(code, { stdin: "{}" }).catch(() => {});
      expect(
        await session.execute(LOOK, { stdin: "line\nrest ä" }),
      ).toMatchObject(SEEN);
    }
  });

  it("are the same objects, so that handlers of logging go on", async () => {
    const session = new Session();
    await session.execute(
      "import logging, sys\nlogging.basicConfig()\nold = sys.stderr\nsys.stderr.close()",
    );
    const { stderr, value } = await session.execute(
      "logging.warning('x')\nold is sys.stderr",
    );
    expect([stderr, value]).toEqual(["WARNING:root:x", true]);
  });

  it("are no user's StringIO any more, and what it took stays", async () => {
    const session = new Session();
    const { stdout } = await session.execute(
      "import io, sys\nsys.stdout = mine = io.StringIO()\nprint('taken')",
    );
    expect(stdout).toBe("");
    const next = await session.execute("print('x')\nmine.getvalue()");
    expect([next.stdout, next.value]).toEqual(["x", "taken\n"]);
  });

  it("work after an execution that was cut off", async () => {
    const session = new Session();
    await session.execute("import sys\nsys.stdout.close()");
    await catchRejection(session.execute("import os\nos.abort()"));
    expect((await session.execute("print('x')")).stdout).toBe("x");
  });

  it("are left alone as long as nothing happens to them", async () => {
    const session = new Session();
    const code =
      "import sys\n[id(stream.buffer.raw) for stream in (sys.stdin, sys.stdout, sys.stderr)]";
    const { value } = await session.execute(code);
    for (let time = 0; time < 3; time++)
      expect((await session.execute(code)).value).toEqual(value);
    await session.execute("kept = sys.stdout.buffer");
    await session.execute("kept.write(b'not lost')");
    const next = await session.execute(code);
    expect((next.value as number[])[1]).not.toBe((value as number[])[1]);
  });

  it("hand over what is written to a buffer that code kept", async () => {
    const session = new Session();
    await session.execute("import sys\nkept = sys.stdout.buffer");
    for (let time = 0; time < 2; time++) {
      const { stdout } = await session.execute("x = kept.write(b'kept')");
      expect(stdout).toBe("kept");
    }
  });

  it("leave the file system in its place", async () => {
    const session = new Session();
    await session.execute("import os\nos.closerange(0, 1000)");
    const { value } = await session.execute(
      "open('/tmp/a', 'w').close()\nimport os\nos.listdir('/tmp')",
    );
    expect(value).toEqual(["a"]);
  });
});
