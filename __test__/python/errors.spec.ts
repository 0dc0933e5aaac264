import { describe, expect, it } from "vitest";
import {
  CancelledError,
  EryxError,
  ExecutionError,
  InitializationError,
  PackageError,
  PoolError,
  ResourceLimitError,
  Sandbox,
  SnapshotError,
  TimeoutError,
} from "../../index.js";
import {
  catchExecutionError,
  catchRejection,
  getStdout,
  run,
} from "../helpers.js";

describe("an uncaught exception", () => {
  it("is an ExecutionError with message, type, traceback and frames", async () => {
    const error = await catchExecutionError(
      'def f():\n    raise ValueError("oops")\n\nf()',
    );
    expect(error).toBeInstanceOf(ExecutionError);
    expect(error).toBeInstanceOf(EryxError);
    expect(error.name).toBe("ExecutionError");
    expect(error.message).toBe("ValueError: oops");
    expect(error.pythonType).toBe("ValueError");
    expect(error.stateLost).toBe(false);
    expect(error.traceback).toBe(
      [
        "Traceback (most recent call last):",
        '  File "<sandbox>", line 4, in <module>',
        "    f()",
        "    ~^^",
        '  File "<sandbox>", line 2, in f',
        '    raise ValueError("oops")',
        "ValueError: oops",
      ].join("\n"),
    );
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 4, function: "<module>" },
      { filename: "<sandbox>", line: 2, function: "f" },
    ]);
  });

  it("carries what was printed before", async () => {
    const error = await catchExecutionError(
      'import sys\nprint("out")\nprint("err", file=sys.stderr)\n1/0',
    );
    expect(error).toMatchObject({ stdout: "out", stderr: "err" });
  });

  it("is not printed on stderr as well", async () => {
    expect((await catchExecutionError("1/0")).stderr).toBe("");
  });

  it("shows the file name of the option", async () => {
    const error = await catchExecutionError("1/0", { filename: "job/éx.py" });
    expect(error.traceback).toContain('File "job/éx.py", line 1, in <module>');
    expect(error.frames[0].filename).toBe("job/éx.py");
  });

  it("in async code has true lines and the user's frames only", async () => {
    const code =
      'import asyncio\nasync def g():\n    await asyncio.sleep(0)\n    raise KeyError("k")\n\nawait g()';
    const error = await catchExecutionError(code);
    expect(error.message).toBe("KeyError: 'k'");
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 6, function: "<module>" },
      { filename: "<sandbox>", line: 4, function: "g" },
    ]);
  });

  it("in a task of asyncio.run shows none of the sandbox's own frames", async () => {
    const code =
      'import asyncio\nasync def g():\n    raise KeyError("k")\nasyncio.run(g())';
    const { frames, traceback } = await catchExecutionError(code);
    expect(frames[0]).toEqual({
      filename: "<sandbox>",
      line: 4,
      function: "<module>",
    });
    expect(frames.at(-1)).toEqual({
      filename: "<sandbox>",
      line: 3,
      function: "g",
    });
    expect(traceback).not.toContain("eryx");
  });

  it("in a library's callback has true lines", async () => {
    const code =
      "import functools\ndef f(a, b):\n    return a / b\nfunctools.reduce(f, [1, 0])";
    const { frames } = await catchExecutionError(code);
    expect(frames.map(({ line }) => line)).toEqual([4, 3]);
  });

  it("in a library ends at the user's line", async () => {
    const { frames, message } = await catchExecutionError(
      'import json\n\njson.loads("{")',
    );
    expect(message).toMatch(/^json\.decoder\.JSONDecodeError: /);
    expect(frames[0]).toEqual({
      filename: "<sandbox>",
      line: 3,
      function: "<module>",
    });
  });

  it("shows the cause", async () => {
    const code =
      'try:\n    1/0\nexcept Exception as e:\n    raise ValueError("b") from e';
    const { message, traceback } = await catchExecutionError(code);
    expect(message).toBe("ValueError: b");
    expect(traceback).toContain("ZeroDivisionError: division by zero");
    expect(traceback).toContain(
      "The above exception was the direct cause of the following exception:",
    );
    expect(traceback).toMatch(/ValueError: b$/);
  });

  it("shows the context", async () => {
    const code = "try:\n    1/0\nexcept Exception:\n    undefined";
    expect((await catchExecutionError(code)).traceback).toContain(
      "During handling of the above exception, another exception occurred:",
    );
  });

  it("hides the context after `from None`", async () => {
    const code =
      'try:\n    1/0\nexcept Exception:\n    raise ValueError("b") from None';
    expect((await catchExecutionError(code)).traceback).not.toContain(
      "ZeroDivisionError",
    );
  });

  it("shows a group whole", async () => {
    const code =
      'raise ExceptionGroup("g", [ValueError("a"), ExceptionGroup("h", [TypeError("b")])])';
    const error = await catchExecutionError(code);
    expect(error.message).toBe("ExceptionGroup: g (2 sub-exceptions)");
    for (const part of ["ValueError: a", "TypeError: b", "+-+-"])
      expect(error.traceback).toContain(part);
  });

  it("shows its notes", async () => {
    const code = 'e = ValueError("a")\ne.add_note("look here")\nraise e';
    expect((await catchExecutionError(code)).traceback).toMatch(
      /ValueError: a\nlook here$/,
    );
  });

  it("names a user's class without __main__, and a library's with its module", async () => {
    expect(
      (await catchExecutionError("class E(Exception): pass\nraise E(1)"))
        .message,
    ).toBe("E: 1");
    expect(
      (await catchExecutionError("import queue\nqueue.Queue().get_nowait()"))
        .message,
    ).toBe("_queue.Empty");
  });

  it("without a message is its type", async () => {
    expect((await catchExecutionError("raise Exception")).message).toBe(
      "Exception",
    );
  });

  it("keeps a message of several lines", async () => {
    expect(
      (await catchExecutionError(String.raw`raise Exception("a\nb")`)).message,
    ).toBe("Exception: a\nb");
  });

  it("whose str raises still is an ExecutionError", async () => {
    const code = "class E(Exception):\n    def __str__(self): 1/0\nraise E";
    expect((await catchExecutionError(code)).message).toBe(
      "E: <exception str() failed>",
    );
  });

  it("with a lone surrogate in its message arrives as well-formed text", async () => {
    const error = await catchExecutionError(
      String.raw`raise ValueError("\ud800")`,
    );
    expect(error.pythonType).toBe("ValueError");
    expect(error.message.isWellFormed()).toBe(true);
  });

  it("with a message of megabytes arrives", async () => {
    const error = await catchExecutionError(
      'raise ValueError("x" * 3_000_000)',
    );
    expect(error.message).toMatch(/^ValueError: x{1000}/);
  });

  it("KeyboardInterrupt is one as well", async () => {
    expect(
      (await catchExecutionError("raise KeyboardInterrupt")).pythonType,
    ).toBe("KeyboardInterrupt");
  });

  it("of a thousand frames has them all in `frames`", async () => {
    const error = await catchExecutionError("def f(n):\n    f(n + 1)\nf(0)");
    expect(error.message).toMatch(
      /^RecursionError: maximum recursion depth exceeded/,
    );
    expect(error.traceback).toMatch(
      /\[Previous line repeated \d+ more times\]/,
    );
    expect(error.frames.length).toBeGreaterThan(900);
  });

  it("of a trace function that stays set does not crash the interpreter", async () => {
    const code = "import sys\nsys.settrace(lambda *a: 1/0)\nprint(1)";
    const [outcome] = await Promise.allSettled([run(code)]);
    expect(String(Reflect.get(outcome, "reason"))).not.toContain("crashed");
  });

  it("in a trace function is Python's own", async () => {
    const code = "import sys\nsys.settrace(lambda *a: 1/0)\ndef f(): pass\nf()";
    expect((await catchExecutionError(code)).message).toBe(
      "ZeroDivisionError: division by zero",
    );
  });

  it("os.abort ends the run only", async () => {
    const error = await catchExecutionError(
      'import os\nprint("a", flush=True)\nos.abort()',
    );
    expect(error.stdout).toBe("a");
    expect(await getStdout("print(1)")).toBe("1");
  });
});

describe("a syntax error", () => {
  it("has line and caret", async () => {
    const error = await catchExecutionError("x = 1\ny = = 2");
    expect(error.pythonType).toBe("SyntaxError");
    expect(error.message).toBe(
      "SyntaxError: invalid syntax (<sandbox>, line 2)",
    );
    expect(error.traceback).toBe(
      [
        '  File "<sandbox>", line 2',
        "    y = = 2",
        "        ^",
        "SyntaxError: invalid syntax",
      ].join("\n"),
    );
    expect(error.frames).toEqual([
      { filename: "<sandbox>", line: 2, function: "<module>" },
    ]);
  });

  it.each([
    ["if True:\nx", "IndentationError"],
    ["if True:\n\tx\n        y", "TabError"],
    ["return 1", "SyntaxError"],
    ["yield 1", "SyntaxError"],
    ["print 'a'", "SyntaxError"],
    ["(", "SyntaxError"],
    ["'''", "SyntaxError"],
    ["x = 1\n\0", "SyntaxError"],
    ["def f(:\n", "SyntaxError"],
    ["a\\", "SyntaxError"],
    ["\u0085", "SyntaxError"],
  ])("%j is %s", async (code, type) => {
    const error = await catchExecutionError(code);
    expect(error.pythonType).toBe(type);
    expect(error.traceback).toContain(type);
  });

  it("runs nothing", async () => {
    expect((await catchExecutionError('print("a")\n(')).stdout).toBe("");
  });

  it("raised by compile() in the code is catchable", async () => {
    const code =
      "try:\n    compile('(', 'f', 'exec')\nexcept SyntaxError as e:\n    print(e.lineno, e.msg)";
    expect(await getStdout(code)).toBe("1 '(' was never closed");
  });
});

describe("warnings", () => {
  it("go to stderr", async () => {
    const result = await run('import warnings\nwarnings.warn("w")');
    expect(result.stderr).toBe(
      '<sandbox>:2: UserWarning: w\n  warnings.warn("w")',
    );
  });

  it("of logging go to stderr", async () => {
    expect((await run('import logging\nlogging.warning("l")')).stderr).toBe(
      "WARNING:root:l",
    );
  });
});

describe("the error classes", () => {
  it.each([
    ["EryxError", EryxError],
    ["ExecutionError", ExecutionError],
    ["TimeoutError", TimeoutError],
    ["CancelledError", CancelledError],
    ["ResourceLimitError", ResourceLimitError],
    ["InitializationError", InitializationError],
    ["SnapshotError", SnapshotError],
    ["PackageError", PackageError],
    ["PoolError", PoolError],
  ])("%s is an Error with its own name", (name, Class) => {
    expect(Class.prototype).toBeInstanceOf(Error);
    expect(Class.prototype.name).toBe(name);
    expect(Class === EryxError || Class.prototype instanceof EryxError).toBe(
      true,
    );
  });

  it("a closed sandbox gives EryxError with code ERYX_CLOSED", async () => {
    const sandbox = new Sandbox();
    await sandbox.close();
    const error = await catchRejection(sandbox.execute("1"));
    expect(error).toBeInstanceOf(EryxError);
    expect(error.code).toBe("ERYX_CLOSED");
    expect(error.message).toBe("the sandbox is closed");
  });
});
