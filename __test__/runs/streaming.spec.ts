import { describe, expect, it } from "vitest";
import { type ExecutionOptions, Sandbox } from "../../index.js";
import { catchRejection, getNodeStdout, run } from "../helpers.js";

/** Runs `code` and collects what the handlers get. */
async function streamed(code: string, options: ExecutionOptions = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const [outcome] = await Promise.allSettled([
    run(code, {
      ...options,
      onStdout: (chunk) => out.push(chunk),
      onStderr: (chunk) => err.push(chunk),
    }),
  ]);
  return { out, err, outcome };
}

/** Runs code that does not end before its output has arrived. */
async function endedByItsOutput(code: string) {
  const controller = new AbortController();
  const onStdout = () => controller.abort();
  const { signal } = controller;
  const error = await catchRejection(
    run(code, { onStdout, signal, timeoutMs: null }),
  );
  expect(error.code).toBe("ERYX_CANCELLED");
}

describe("onStdout and onStderr", () => {
  it("get all of the output in order", async () => {
    const { out, err } = await streamed(
      "import sys\nfor i in range(1000):\n    print(i)\n    print(-i, file=sys.stderr)",
    );
    const numbers = Array.from({ length: 1000 }, (_, index) => index);
    expect(out.join("")).toBe(numbers.map((n) => `${n}\n`).join(""));
    expect(err.join("")).toBe(
      numbers.map((n) => `${n === 0 ? "0" : `-${n}`}\n`).join(""),
    );
  });

  it("keep the order between the two", async () => {
    const seen: string[] = [];
    await run(
      "import sys\nfor i in range(5):\n    print('o', end='', flush=True)\n    print('e', end='', file=sys.stderr, flush=True)",
      {
        onStdout: (chunk) => seen.push(chunk),
        onStderr: (chunk) => seen.push(chunk),
      },
    );
    expect(seen.join("")).toBe("oeoeoeoeoe");
  });

  it("are called while the code runs", async () => {
    await endedByItsOutput(
      "import time\nprint('a', flush=True)\ntime.sleep(1e6)",
    );
  });

  it("get a line that ends before the code does, without flush", async () => {
    await endedByItsOutput("import time\nprint('a')\ntime.sleep(1e6)");
  });

  it("get whole characters when writes split them", async () => {
    const code =
      "import os\nfor b in 'aé漢𝄞'.encode() * 3: os.write(1, bytes([b]))";
    const { out } = await streamed(code);
    expect(out.join("")).toBe("aé漢𝄞aé漢𝄞aé漢𝄞");
    for (const chunk of out) expect(chunk).not.toContain("\ufffd");
  });

  it("get what is not UTF-8 as replacement characters", async () => {
    const code =
      "import os\nos.write(1, b'a\\xff')\nos.write(1, b'b')\nos.write(1, b'\\xe2\\x82')";
    expect((await streamed(code)).out.join("")).toBe("a\ufffdb\ufffd");
  });

  it("do not take the output from the result", async () => {
    const { out, outcome } = await streamed("print('a')");
    expect(out).toEqual(["a\n"]);
    expect(outcome).toMatchObject({ value: { stdout: "a" } });
  });

  it("are not called with empty chunks, or without output", async () => {
    const { out, err } = await streamed("print('', end='', flush=True)");
    expect([out, err]).toEqual([[], []]);
  });

  it("get the output of a run that fails, before its promise settles", async () => {
    const { out, outcome } = await streamed("print('a')\n1/0");
    expect(outcome.status).toBe("rejected");
    expect(out).toEqual(["a\n"]);
  });

  it("get the output of a run that times out", async () => {
    const code = "print('a', flush=True)\nwhile True: pass";
    const { out, outcome } = await streamed(code, { timeoutMs: 100 });
    expect(outcome).toMatchObject({ reason: { code: "ERYX_TIMEOUT" } });
    expect(out).toEqual(["a\n"]);
  });

  it("get what the limit keeps", async () => {
    const chunks: string[] = [];
    const sandbox = new Sandbox({
      resourceLimits: { maxOutputBytes: 1000 },
      onStdout: (chunk) => chunks.push(chunk),
    });
    const result = await sandbox.execute("for _ in range(500): print('x' * 9)");
    expect(chunks.join("")).toHaveLength(1000);
    expect(result.outputTruncated).toBe(true);
  });

  it("of the sandbox hold for every run, unless execute has its own", async () => {
    const seen: string[] = [];
    const sandbox = new Sandbox({
      onStdout: (chunk) => seen.push(`s${chunk}`),
    });
    await sandbox.execute("print(1)");
    await sandbox.execute("print(2)", {
      onStdout: (chunk) => seen.push(`e${chunk}`),
    });
    await sandbox.execute("print(3)", { onStderr: () => {} });
    expect(seen).toEqual(["s1\n", "e2\n", "s3\n"]);
  });

  it("get the chunks of their own run only", async () => {
    const seen = Array.from({ length: 20 }, () => "");
    await Promise.all(
      seen.map((_, n) =>
        run("for _ in range(100): print(n, end=',')", {
          inputs: { n },
          onStdout: (chunk) => {
            seen[n] += chunk;
          },
        }),
      ),
    );
    expect(seen).toEqual(seen.map((_, n) => `${n},`.repeat(100)));
  });

  it("hold 5 MB for a handler that is slow", async () => {
    let size = 0;
    const onStdout = (chunk: string) => {
      size += chunk.length;
      const until = performance.now() + 0.2;
      while (performance.now() < until);
    };
    const result = await run(
      "line = 'x' * 999\nfor _ in range(5000): print(line)",
      {
        onStdout,
      },
    );
    expect(size).toBe(5_000_000);
    expect(result.stdoutBytes).toHaveLength(5_000_000);
  });

  it("may start and await other runs", async () => {
    const inner: Promise<unknown>[] = [];
    const onStdout = () => {
      inner.push(run("6 * 7"));
    };
    await run("print(1)", { onStdout });
    const results = await Promise.all(inner);
    expect(results).toMatchObject([{ value: 42 }]);
  });

  it("may close the sandbox", async () => {
    const sandbox = new Sandbox();
    let closing: Promise<void> | undefined;
    const onStdout = () => {
      closing ??= sandbox.close();
    };
    const code = "print(1, flush=True)\nwhile True: pass";
    const error = await catchRejection(sandbox.execute(code, { onStdout }));
    expect(["ERYX_CANCELLED", "ERYX_CLOSED"]).toContain(error.code);
    await closing;
  });
});

describe("a handler that throws", () => {
  it("is a process warning, and the run goes on", async () => {
    const source = `
      import { Sandbox } from "@bsull/eryx";
      const warnings = [];
      process.on("warning", (warning) => warnings.push(warning.message));
      let calls = 0;
      const onStdout = () => { calls++; throw new RangeError("boom " + calls); };
      const code = "import os\\nfor _ in range(3):\\n    os.write(1, b'x')\\n    os.write(2, b'y')\\nresult = 5";
      const { result, stdout } = await new Sandbox().execute(code, { onStdout });
      await new Promise(setImmediate);
      console.log(JSON.stringify([result, stdout, calls === warnings.length, warnings[0]]));`;
    const flags = ["--no-warnings"];
    expect(JSON.parse(await getNodeStdout(source, flags))).toEqual([
      5,
      "xxx",
      true,
      "onStdout threw RangeError: boom 1",
    ]);
  });

  it.each([
    "undefined",
    "null",
    "'text'",
    "Symbol('s')",
    "Object.create(null)",
    "1n",
  ])("throwing %s does not end the process", async (thrown) => {
    const source = `
        import { Sandbox } from "@bsull/eryx";
        const onStdout = () => { throw ${thrown}; };
        const { value } = await new Sandbox().execute("print(1)\\n2", { onStdout });
        console.log(value);`;
    expect(await getNodeStdout(source, ["--no-warnings"])).toBe("2");
  });
});
