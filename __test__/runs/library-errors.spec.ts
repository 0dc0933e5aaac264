import { describe, expect, it } from "vitest";
import {
  type ExecutionError,
  InitializationError,
  RuntimeLibrary,
  Sandbox,
} from "../../index.js";
import { catchRejection } from "../helpers.js";

function using(...libraries: RuntimeLibrary[]): Sandbox {
  return new Sandbox({ libraries });
}

function library(python: string, callbacks = {}): RuntimeLibrary {
  return new RuntimeLibrary({ python, callbacks });
}

describe("an error in a library", () => {
  async function failed(sandbox: Sandbox, code: string) {
    return catchRejection<ExecutionError>(sandbox.execute(code));
  }

  it("has the library's file name, lines and source", async () => {
    const python = "\n\ndef f(x):\n    # divides\n    return 1 / x\n";
    const error = await failed(using(library(python)), "x = 0\n\nf(x)");
    expect(error.traceback).toBe(`Traceback (most recent call last):
  File "<sandbox>", line 3, in <module>
    f(x)
    ~^^^
  File "<library>", line 5, in f
    return 1 / x
           ~~^~~
ZeroDivisionError: division by zero`);
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 3, function: "<module>" },
      { filename: "<library>", line: 5, function: "f" },
    ]);
  });

  it("names the second library", async () => {
    const sandbox = using(
      library("x = 1"),
      library("def g(): raise KeyError('k')"),
    );
    const error = await failed(sandbox, "g()");
    expect(error.frames.map(({ filename }) => filename)).toEqual([
      "<sandbox>",
      "<library 2>",
    ]);
    expect(error.traceback).toContain("    def g(): raise KeyError('k')");
  });

  it("does not shift the lines of the code", async () => {
    const python = "x = 1\n".repeat(100);
    const error = await failed(using(library(python)), "y = 1\n1/0");
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 2, function: "<module>" },
    ]);
  });

  it("at its top level ends each run", async () => {
    const sandbox = using(library("print('x')\nraise ValueError('mine')"));
    for (let n = 0; n < 2; n++) {
      expect(await failed(sandbox, "1")).toMatchObject({
        pythonType: "ValueError",
        message: "ValueError: mine",
        stdout: "x",
        frames: [{ filename: "<library>", line: 2, function: "<module>" }],
      });
    }
  });

  it("of syntax has line and caret", async () => {
    const sandbox = using(library("x = 1\ny = = 2\n"));
    for (let n = 0; n < 2; n++) {
      const error = await failed(sandbox, "print(1)");
      expect(error).toBeInstanceOf(InitializationError);
      expect(error).toMatchObject({ code: "ERYX_INITIALIZATION", stdout: "" });
      expect(error.message).toBe(`libraries:   File "<library>", line 2
    y = = 2
        ^
SyntaxError: invalid syntax`);
    }
  });

  it("of syntax in the code is the code's", async () => {
    const error = await failed(using(library("x = 1")), "x = = 2");
    expect(error.message).toBe(
      "SyntaxError: invalid syntax (<sandbox>, line 1)",
    );
  });

  it("that a callback makes shows both", async () => {
    const boom = () => {
      throw new Error("boom");
    };
    const sandbox = using(
      library("async def g():\n    return await boom()", { boom }),
    );
    const error = await failed(sandbox, "await g()");
    expect(error.message).toBe("CallbackError: Error: boom");
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 1, function: "<module>" },
      { filename: "<library>", line: 2, function: "g" },
    ]);
  });

  it("that runs too long is a timeout", async () => {
    const sandbox = using(library("while True: pass"));
    const run = sandbox.execute("1", { timeoutMs: 100 });
    expect((await catchRejection(run)).code).toBe("ERYX_TIMEOUT");
  });

  it("sys.exit() ends the run before the code", async () => {
    const sandbox = using(library("import sys\nsys.exit()"));
    expect((await sandbox.execute("print(1)")).stdout).toBe("");
  });

  it("inspect finds its source", async () => {
    const sandbox = using(library("def f():\n    return 1 # here\n"));
    const code = "import inspect\ninspect.getsource(f)";
    expect((await sandbox.execute(code)).value).toBe(
      "def f():\n    return 1 # here\n",
    );
  });
});
