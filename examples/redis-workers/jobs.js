// Jobs of worker.js, with REDIS_URL as there:
//
//   node examples/redis-workers/jobs.js submit FILE.py [INPUTS]      prints the id; INPUTS and PAYLOAD are JSON
//   node examples/redis-workers/jobs.js event ID NAME [PAYLOAD]      what a webhook's handler does
//   node examples/redis-workers/jobs.js status ID
//   node examples/redis-workers/jobs.js retry ID                     after it has failed

import { readFile } from "node:fs/promises";
import { argv, env } from "node:process";

import { Queue } from "./queue.js";

/** @type {{ readonly [command: string]: (queue: Queue, ...args: string[]) => Promise<unknown> }} */
const COMMANDS = {
  submit: async (queue, file, inputs = "{}") =>
    queue.submit(await readFile(file, "utf8"), JSON.parse(inputs)),
  event: (queue, id, name, payload = "null") =>
    queue.sendEvent(id, name, JSON.parse(payload)),
  status: (queue, id) => queue.getStatus(id),
  retry: (queue, id) => queue.retry(id),
};

const [command, ...args] = argv.slice(2);
if (!Object.hasOwn(COMMANDS, command) || args.length === 0) {
  console.error(
    "expected submit, event, status or retry, and what it is about",
  );
  process.exit(2);
}
const queue = await Queue.connect(env.REDIS_URL);
try {
  console.log(await COMMANDS[command](queue, ...args));
} finally {
  queue.close();
}
