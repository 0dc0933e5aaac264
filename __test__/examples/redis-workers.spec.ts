import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe as vitest,
  expect,
  it,
} from "vitest";
import { Queue } from "../../examples/redis-workers/queue.js";
import { root, runChild } from "../helpers.js";

const directory = mkdtempSync(join(tmpdir(), "eryx-redis-"));
const url = `unix://${join(directory, "socket")}`;
const scripts = join(root, "examples/redis-workers");
const ORDER = readFileSync(join(scripts, "orders.py"), "utf8");

/** Where there is no server these tests are skipped; the end of `npm test` says so as well. */
const missing = spawnSync("redis-server", ["--version"]).error !== undefined;
const describe = vitest.skipIf(missing);
if (missing)
  console.warn(
    "redis-server is missing: the tests of examples/redis-workers are skipped. On Debian: apt-get install redis-server",
  );

let server: ChildProcess;
let client: ReturnType<typeof createClient>;
let queue: Queue;

/** Without a port, without files. `timeout` ends it if nobody else does. */
async function startServer() {
  const options = ["--save", "", "--appendonly", "no", "--port", "0"];
  server = spawn(
    "timeout",
    ["900", "redis-server", ...options, "--dir", directory].concat([
      "--unixsocket",
      join(directory, "socket"),
    ]),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  const ready = new Promise<boolean>((resolve) => {
    const read = (data: Buffer) => {
      output += data;
      if (/ready to accept connections/i.test(output)) resolve(true);
    };
    server.stdout?.on("data", read);
    server.stderr?.on("data", read);
    server.on("close", () => resolve(false));
  });
  if (!(await ready))
    throw new Error(
      `redis-server, of Debian's package of that name, did not start: ${output}`,
    );
}

beforeAll(async () => {
  if (missing) return;
  await startServer();
  client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on("error", () => {});
  await client.connect();
  queue = await Queue.connect(url);
});
afterAll(async () => {
  queue?.close();
  client?.destroy();
  if (server?.exitCode === null && server.kill()) await once(server, "exit");
  rmSync(directory, { recursive: true });
});

const workers = new Set<Worker>();
beforeEach(async () => {
  await client?.flushAll();
});
afterEach(async () => {
  for (const worker of workers) await worker.end("SIGKILL");
});

/** A process that works. */
class Worker {
  stdout = "";
  stderr = "";
  readonly process: ChildProcess;

  constructor(args: string[]) {
    const env = { ...process.env, NODE_OPTIONS: "", REDIS_URL: url };
    const options = { cwd: root, env, timeout: 170_000 };
    this.process = spawn(process.execPath, args, options);
    this.process.stdout?.on("data", (data) => (this.stdout += data));
    this.process.stderr?.on("data", (data) => (this.stderr += data));
    workers.add(this);
  }

  /** The example's own. */
  static ordinary() {
    return new Worker([join(scripts, "worker.js")]);
  }

  /**
   * One that does `odd` where an order's parts are asked for, or where one is shipped. Others take its jobs when it is not
   * heard of for a moment.
   */
  static odd(where: "getParts" | "ship", odd: string) {
    const source = `
import { connect, WorkerQueue } from "./examples/redis-workers/queue.js";
import { Orders } from "./examples/redis-workers/orders.js";
import { work } from "./examples/redis-workers/worker.js";
class Odd extends Orders {
  async ${where}(...args) {
    const answer = await super.${where}(...args);
    if (args[1] !== "a") console.log("here");
    if (args[1] !== "a") { ${odd} }
    return answer;
  }
}
const queue = await WorkerQueue.connect(process.env.REDIS_URL, { aliveMs: 600 });
const orders = new Odd(await connect(process.env.REDIS_URL));
await work(queue, { signal: new AbortController().signal, offer: orders.makeCallbacks(queue.worker) });`;
    return new Worker(["--input-type=module", "--eval", source]);
  }

  get pid() {
    return this.process.pid!;
  }

  /** Until it has printed that it is where it does something odd. */
  async isThere() {
    await expect.poll(() => this.stdout, PATIENCE).toContain("here");
  }

  /** How it ended: a code or a signal. */
  async end(signal?: NodeJS.Signals) {
    workers.delete(this);
    const { process } = this;
    if (process.exitCode === null && process.signalCode === null) {
      if (signal !== undefined) process.kill(signal);
      await once(process, "close");
    }
    return process.exitCode ?? process.signalCode;
  }
}

const PATIENCE = { timeout: 120_000, interval: 20 };
const HANG = "await new Promise(() => {});";

async function becomes(id: string, state: string, awaits: string[] = []) {
  await expect
    .poll(() => queue.getStatus(id), PATIENCE)
    .toMatchObject({ state, awaits });
}

const pay = (id: string, part: string, amount = 500, order = 1001) =>
  queue.sendEvent(id, `payment:${order}:${part}`, { amount });
const PAYMENT = ["a", "b", "c"].map((part) => `payment:1001:${part}`);
const DONE = { shipped: ["T-1001-a", "T-1001-b", "T-1001-c"], paid: 1500 };

/** What happened to a job, as "event pid". */
async function history(id: string): Promise<string[]> {
  const status = await queue.getStatus(id);
  return status!.history.map(({ event, by }) =>
    by === undefined ? event : `${event} ${by.split(":")[1]}`,
  );
}

/** The processes that shipped, by part. */
async function shipped() {
  const parts = Object.entries(await client.hGetAll("jobs:shipped"));
  return Object.fromEntries(
    parts.map(([part, by]) => [part, Number(String(by).split(":")[1])]),
  );
}

describe("a job", () => {
  it("is gone on with by another process", async () => {
    const first = Worker.ordinary();
    const id = await queue.submit(ORDER, { order: 1001 });
    await becomes(id, "waiting", [PAYMENT[0]]);
    expect(await first.end("SIGTERM")).toBe(0);
    expect(await pay(id, "a")).toBe("ready");

    const second = Worker.ordinary();
    await becomes(id, "waiting", [PAYMENT[1]]);
    expect(await second.end("SIGTERM")).toBe(0);
    expect(await pay(id, "b")).toBe("ready");

    const third = Worker.ordinary();
    await becomes(id, "waiting", [PAYMENT[2]]);
    expect(await pay(id, "c")).toBe("ready");
    await becomes(id, "done");
    expect((await queue.getStatus(id))?.result).toEqual(DONE);
    const [a, b, c] = [first.pid, second.pid, third.pid];
    expect(new Set([a, b, c]).size).toBe(3);
    expect(await history(id)).toEqual([
      `taken ${a}`,
      `waiting ${a}`,
      PAYMENT[0],
      `taken ${b}`,
      `waiting ${b}`,
      PAYMENT[1],
      `taken ${c}`,
      `waiting ${c}`,
      PAYMENT[2],
      `taken ${c}`,
      `done ${c}`,
    ]);
    expect(await shipped()).toEqual({ "1001:a": b, "1001:b": c, "1001:c": c });
    expect([first, second, third].map(({ stderr }) => stderr)).toEqual([
      "",
      "",
      "",
    ]);
  });

  it("among several of two workers is run as if alone", async () => {
    const two = [Worker.ordinary(), Worker.ordinary()];
    const numbers = Array.from({ length: 9 }, (_, n) => 1000 + n);
    const jobs = await Promise.all(
      numbers.map(async (order) => ({
        order,
        id: await queue.submit(ORDER, { order }),
        parts: ["a", "b", "c"].slice(0, 1 + (order % 3)),
      })),
    );
    // Some events come before they are waited for, all come twice.
    const events = jobs.flatMap(({ id, order, parts }) =>
      parts.flatMap((part) =>
        [part, part].map((part) => ({ id, order, part })),
      ),
    );
    await Promise.all(
      events.map(({ id, part, order }) => pay(id, part, 500, order)),
    );
    for (const { id } of jobs) await becomes(id, "done");
    const takers = new Set<string>();
    for (const { id, order, parts } of jobs) {
      expect((await queue.getStatus(id))?.result).toEqual({
        shipped: parts.map((part) => `T-${order}-${part}`),
        paid: 500 * parts.length,
      });
      const taken = (await history(id)).filter((event) =>
        event.startsWith("taken "),
      );
      expect(taken).toHaveLength(1 + parts.length);
      for (const event of taken) takers.add(event);
    }
    expect(two.map(({ pid }) => `taken ${pid}`)).toEqual(
      expect.arrayContaining([...takers]),
    );
    expect(Object.keys(await shipped())).toHaveLength(
      jobs.flatMap(({ parts }) => parts).length,
    );
    expect(two.map(({ stderr }) => stderr)).toEqual(["", ""]);
  });

  it("takes events in any order that its tasks wait for", async () => {
    Worker.ordinary();
    const id = await queue.submit(`
import asyncio
async def note(event):
    seen.append((await wait_for(event))["n"])
seen = []
await asyncio.gather(*(note(f"event-{n}") for n in range(3)))
result = seen
`);
    const all = ["event-0", "event-1", "event-2"];
    await becomes(id, "waiting", all);
    await queue.sendEvent(id, "event-2", { n: 2 });
    await becomes(id, "waiting", ["event-0", "event-1"]);
    await queue.sendEvent(id, "event-0", { n: 0 });
    await becomes(id, "waiting", ["event-1"]);
    await queue.sendEvent(id, "event-1", { n: 1 });
    await becomes(id, "done");
    expect((await queue.getStatus(id))?.result).toEqual([2, 0, 1]);
  });

  it.each([
    ["raise ValueError('no')", /^Traceback [^]*ValueError: no$/],
    ["await wait_for('A b')", /CallbackArgumentError: wait_for\(\): event: /],
    ["result = 2**70", /^TypeError: Do not know how to serialize a BigInt$/],
    ["result = object()", /^result: object is not transferable$/],
  ])("of %j fails, and can be tried again", async (code, message) => {
    Worker.ordinary();
    const id = await queue.submit(code);
    await becomes(id, "failed");
    expect((await queue.getStatus(id))?.error).toMatch(message);
    expect(await queue.sendEvent(id, "late", null)).toBe("ended");
    expect(await queue.retry(id)).toBe(true);
    await expect.poll(() => history(id), PATIENCE).toHaveLength(5);
    await becomes(id, "failed");
  });

  it("that always waits for the same comes to an end", async () => {
    Worker.ordinary();
    const id = await queue.submit("while True: await wait_for('again')");
    await queue.sendEvent(id, "again", null);
    await client.hSet(`jobs:job:${id}`, "steps", 990);
    await becomes(id, "failed", ["again"]);
    expect((await queue.getStatus(id))?.error).toBe(
      "it waited for more than 1000 events",
    );
  });
});

describe("a worker that dies", () => {
  it.each<["getParts" | "ship", number]>([
    ["getParts", 0],
    ["ship", 2],
  ])("in %s() leaves its job to others", async (where, events) => {
    const dying = Worker.odd(where, HANG);
    const id = await queue.submit(ORDER, { order: 1001 });
    if (events > 0) for (const part of ["a", "b"]) await pay(id, part);
    await dying.isThere();
    expect(await queue.getStatus(id))?.toMatchObject({ state: "running" });
    expect(await dying.end("SIGKILL")).toBe("SIGKILL");

    const other = Worker.ordinary();
    for (const part of ["a", "b", "c"]) await pay(id, part);
    await becomes(id, "done");
    expect((await queue.getStatus(id))?.result).toEqual(DONE);
    const told = await history(id);
    expect(told).toContain(`lost ${dying.pid}`);
    const after = told.slice(told.indexOf(`lost ${dying.pid}`) + 1);
    expect(after.filter((event) => event.endsWith(` ${dying.pid}`))).toEqual(
      [],
    );
    expect(after).toContain(`taken ${other.pid}`);
    expect(other.stderr).toMatch(/^job \S+ was lost by \S+\n$/);
    // What it had shipped is not shipped again.
    const by = await shipped();
    expect(Object.keys(by)).toHaveLength(3);
    expect([by["1001:a"], by["1001:b"]]).toEqual(
      where === "ship" ? [dying.pid, dying.pid] : [other.pid, other.pid],
    );
  });

  it("three times on the same step makes the job fail", async () => {
    const id = await queue.submit(ORDER, { order: 1001 });
    for (let time = 0; time < 3; time++) {
      const dying = Worker.odd(
        "getParts",
        "process.kill(process.pid, 'SIGKILL');",
      );
      expect(await dying.end()).toBe("SIGKILL");
    }
    Worker.ordinary();
    await becomes(id, "failed");
    expect((await queue.getStatus(id))?.error).toBe(
      "3 workers were lost on it",
    );
    expect(await queue.retry(id)).toBe(true);
    await becomes(id, "waiting", [PAYMENT[0]]);
  });

  it("only seemingly loses its job, and its outcome", async () => {
    const slow = Worker.odd(
      "ship",
      "await new Promise((on) => process.stdin.once('data', on));",
    );
    const id = await queue.submit(ORDER, { order: 1001 });
    for (const part of ["a", "b"]) await pay(id, part);
    await slow.isThere();
    slow.process.kill("SIGSTOP");

    const other = Worker.ordinary();
    await becomes(id, "waiting", [PAYMENT[2]]);
    const state = await client.hGetAll(`jobs:job:${id}`);
    slow.process.kill("SIGCONT");
    slow.process.stdin?.write("\n");
    await expect.poll(() => slow.stderr, PATIENCE).toContain("dropped");
    expect(await client.hGetAll(`jobs:job:${id}`)).toEqual(state);
    expect((await history(id)).at(-1)).toBe(`dropped ${slow.pid}`);
    await pay(id, "c");
    await becomes(id, "done");
    expect((await queue.getStatus(id))?.result).toEqual(DONE);
    expect(await history(id)).toContain(`taken ${other.pid}`);
  });

  it("politely gives back its job at once", async () => {
    const polite = Worker.ordinary();
    const id = await queue.submit("while True: pass");
    await becomes(id, "running");
    expect(await polite.end("SIGTERM")).toBe(0);
    expect(await history(id)).toEqual([
      `taken ${polite.pid}`,
      `ready ${polite.pid}`,
    ]);
    expect(await client.lRange("jobs:ready", 0, -1)).toEqual([id]);
    expect(await client.hGet(`jobs:job:${id}`, "attempts")).toBe("0");
  });
});

describe("an event", () => {
  it("counts once, and for a job that is not done", async () => {
    const id = await queue.submit(ORDER, { order: 1002 });
    expect(await pay(id, "a", 500, 1002)).toBe("kept");
    expect(await pay(id, "a", 1, 1002)).toBe("known");
    Worker.ordinary();
    await becomes(id, "done");
    expect((await queue.getStatus(id))?.result).toEqual({
      shipped: ["T-1002-a"],
      paid: 500,
    });
    expect(await pay(id, "b", 500, 1002)).toBe("ended");
    expect(await queue.sendEvent("nothing", "x", null)).toBe("unknown");
    expect(await queue.getStatus("nothing")).toBeUndefined();
    expect(await queue.retry(id)).toBe(false);
  });
});

describe("the command", () => {
  const jobs = (...args: string[]) =>
    runChild(process.execPath, [join(scripts, "jobs.js"), ...args], {
      REDIS_URL: url,
    });

  it("submits, answers and tells", async () => {
    Worker.ordinary();
    const file = join(scripts, "orders.py");
    const { stdout: id } = await jobs("submit", file, '{ "order": 1002 }');
    await becomes(id, "waiting", ["payment:1002:a"]);
    const payment = ["event", id, "payment:1002:a", '{ "amount": 499 }'];
    expect(await jobs(...payment)).toEqual({
      status: 0,
      stdout: "ready",
      stderr: "",
    });
    await becomes(id, "done");
    const { stdout } = await jobs("status", id);
    expect(stdout).toContain("result: { shipped: [], paid: 499, missing: 1 }");
    expect((await jobs("retry", id)).stdout).toBe("false");
    expect(await jobs("toString")).toMatchObject({ status: 2, stdout: "" });
  });
});
