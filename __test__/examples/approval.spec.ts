import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root, runChild, runNode } from "../helpers.js";

let top: string;
/** What the example is given. It makes it. */
let directory: string;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "eryx-approval-"));
  directory = join(top, "run");
});
afterEach(() => rmSync(top, { recursive: true }));

/** A process of the example's own command. */
function command(name: string, ...args: string[]) {
  const script = join(root, "examples/approval/approval.js");
  return runChild(process.execPath, [script, name, directory, ...args]);
}

/** What a command prints that has to succeed. */
async function printed(name: string, ...args: string[]) {
  const result = await command(name, ...args);
  expect(result, result.stderr).toMatchObject({ status: 0, stderr: "" });
  return result.stdout;
}

/** What a command says that has to fail. */
async function refusal(name: string, ...args: string[]) {
  const { status, stdout, stderr } = await command(name, ...args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  return stderr;
}

const waiting = () =>
  JSON.parse(readFileSync(join(directory, "waiting.json"), "utf8"));
const result = () =>
  JSON.parse(readFileSync(join(directory, "result.json"), "utf8"));

/** The processes that paid, by refund. */
function paid(): Record<string, number> {
  const receipts = join(directory, "paid");
  return Object.fromEntries(
    readdirSync(receipts).map((name) => {
      const { id, by } = JSON.parse(readFileSync(join(receipts, name), "utf8"));
      return [id, by];
    }),
  );
}

/** A module that works on the run in `directory` and pays in a way of its own. */
function program(pay: string, call: string) {
  return `
import { RefundRun } from "./examples/approval/approval.js";
import { Payments } from "./examples/approval/payments.js";
class Odd extends Payments {
  async pay(refund) { ${pay} }
}
const payments = new Odd(${JSON.stringify(join(directory, "paid"))});
await new RefundRun(${JSON.stringify(directory)}, { payments }).${call};`;
}

const YES = "{ approved: true, reason: '' }";
const R3 =
  'R-3: pay 900.00 to Ada?\n  the code says: "Ada was paid 12.50 in this run"';
const R5 =
  'R-5: pay 750.00 to Ben?\n  the code says: "Ben was paid 4.99 in this run"';

describe("a run", () => {
  it("waits for a human in a file for its owner alone", async () => {
    expect(await printed("start")).toBe(`paid R-1\npaid R-2\n${R3}`);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, "waiting.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory).toSorted()).toEqual(["paid", "waiting.json"]);
    expect(await printed("show")).toBe(R3);
    expect(Object.keys(paid())).toEqual(["R-1", "R-2"]);
  });

  it("goes on in other processes, twice: yes, and no", async () => {
    await printed("start");
    expect(await printed("answer", "R-3", "yes")).toBe(
      `paid R-3\npaid R-4\n${R5}`,
    );
    expect(await printed("answer", "R-5", "no", "not", "his")).toMatch(
      /^paid R-6\npaid R-7\ndone: /,
    );
    expect(result()).toEqual({
      paid: { Ada: 1250 + 90_000 + 815, Ben: 499, Cem: 3320 },
      refused: { "R-5": "not his" },
    });
    expect(statSync(join(directory, "result.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory).toSorted()).toEqual(["paid", "result.json"]);
    const by = paid();
    expect(Object.keys(by)).toEqual(["R-1", "R-2", "R-3", "R-4", "R-6", "R-7"]);
    const processes = [by["R-1"], by["R-3"], by["R-6"]];
    expect(new Set(processes).size).toBe(3);
    expect([by["R-2"], by["R-4"], by["R-7"]]).toEqual(processes);
  });

  it("goes on after no, and after yes", async () => {
    await printed("start");
    await printed("answer", "R-3", "no", "too much");
    await printed("answer", "R-5", "yes");
    expect(result()).toEqual({
      paid: { Ada: 1250 + 815, Ben: 499 + 75_000, Cem: 3320 },
      refused: { "R-3": "too much" },
    });
    expect(paid()).not.toHaveProperty("R-3");
  });
});

describe("a process that dies", () => {
  it("leaves the run to the next one, with the answer", async () => {
    await printed("start");
    const pay =
      "await super.pay(refund); if (refund.id === 'R-4') process.kill(process.pid, 'SIGKILL');";
    const dead = await runNode(program(pay, `answer("R-3", ${YES})`));
    expect(dead).toMatchObject({ status: "SIGKILL" });
    const before = paid();
    expect(Object.keys(before)).toEqual(["R-1", "R-2", "R-3", "R-4"]);

    expect(await printed("show")).toMatch(/answered: { approved: true/);
    expect(await refusal("answer", "R-3", "no")).toBe(
      'RefusedError: R-3 is answered; "continue" goes on with it',
    );
    // What a process leaves that dies when it writes.
    writeFileSync(join(directory, "waiting.json.new"), "{");
    expect(await printed("continue")).toBe(`paid R-3\npaid R-4\n${R5}`);
    expect(paid()).toEqual(before);
    await printed("answer", "R-5", "yes");
    expect(result().paid).toEqual({ Ada: 92_065, Ben: 75_499, Cem: 3320 });
    expect(readdirSync(directory).toSorted()).toEqual(["paid", "result.json"]);
  });

  it("before the first question leaves nothing, and start starts again", async () => {
    const pay =
      "await super.pay(refund); process.kill(process.pid, 'SIGKILL');";
    expect(await runNode(program(pay, "start()"))).toMatchObject({
      status: "SIGKILL",
    });
    expect(readdirSync(directory)).toEqual(["paid"]);
    expect(await printed("start")).toBe(`paid R-1\npaid R-2\n${R3}`);
  });

  it("is alone with the run until then", async () => {
    await printed("start");
    const pay = "console.log('paying'); await new Promise(() => {});";
    const source = program(pay, `answer("R-3", ${YES})`);
    const busy = spawn(
      process.execPath,
      ["--input-type=module", "--eval", source],
      { cwd: root, timeout: 170_000 },
    );
    try {
      await once(busy.stdout, "data");
      for (const args of [["answer", "R-3", "no"], ["continue"], ["start"]])
        expect(await refusal(args[0], ...args.slice(1))).toMatch(
          /^Error: another process works on /,
        );
    } finally {
      busy.kill("SIGKILL");
      await once(busy, "close");
    }
    expect(await printed("continue")).toMatch(/^paid R-3/);
  });
});

describe("refused is", () => {
  it.each([
    ["start", [], "a run waits here already"],
    ["answer", ["R-1", "yes"], "nothing is asked about R-1"],
    ["answer", ["R-3"], "expected yes or no behind the refund"],
    ["answer", ["R-3", "Yes"], "expected yes or no behind the refund"],
    ["toString", [], "expected start, show, answer, continue, and a directory"],
  ])("%s %j", async (name, args, message) => {
    await printed("start");
    const before = waiting();
    expect(await refusal(name, ...args)).toBe(`RefusedError: ${message}`);
    expect(waiting()).toEqual(before);
  });

  it.each(["show", "answer", "continue"])(
    "%s where nothing waits",
    async (name) => {
      await printed("start");
      rmSync(join(directory, "waiting.json"));
      expect(await refusal(name, "R-3", "yes")).toBe(
        "RefusedError: nothing waits here",
      );
    },
  );

  it("a damaged checkpoint, which stays", async () => {
    await printed("start");
    const state = waiting();
    const bytes = Buffer.from(state.checkpoint, "base64");
    bytes[bytes.length >> 1] ^= 1;
    const damaged = { ...state, checkpoint: bytes.toString("base64") };
    writeFileSync(join(directory, "waiting.json"), JSON.stringify(damaged));
    expect(await refusal("continue")).toBe(
      "SnapshotError: the snapshot cannot be restored: it is damaged",
    );
    expect(waiting()).toEqual(damaged);
  });
});

describe("code that is not trusted", () => {
  /** Starts a run of other code. */
  async function start(code: string) {
    const source = join(top, "code.py");
    writeFileSync(source, code);
    const started = await runNode(`
import { RefundRun } from "./examples/approval/approval.js";
await new RefundRun(${JSON.stringify(directory)}, { source: ${JSON.stringify(source)} }).start();`);
    expect(started, started.stderr).toMatchObject({ status: 0 });
  }

  it("is paid what a human saw, once, and nothing else", async () => {
    await start(`
import asyncio
async def attempt(call):
    try:
        return await call
    except CallbackError as error:
        return str(error)
before = [await attempt(refunds.pay("R-3")), await attempt(approve("R-9", "")), await attempt(approve(3, ""))]
both = await asyncio.gather(approve("R-3", "first"), approve("R-5", "second"), approve("R-3", "third"))
after = await asyncio.gather(*(attempt(refunds.pay(id)) for id in ["R-3", "R-3", "R-5"]))
result = [before, both, after]
`);
    const show = await printed("show");
    expect(show.match(/R-\d: pay/g)).toEqual([
      "R-3: pay",
      "R-5: pay",
      "R-3: pay",
    ]);
    expect(await printed("answer", "R-3", "yes")).toMatch(
      /^R-5: pay 750.00 to Ben\?\n  the code says: "second"$/,
    );
    await printed("answer", "R-5", "no");
    const [before, both, after] = result();
    expect(before).toEqual([
      "RefusedError: R-3 needs an approval",
      "RefusedError: there is no R-9",
      "approve(): refund: must be string",
    ]);
    const [yes, no] = [true, false].map((approved) => ({
      approved,
      reason: "",
    }));
    expect(both).toEqual([yes, no, yes]);
    expect(after).toEqual([
      90_000,
      90_000,
      "RefusedError: R-5 needs an approval",
    ]);
    expect(Object.keys(paid())).toEqual(["R-3"]);
  });

  it("cannot dress up as the question, nor reach the terminal", async () => {
    await start(`
await approve("R-3", "\\u001b[2J\\u202e\\nR-3: pay 1.00 to Ada?")
print("\\u001b[2J")
raise ValueError("\\u001b[2J")
`);
    expect(await printed("show")).toBe(
      'R-3: pay 900.00 to Ada?\n  the code says: "\\u001b[2J\\u{202e}\\nR-3: pay 1.00 to Ada?"',
    );
    const before = waiting();
    const stderr = await refusal("answer", "R-3", "yes");
    expect(stderr).toContain("ValueError: \\u{1b}[2J");
    expect(waiting().checkpoint).toBe(before.checkpoint);
    expect(await refusal("continue")).toBe(stderr);
  });
});
