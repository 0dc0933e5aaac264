import { describe, expect, it } from "vitest";
import { type ExecutionError, Session } from "../../index.js";
import { catchRejection } from "../helpers.js";

/** Code that sets the variable again, to the object that it has. */
const SETS = [
  "result = result",
  "result = rows",
  "def f():\n    global result\n    result = rows\nf()",
  "globals()['result'] = rows",
  "globals()['res' + 'ult'] = rows",
  "globals().update(result=rows)",
  "globals().__setitem__('result', rows)",
  "globals().__ior__({'result': rows})",
  "exec('result = rows')",
  "exec('result = rows', globals())",
  "import __main__\n__main__.result = rows",
  "import __main__\nsetattr(__main__, 'result', rows)",
  "(result := rows)",
  "for result in [rows]: pass",
  "with open('/tmp/x', 'w') as f: result = rows",
  "[result, other] = [rows, 1]",
  "del result\nresult = rows",
  "del result\nglobals().setdefault('result', rows)",
  "import asyncio\nasync def f():\n    global result\n    result = rows\nawait f()",
  "import sys, types\nsys.modules['m'] = m = types.ModuleType('m')\nm.result = rows\nfrom m import *",
  "result += []",
];

const LEAVES = [
  "pass",
  "result",
  "result.append(3); result.pop()",
  "other = result",
  "def f(): result = 5\nf()",
  "class A: result = 5",
  "[result for result in [1]]",
  "globals().setdefault('result', 5)",
  "exec('result = 5', {})",
  "globals().get('result')",
  "for x in range(100): y = x",
];

describe("the result variable of a session", () => {
  it.each(SETS)("is delivered by %s", async (code) => {
    const session = new Session();
    await session.execute("result = rows = [1, 2]");
    expect((await session.execute(code)).result).toEqual([1, 2]);
    const fork = await session.fork();
    const restored = new Session();
    await restored.restoreState(await session.snapshotState());
    for (const one of [session, fork, restored]) {
      expect((await one.execute("pass")).result).toBeUndefined();
      expect((await one.execute(code)).result).toEqual([1, 2]);
    }
  });

  it.each(LEAVES)("is not delivered by %s", async (code) => {
    const session = new Session();
    await session.execute("result = rows = [1, 2]");
    expect((await session.execute(code)).result).toBeUndefined();
    const { value } = await session.execute("result is rows and result");
    expect(value).toEqual([1, 2]);
  });

  it.each(["1", "None", "'text'", "()", "True", "-7.5"])(
    "is delivered again with the same value: %s",
    async (literal) => {
      const session = new Session();
      const first = (await session.execute(`result = ${literal}`)).result;
      expect((await session.execute(`result = ${literal}`)).result).toEqual(
        first,
      );
      expect(first).not.toBeUndefined();
      expect((await session.execute("1")).result).toBeUndefined();
    },
  );

  it("is gone when it was deleted", async () => {
    const session = new Session();
    await session.execute("result = 1");
    expect((await session.execute("del result")).result).toBeUndefined();
    const error = await catchRejection<ExecutionError>(
      session.execute("result"),
    );
    expect(error.pythonType).toBe("NameError");
    await session.execute("result = 1");
    expect(
      (await session.execute("result = 2\ndel result")).result,
    ).toBeUndefined();
  });

  it("has the name that the options say", async () => {
    const session = new Session({ resultVariable: "größe" });
    expect((await session.execute("größe = result = 1")).result).toBe(1);
    expect((await session.execute("result = 2")).result).toBeUndefined();
    expect((await session.execute("größe = 1")).result).toBe(1);
  });

  it("stays after an execution that failed", async () => {
    const session = new Session();
    await catchRejection(session.execute("result = 5\n1 / 0"));
    const next = await session.execute("result");
    expect([next.value, next.result]).toEqual([5, undefined]);
  });

  it("may be an input, which sets it for that execution", async () => {
    const inputs = { result: 5 };
    const session = new Session();
    for (let time = 0; time < 2; time++) {
      const read = await session.execute("result + 1", { inputs });
      expect([read.value, read.result]).toEqual([6, 5]);
      const next = await session.execute("result");
      expect([next.value, next.result]).toEqual([5, undefined]);
    }
  });

  it("is delivered through an await in the middle", async () => {
    const session = new Session();
    await session.execute("result = 1");
    const code = "import asyncio\nresult = 1\nawait asyncio.sleep(0)";
    expect((await session.execute(code)).result).toBe(1);
    expect(
      (await session.execute("await asyncio.sleep(0)")).result,
    ).toBeUndefined();
  });

  it("is taken away by clearState()", async () => {
    const session = new Session();
    await session.execute("result = 1");
    await session.clearState();
    expect((await session.execute("'result' in globals()")).value).toBe(false);
    expect((await session.execute("result = 1")).result).toBe(1);
  });
});
