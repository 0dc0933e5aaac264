import { constants } from "node:buffer";
import { describe, expect, it } from "vitest";
import { ExecutionError, Sandbox } from "../../index.js";
import { getStdout, run } from "../helpers.js";

const limited = (maxOutputBytes: number | null) =>
  new Sandbox({ resourceLimits: { maxOutputBytes } });

describe("the output limit", () => {
  it("keeps what fits and flags the rest", async () => {
    const result = await limited(10).execute('print("0123456789abcdef")');
    expect(result).toMatchObject({
      stdout: "0123456789",
      outputTruncated: true,
    });
    expect(result.stdoutBytes).toHaveLength(10);
  });

  it("does not flag output that just fits", async () => {
    const result = await limited(10).execute('print("012345678")');
    expect(result).toMatchObject({
      stdout: "012345678",
      outputTruncated: false,
    });
  });

  it("counts stdout and stderr together", async () => {
    const code =
      'import sys\nprint("a" * 6, end="", flush=True)\nprint("b" * 6, end="", file=sys.stderr, flush=True)';
    const result = await limited(10).execute(code);
    expect(result).toMatchObject({
      stdout: "aaaaaa",
      stderr: "bbbb",
      outputTruncated: true,
    });
  });

  it("lets the code run to its end", async () => {
    const result = await limited(1).execute(
      'for i in range(100): print("x" * 1000)\nresult = i',
    );
    expect(result.result).toBe(99);
  });

  it("cuts 50 MB at the default of 10 MiB", async () => {
    const result = await run(
      'line = "x" * 9999\nfor _ in range(5000): print(line)',
    );
    expect(result.stdoutBytes).toHaveLength(10_485_760);
    expect(result.outputTruncated).toBe(true);
  });

  it("is off with null", async () => {
    const result = await limited(null).execute(
      'line = "x" * 9999\nfor _ in range(2000): print(line)',
    );
    expect(result.stdoutBytes).toHaveLength(20_000_000);
    expect(result.outputTruncated).toBe(false);
  });

  it.each([
    ["succeeds", ""],
    ["fails", "\n1/0"],
  ])(
    "off, lets a run that %s write more than a string can hold",
    async (_, end) => {
      const most = constants.MAX_STRING_LENGTH;
      const code = `import sys
mib = b"x" * (1 << 20)
for _ in range(${Math.ceil(most / (1 << 20)) + 1}): n = sys.stdout.buffer.write(mib)`;
      const outcome = await limited(null)
        .execute(code + end)
        .catch((error: ExecutionError) => error);
      expect(outcome.stdout.length).toBe(most);
      if (outcome instanceof ExecutionError)
        expect(outcome.pythonType).toBe("ZeroDivisionError");
      else {
        expect(outcome.stdoutBytes.length).toBeGreaterThan(most);
        expect(outcome.outputTruncated).toBe(true);
      }
    },
  );

  it("cut within a character, shows a replacement character", async () => {
    const result = await limited(3).execute('print("éé")');
    expect(result.stdout).toBe("é\ufffd");
  });
});

describe("result", () => {
  it("is undefined when it is not set", async () => {
    const result = await run("x = 1");
    expect(result.result).toBeUndefined();
    expect("result" in result).toBe(false);
  });

  it("is null for None", async () => {
    expect((await run("result = None")).result).toBeNull();
  });

  it("is the last one that was set", async () => {
    expect((await run("result = 1\nresult = 2")).result).toBe(2);
  });

  it("is gone after del", async () => {
    expect((await run("result = 1\ndel result")).result).toBeUndefined();
  });

  it("set in a function without global is not the result", async () => {
    expect((await run("def f():\n    result = 1\nf()")).result).toBeUndefined();
  });

  it("has the name that the option gives", async () => {
    const sandbox = new Sandbox({ resultVariable: "größe" });
    const result = await sandbox.execute("result = 1\ngröße = 2");
    expect(result.result).toBe(2);
  });

  it("comes with sys.exit(0)", async () => {
    expect((await run("import sys\nresult = 1\nsys.exit(0)")).result).toBe(1);
  });

  it("can be an input as it came", async () => {
    expect((await run("", { inputs: { result: [1] } })).result).toEqual([1]);
  });

  it.each([
    [
      "import datetime\nresult = datetime.datetime(2024, 1, 1)",
      "result: datetime.datetime is not transferable",
    ],
    [
      'result = {"rows": [1, {"when": 1j}]}',
      "result.rows[1].when: complex is not transferable",
    ],
    [
      "result = {1: 2}",
      "result: dict with a key that is not a str is not transferable",
    ],
    ["result = print", /^result: .* is not transferable$/],
    ["result = [object()]", "result[0]: object is not transferable"],
    ["class C: pass\nresult = C()", /^result: .*C is not transferable$/],
    [
      String.raw`result = ["\ud800"]`,
      /^.*result\[0\]: .*surrogate.* is not transferable$/,
    ],
    ["result = []\nresult.append(result)", /cyclic value/],
    ["result = {}\nresult['a'] = result", /cyclic value/],
  ])("%s gives resultError, and the run succeeds", async (code, message) => {
    const result = await run(`${code}\nprint("done")`);
    expect(result.result).toBeUndefined();
    expect(result.resultError).toMatch(message);
    expect(result.stdout).toBe("done");
  });

  it("holds bytes of 30 MB in the default memory", async () => {
    const result = await run("result = bytes(30_000_000)");
    expect(result.resultError).toBeUndefined();
    expect(result.result).toHaveLength(30_000_000);
  });
});

describe("value", () => {
  it.each([
    ["1+1", 2, "2"],
    ["x = 3\nx", 3, "3"],
    ["'a'", "a", "'a'"],
    ["[1, 2.5, None]", [1, 2.5, null], "[1, 2.5, None]"],
    ["False", false, "False"],
    ["1; 2", 2, "2"],
    ["2**100", 2n ** 100n, String(2n ** 100n)],
    ["(1, 2)", [1, 2], "(1, 2)"],
    ["async def f(): return 4\nawait f()", 4, "4"],
    ["1 # comment\n\n", 1, "1"],
  ])("%j", async (code, value, repr) => {
    const result = await run(code);
    expect(result.value).toEqual(value);
    expect(result.valueRepr).toBe(repr);
  });

  it.each([
    "x = 1",
    "None",
    "print(1)",
    "if True:\n    5",
    "1\nx = 2",
    "def f(): pass",
    "",
    "import os",
    "1\npass",
  ])("%j gives undefined", async (code) => {
    const result = await run(code);
    expect("value" in result).toBe(false);
    expect("valueRepr" in result).toBe(false);
  });

  it("that cannot cross has its repr only", async () => {
    const result = await run(
      "class C:\n    def __repr__(self): return 'C!'\nC()",
    );
    expect("value" in result).toBe(false);
    expect(result.valueRepr).toBe("C!");
  });

  it("has a repr cut at 10,000 characters", async () => {
    const result = await run("'x' * 20_000");
    expect(result.valueRepr).toBe(`'${"x".repeat(9999)}...`);
    expect(result.value).toBe("x".repeat(20_000));
  });

  it("whose repr raises does not end the run", async () => {
    const result = await run(
      "class C:\n    def __repr__(self): 1/0\nprint(1)\nC()",
    );
    expect(result.stdout).toBe("1");
  });

  it("is apart from result", async () => {
    expect(await run("result = 1\n2")).toMatchObject({ result: 1, value: 2 });
  });

  it("is there for a large source too", async () => {
    const result = await run(`${"x = 1\n".repeat(70_000)}x + 1`);
    expect(result.value).toBe(2);
  });

  it("evaluates the expression once", async () => {
    expect(await getStdout("def f():\n    print('f')\n    return 1\nf()")).toBe(
      "f",
    );
  });
});
