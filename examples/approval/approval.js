// A step that a human approves, between processes: refunds.py pays refunds and asks for those above a limit.
//
//   node examples/approval/approval.js start DIRECTORY                         runs it until a human is needed
//   node examples/approval/approval.js show DIRECTORY                          what is asked
//   node examples/approval/approval.js answer DIRECTORY REFUND yes|no REASON   goes on until a human is needed again
//   node examples/approval/approval.js continue DIRECTORY                      after a process that died on its way
//
// DIRECTORY/waiting.json is there as long as the run is not done, DIRECTORY/result.json when it is. Deleting waiting.json gives
// the run up.

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

import {
  ExecutionError,
  Sandbox,
  Session,
  SuspendedError,
  SuspendExecution,
} from "../../index.js";
import { OwnFile } from "./own-file.js";
import { Payments } from "./payments.js";

/** @import { Callbacks, ExecuteResult, SandboxOptions, Value } from "../../index.js" */
/** @import { Refund } from "./payments.js" */

/** @typedef {{ approved: boolean, reason: string }} Answer */
/** @typedef {{ call: number, refund: Refund, why: string, answer?: Answer }} Question */
/** @typedef {{ questions: Question[], approved: { [id: string]: number }, checkpoint: string }} State */
/** @typedef {{ questions?: Question[], result?: Value, stdout: string }} Progress */

const SOURCE = new URL("refunds.py", import.meta.url);
const MAX_TEXT = 300;
/** Cents that are paid without asking. */
const LIMIT = 50_000;
const RESOURCE_LIMITS = {
  executionTimeoutMs: 30_000,
  maxCallbackInvocations: 1_000,
  maxMemoryBytes: 64 * 2 ** 20,
};

/** What was asked for is not possible as things are. */
export class RefusedError extends Error {
  name = "RefusedError";
}

/**
 * One run in a directory. A checkpoint may come from anywhere: whatever its bytes are, the worst is an error, and code in it
 * has only these callbacks. But it decides what the code does, and what is beside it in the file decides what is approved: no
 * one else may write to the directory.
 */
export class RefundRun {
  #directory;
  #payments;
  #source;
  #waiting;
  #result;

  /**
   * @param {string} directory
   * @param {{ payments?: Payments, source?: URL | string }} [options]
   */
  constructor(
    directory,
    { payments = new Payments(join(directory, "paid")), source = SOURCE } = {},
  ) {
    this.#directory = directory;
    this.#payments = payments;
    this.#source = source;
    this.#waiting = new OwnFile(join(directory, "waiting.json"));
    this.#result = new OwnFile(join(directory, "result.json"));
  }

  /** `{ questions, stdout }` if a human is needed, else `{ result, stdout }`. So do `answer` and `continue`. */
  async start() {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    return this.#waiting.runLocked(async () => {
      if ((await this.#waiting.read()) !== undefined)
        throw new RefusedError("a run waits here already");
      const code = await readFile(this.#source, "utf8");
      return this.#advance({}, async (options) => {
        const sandbox = new Sandbox(options);
        try {
          return await sandbox.execute(code, {
            filename: "refunds.py",
            inputs: { limit: LIMIT },
          });
        } finally {
          await sandbox.close();
        }
      });
    });
  }

  /** What is asked: `[{ refund, why, answer? }, ..]`. All of `why` is what the code says. */
  async listQuestions() {
    return (await this.#load()).questions;
  }

  /**
   * Takes `{ approved, reason }` for a refund. It is kept before anything comes of it: it holds if this process dies.
   * @param {string} id
   * @param {Answer} answer
   */
  async answer(id, answer) {
    return this.#waiting.runLocked(async () => {
      const state = await this.#load();
      const asked = state.questions.filter(({ refund }) => refund.id === id);
      if (asked.length === 0)
        throw new RefusedError(`nothing is asked about ${id}`);
      if (asked[0].answer !== undefined)
        throw new RefusedError(`${id} is answered; "continue" goes on with it`);
      for (const question of asked) question.answer = answer;
      // What a human saw is what may be paid, even if the refund is changed until then.
      if (answer.approved) state.approved[id] = asked[0].refund.amount;
      else delete state.approved[id];
      await this.#waiting.replace(state);
      return this.#resume(state);
    });
  }

  async continue() {
    return this.#waiting.runLocked(async () =>
      this.#resume(await this.#load()),
    );
  }

  /** @returns {Promise<State>} */
  async #load() {
    const state = await this.#waiting.read();
    if (state === undefined) throw new RefusedError("nothing waits here");
    return state;
  }

  /**
   * Questions without an answer are asked again, and so suspend it again.
   * @param {State} state
   */
  #resume({ questions, approved, checkpoint }) {
    const results = Object.fromEntries(
      questions
        .filter(({ answer }) => answer !== undefined)
        .map(({ call, answer }) => [call, answer]),
    );
    return this.#advance(approved, async (options) => {
      const { session, result } = await Session.resume(
        Buffer.from(checkpoint, "base64"),
        { ...options, results },
      );
      await session.close();
      return result;
    });
  }

  /**
   * Runs the code until it waits or ends. If it fails, the file stays as it was: it can be tried again.
   * @param {State["approved"]} approved
   * @param {(options: SandboxOptions) => Promise<ExecuteResult>} run
   * @returns {Promise<Progress>}
   */
  async #advance(approved, run) {
    try {
      const {
        result = null,
        resultError,
        stdout,
      } = await run({
        callbacks: makeCallbacks(this.#payments, approved),
        resourceLimits: RESOURCE_LIMITS,
      });
      if (resultError !== undefined) throw new Error(resultError);
      await this.#result.replace(result);
      await this.#waiting.remove();
      return { result, stdout };
    } catch (/** @type {any} */ error) {
      if (!(error instanceof SuspendedError)) throw error;
      const questions = toQuestions(error.pending, this.#payments);
      const checkpoint = Buffer.from(error.checkpoint).toString("base64");
      await this.#waiting.replace({ questions, approved, checkpoint });
      return { questions, stdout: error.stdout };
    }
  }
}

/**
 * What refunds.py can call. Arguments are hostile: amounts are the host's own, and `approved` has those that a human saw.
 * @param {Payments} payments
 * @param {State["approved"]} approved
 * @returns {Callbacks}
 */
function makeCallbacks(payments, approved) {
  const find = (/** @type {string} */ id) => {
    const refund = payments.find(id);
    if (refund === undefined) throw new RefusedError(`there is no ${id}`);
    return refund;
  };
  return {
    "refunds.page": {
      description:
        "Some refunds. Page 0 is the first, the one after the last is empty.",
      schema: makeSchema({
        number: { type: "integer", minimum: 0, maximum: 1000 },
      }),
      fn: ({ number }) => payments.getPage(number),
    },
    "refunds.pay": {
      description:
        "Pays a refund: the amount. Again is no error, and pays nothing.",
      schema: makeSchema({ refund: { type: "string", maxLength: 20 } }),
      fn: async ({ refund: id }) => {
        const refund = find(id);
        if (refund.amount > LIMIT && approved[id] !== refund.amount)
          throw new RefusedError(`${id} needs an approval`);
        await payments.pay(refund);
        return refund.amount;
      },
    },
    approve: {
      description: "What a human says about a refund: { approved, reason }.",
      schema: makeSchema({
        refund: { type: "string", maxLength: 20 },
        why: { type: "string", maxLength: MAX_TEXT },
      }),
      fn: ({ refund }) => {
        throw new SuspendExecution(`approval of ${find(refund).id}`);
      },
    },
  };
}

/** @param {object} properties */
function makeSchema(properties) {
  return {
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

/**
 * Of the calls without an answer, those that a human can answer. The others are made again by the process that goes on. Some
 * may not have reached their function, and its schema: what is wrong with them is found then.
 * @param {SuspendedError["pending"]} pending
 * @param {Payments} payments
 * @returns {Question[]}
 */
function toQuestions(pending, payments) {
  return pending.flatMap(({ id, name, kwargs: { refund: refundId, why } }) => {
    const refund = payments.find(refundId);
    return name === "approve" && isText(why) && refund !== undefined
      ? [{ call: id, refund, why }]
      : [];
  });
}

/** @param {unknown} value @returns {value is string} */
function isText(value) {
  return typeof value === "string" && value.length <= MAX_TEXT;
}

/**
 * Text of the code, without what makes a terminal show something else.
 * @param {string} text
 */
function escapeControls(text) {
  return text.replaceAll(
    /(?!\n)\p{C}/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** @param {Partial<Progress>} progress */
function print({ questions, result, stdout }) {
  if (stdout) console.log(escapeControls(stdout));
  if (questions === undefined) {
    console.log("done:", escapeControls(JSON.stringify(result)));
    return;
  }
  for (const { refund, why, answer } of questions) {
    const amount = (refund.amount / 100).toFixed(2);
    console.log(`${refund.id}: pay ${amount} to ${refund.customer}?`);
    console.log(`  the code says: ${escapeControls(JSON.stringify(why))}`);
    if (answer !== undefined) console.log("  answered:", answer);
  }
}

/** @type {{ readonly [command: string]: (run: RefundRun, ...args: string[]) => Promise<Partial<Progress>> }} */
const COMMANDS = {
  start: (run) => run.start(),
  show: async (run) => ({ questions: await run.listQuestions() }),
  answer: (run, refund, verdict, ...reason) => {
    if (verdict !== "yes" && verdict !== "no")
      throw new RefusedError("expected yes or no behind the refund");
    const approved = verdict === "yes";
    return run.answer(refund, { approved, reason: reason.join(" ") });
  },
  continue: (run) => run.continue(),
};

/** @param {string[]} args */
async function main([command, directory, ...rest]) {
  if (!Object.hasOwn(COMMANDS, command) || directory === undefined)
    throw new RefusedError(
      `expected ${Object.keys(COMMANDS).join(", ")}, and a directory`,
    );
  print(await COMMANDS[command](new RefundRun(directory), ...rest));
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main(argv.slice(2));
  } catch (/** @type {any} */ error) {
    console.error(
      escapeControls(
        error instanceof ExecutionError ? error.traceback : String(error),
      ),
    );
    process.exitCode = 1;
  }
}
