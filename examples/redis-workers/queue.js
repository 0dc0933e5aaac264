import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { pid } from "node:process";

import { createClient, RESP_TYPES } from "redis";

/** @typedef {Awaited<ReturnType<typeof connect>>} Client */
/** @typedef {{ call: number, event: string }} Await */
/** @typedef {{ state: string, awaits: string[], result?: any, error?: string, history: { event: string, by?: string }[] }} Status */
/** @typedef {{ id: string, code: string, inputs: any, awaits: string, answers: { [call: number]: any }, steps: number, checkpoint?: Buffer, attempt: number }} Job */

// Keys of one Redis. A job is in one place at any time:
//
//   jobs:ready              list of jobs that a worker may take
//   jobs:running:WORKER     list of jobs that this worker has taken. It is what says whose job it is
//   jobs:alive:WORKER       expires when the worker is not heard of
//   jobs:job:ID             hash: state ready, running, waiting, done or failed; code, inputs, checkpoint, awaits, result, ..
//   jobs:events:ID          hash: events by name. The first one of a name counts
//   jobs:history:ID         stream: what became of the job, and who did it
//   jobs:shipped            stands for the system that ships
/** @param {string[]} parts */
const toKey = (...parts) => ["jobs", ...parts].join(":");
const READY = toKey("ready");

/** Workers that may be lost in one step of a job. It may be the job that ends them. */
const MAX_ATTEMPTS = 3;
/** Events that a job may wait for. */
const MAX_STEPS = 1000;
/** How long a job that ended can be looked at. */
const KEEP_SECONDS = 7 * 24 * 3600;

// Scripts run as a whole: nothing comes between their commands, and a worker that dies has run one or has not.

/** KEYS: running, job, history. ARGV: id, worker. */
const TAKE = `
if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'state', 'running')
redis.call('HINCRBY', KEYS[2], 'steps', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', 100, '*', 'event', 'taken', 'by', ARGV[2])
return redis.call('HINCRBY', KEYS[2], 'attempts', 1)`;

/**
 * Puts a job where it belongs after a step, unless it was taken from the worker. A job that waits is ready if what it waits for
 * is there already. KEYS: running, job, history, events, ready. ARGV: id, worker, state, awaits, keep, and fields with values.
 */
const PUT = `
local state = ARGV[3]
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then state = 'dropped' end
for _, call in ipairs(cjson.decode(ARGV[4])) do
  if state == 'waiting' and redis.call('HEXISTS', KEYS[4], call.event) == 1 then state = 'ready' end
end
redis.call('XADD', KEYS[3], 'MAXLEN', 100, '*', 'event', state, 'by', ARGV[2])
if state == 'dropped' then return state end
redis.call('HSET', KEYS[2], 'state', state, 'awaits', ARGV[4], unpack(ARGV, 6))
if state == 'ready' then redis.call('LPUSH', KEYS[5], ARGV[1]) end
if state == 'done' or state == 'failed' then
  for n = 2, 4 do redis.call('EXPIRE', KEYS[n], ARGV[5]) end
end
return state`;

/** KEYS: job, history, events, ready. ARGV: id, name, payload. */
const EVENT = `
local state, awaits = unpack(redis.call('HMGET', KEYS[1], 'state', 'awaits'))
if not state then return 'unknown' end
if state == 'done' or state == 'failed' then return 'ended' end
if redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[3]) == 0 then return 'known' end
redis.call('XADD', KEYS[2], 'MAXLEN', 100, '*', 'event', ARGV[2])
for _, call in ipairs(cjson.decode(awaits)) do
  if state == 'waiting' and call.event == ARGV[2] then
    redis.call('HSET', KEYS[1], 'state', 'ready')
    redis.call('LPUSH', KEYS[4], ARGV[1])
    return 'ready'
  end
end
return 'kept'`;

/** A job that failed is tried again from its last checkpoint. KEYS: job, history, events, ready. ARGV: id. */
const RETRY = `
if redis.call('HGET', KEYS[1], 'state') ~= 'failed' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'ready', 'attempts', 0, 'steps', 0)
redis.call('HDEL', KEYS[1], 'error')
redis.call('XADD', KEYS[2], 'MAXLEN', 100, '*', 'event', 'retried')
for n = 1, 3 do redis.call('PERSIST', KEYS[n]) end
return redis.call('LPUSH', KEYS[4], ARGV[1])`;

/** Jobs of a worker that is not heard of are the next to be taken. KEYS: alive, running, ready. ARGV: worker, prefix. */
const RECOVER = `
if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
local ids = redis.call('LRANGE', KEYS[2], 0, -1)
for _, id in ipairs(ids) do
  redis.call('LMOVE', KEYS[2], KEYS[3], 'RIGHT', 'RIGHT')
  redis.call('HSET', ARGV[2] .. 'job:' .. id, 'state', 'ready')
  redis.call('XADD', ARGV[2] .. 'history:' .. id, 'MAXLEN', 100, '*', 'event', 'lost', 'by', ARGV[1])
end
return ids`;

/**
 * A connection to "redis://host:6379" or "unix:///run/redis.sock". If it breaks it is made again, for some seconds; then
 * whatever uses it fails.
 * @param {string | undefined} url
 */
export async function connect(url) {
  /** @type {(retries: number, cause: Error) => number | Error} */
  const reconnectStrategy = (retries, cause) =>
    retries < 10 ? 100 * 2 ** Math.min(retries, 4) : cause;
  const client = createClient({ url, socket: { reconnectStrategy } });
  client.on("error", warn);
  return client.connect();
}

/** @param {Error} error */
function warn(error) {
  console.error(`redis: ${error.message}`);
}

/** What those do who have jobs, and those who answer them. */
export class Queue {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {string | undefined} url */
  static async connect(url) {
    return new Queue(await connect(url));
  }

  /**
   * Python code as a job: its id. `inputs` is JSON.
   * @param {string} code
   * @param {object} [inputs]
   */
  async submit(code, inputs = {}) {
    const id = randomUUID();
    const job = { code, inputs: JSON.stringify(inputs), awaits: "[]" };
    await this.#client
      .multi()
      .hSet(toKey("job", id), { ...job, state: "ready" })
      .lPush(READY, id)
      .exec();
    return id;
  }

  /**
   * Tells a job of an event: "ready" if it waited for it, "kept" if it may do so later, "known" if there is one of this name
   * already, "ended" if it waits for nothing any more, "unknown" if there is no such job. `payload` is JSON.
   * @param {string} id
   * @param {string} name
   * @param {unknown} payload
   */
  async sendEvent(id, name, payload) {
    return this.#client.eval(EVENT, {
      keys: [...toJobKeys(id), READY],
      arguments: [id, name, JSON.stringify(payload)],
    });
  }

  /**
   * Whether the job had failed.
   * @param {string} id
   */
  async retry(id) {
    const keys = [...toJobKeys(id), READY];
    return (await this.#client.eval(RETRY, { keys, arguments: [id] })) !== 0;
  }

  /**
   * `{ state, awaits, result?, error?, history }`, or undefined if there is no such job.
   * @param {string} id
   * @returns {Promise<Status | undefined>}
   */
  async getStatus(id) {
    const fields = ["state", "awaits", "result", "error"];
    const [state, awaits, result, error] = await this.#client.hmGet(
      toKey("job", id),
      fields,
    );
    if (state === null || awaits === null) return undefined;
    const entries = await this.#client.xRange(toKey("history", id), "-", "+");
    return {
      state,
      awaits: JSON.parse(awaits).map((/** @type {Await} */ call) => call.event),
      ...(result === null ? {} : { result: JSON.parse(result) }),
      ...(error === null ? {} : { error }),
      history: (entries ?? []).map(({ message: { event, ...rest } }) => ({
        event,
        ...rest,
      })),
    };
  }

  close() {
    this.#client.destroy();
  }
}

/**
 * Keys of the job, its history and its events.
 * @param {string} id
 */
function toJobKeys(id) {
  return [toKey("job", id), toKey("history", id), toKey("events", id)];
}

/** A worker's end of the queue. */
export class WorkerQueue {
  /** Its host and process are in there for those who read the history. */
  worker = `${hostname()}:${pid}:${randomUUID().slice(0, 8)}`;
  #client;
  #blocking;
  #running = toKey("running", this.worker);
  #aliveMs;
  #beats;

  /** @param {Client} client @param {Client} blocking @param {number} aliveMs */
  constructor(client, blocking, aliveMs) {
    this.#client = client;
    this.#blocking = blocking;
    this.#aliveMs = aliveMs;
    this.#beats = setInterval(() => this.#beat().catch(warn), aliveMs / 3);
  }

  /**
   * A worker that is not heard of for `aliveMs` loses its jobs to others.
   * @param {string | undefined} url
   * @param {{ aliveMs?: number }} [options]
   */
  static async connect(url, { aliveMs = 15_000 } = {}) {
    // A connection that waits for a job can do nothing else.
    const [client, blocking] = await Promise.all([connect(url), connect(url)]);
    return new WorkerQueue(client, blocking, aliveMs);
  }

  /**
   * The next job, or undefined if there is none for a second.
   * @returns {Promise<Job | undefined>}
   */
  async take() {
    await this.#beat();
    const id = await this.#blocking.blMove(
      READY,
      this.#running,
      "RIGHT",
      "LEFT",
      1,
    );
    if (id === null) return undefined;
    const attempt = Number(
      await this.#client.eval(TAKE, {
        keys: [this.#running, toKey("job", id), toKey("history", id)],
        arguments: [id, this.worker],
      }),
    );
    // Between the two commands it was not heard of, and lost the job.
    if (attempt === 0) return undefined;
    const job = { ...(await this.#read(id)), attempt };
    if (attempt <= MAX_ATTEMPTS && job.steps <= MAX_STEPS) return job;
    await this.fail(
      job,
      attempt > MAX_ATTEMPTS
        ? `${MAX_ATTEMPTS} workers were lost on it`
        : `it waited for more than ${MAX_STEPS} events`,
    );
    return undefined;
  }

  /**
   * Without a checkpoint it is at its beginning. `answers` is what there is of what it waits for: `{ call: payload }`.
   * @param {string} id
   */
  async #read(id) {
    const binary = this.#client.withTypeMapping({
      [RESP_TYPES.BLOB_STRING]: Buffer,
    });
    const fields = ["code", "inputs", "awaits", "steps"];
    const [values, checkpoint, events] = await Promise.all([
      this.#client.hmGet(toKey("job", id), fields),
      binary.hGet(toKey("job", id), "checkpoint"),
      this.#client.hGetAll(toKey("events", id)),
    ]);
    const [code, inputs, awaits, steps] = values.map(String);
    /** @type {Await[]} */
    const calls = JSON.parse(awaits);
    const answers = calls
      .filter(({ event }) => Object.hasOwn(events, event))
      .map(({ call, event }) => [call, JSON.parse(events[event])]);
    return {
      id,
      code,
      inputs: JSON.parse(inputs),
      awaits,
      answers: Object.fromEntries(answers),
      steps: Number(steps),
      checkpoint: checkpoint ?? undefined,
    };
  }

  /**
   * `awaits`: `[{ call, event }, ..]`.
   * @param {Job} job
   * @param {Uint8Array} checkpoint
   * @param {Await[]} awaits
   */
  async suspend(job, checkpoint, awaits) {
    const fields = ["checkpoint", Buffer.from(checkpoint), "attempts", "0"];
    return this.#put(job, "waiting", JSON.stringify(awaits), fields);
  }

  /**
   * `result` is JSON.
   * @param {Job} job
   * @param {string} result
   */
  async finish(job, result) {
    const fields = ["result", result, "checkpoint", ""];
    return this.#put(job, "done", "[]", fields);
  }

  /**
   * The checkpoint is kept, for `Queue.retry`: it may be one of another runtime, which another worker has.
   * @param {Job} job
   * @param {string} error
   */
  async fail(job, error) {
    return this.#put(job, "failed", job.awaits, ["error", error]);
  }

  /**
   * Gives back what was not finished. That is no attempt.
   * @param {Job} job
   */
  async release(job) {
    const fields = ["attempts", String(job.attempt - 1)];
    return this.#put(job, "ready", job.awaits, fields);
  }

  /**
   * Nothing changes for a job that is not this worker's any more: its state is that of the worker who has it.
   * @param {Job} job
   * @param {string} state
   * @param {string} awaits
   * @param {(string | Buffer)[]} fields
   */
  async #put({ id }, state, awaits, fields) {
    const became = await this.#client.eval(PUT, {
      keys: [this.#running, ...toJobKeys(id), READY],
      arguments: [
        id,
        this.worker,
        state,
        awaits,
        String(KEEP_SECONDS),
        ...fields,
      ],
    });
    if (became === "dropped")
      console.error(
        `job ${id} was given to another worker: "${state}" dropped`,
      );
    return became;
  }

  /** Says that this worker is there, and looks for those that are not. */
  async #beat() {
    await this.#client.set(toKey("alive", this.worker), "1", {
      expiration: { type: "PX", value: this.#aliveMs },
    });
    const prefix = toKey("running", "");
    // This walks all keys: the queue has a Redis, or a database of it, of its own.
    for await (const keys of this.#client.scanIterator({ MATCH: `${prefix}*` }))
      for (const running of keys)
        await this.#recover(running.slice(prefix.length));
  }

  /** @param {string} worker */
  async #recover(worker) {
    /** @type {any} */
    const ids = await this.#client.eval(RECOVER, {
      keys: [toKey("alive", worker), toKey("running", worker), READY],
      arguments: [worker, toKey("")],
    });
    for (const id of ids) console.error(`job ${id} was lost by ${worker}`);
  }

  /** What it has taken and not put back is found by others when `aliveMs` is over. */
  close() {
    clearInterval(this.#beats);
    this.#blocking.destroy();
    this.#client.destroy();
  }
}
