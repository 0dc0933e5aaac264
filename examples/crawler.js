// `node examples/crawler.js [seed]`: crawler.py crawls a simulated web, whose functions JavaScript offers as callbacks.

import { readFile } from "node:fs/promises";
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { Sandbox } from "../index.js";

/** @typedef {{ behaviour: string, failures: number, links: string[] }} Page */
/**
 * What crawler.py returns.
 * @typedef {{ pages: number, per_host: { [host: string]: number }, failures: { [url: string]: string }, disallowed: string[], longest_path: string[] }} Report
 */

const SOURCE = new URL("crawler.py", import.meta.url);
const HOSTS = ["archive", "blog", "docs", "forum", "news", "shop"];
const PAGES_PER_HOST = 40;
/** Pages in a hundred that answer only when asked again, are not there, fail, never answer, or answer after a minute. */
const BEHAVIOURS = { flaky: 15, gone: 4, broken: 3, silent: 3, slow: 3 };
const SLOW_MS = 60_000;

/** The request may be tried again. Python sees the name and the message. */
class TemporaryError extends Error {
  name = "TemporaryError";
}

class NotFoundError extends Error {
  name = "NotFoundError";
}

/**
 * Numbers from 0 up to 1, the same for the same seed (mulberry32).
 * @param {number} seed
 */
function makeRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Pages that link to each other, on hosts that answer late, wrongly, or not at all. */
export class SimulatedWeb {
  /**
   * By address. `failures` is how many requests fail before one succeeds.
   * @type {Map<string, Page>}
   */
  pages = new Map();
  /**
   * Addresses whose request was given up by the crawler, in that order.
   * @type {string[]}
   */
  aborted = [];
  /** The most requests that were open at once. */
  peak = { all: 0, perHost: 0 };
  /** @type {Map<string, number>} */
  #open = new Map();
  /** @type {Map<string, number>} */
  #requests = new Map();
  #random;

  /** @param {number} seed */
  constructor(seed) {
    this.#random = makeRandom(seed);
    const addresses = HOSTS.flatMap((host) =>
      Array.from({ length: PAGES_PER_HOST }, (_, page) =>
        toAddress(host, page),
      ),
    );
    for (const [index, url] of addresses.entries())
      this.pages.set(url, this.#makePage(addresses, index));
  }

  get start() {
    return toAddress(HOSTS[0], 0);
  }

  /**
   * The page at `url` as HTML.
   * @param {string} url
   * @param {AbortSignal} signal
   */
  async fetch(url, signal) {
    const { host } = new URL(url);
    this.#enter(host);
    try {
      return await this.#answer(url, signal);
    } catch (error) {
      if (signal.aborted) this.aborted.push(url);
      throw error;
    } finally {
      this.#open.set(host, (this.#open.get(host) ?? 0) - 1);
    }
  }

  /** @param {string} host */
  getRobots(host) {
    return { host, disallow: ["/private/"] };
  }

  /** @param {string} url @param {AbortSignal} signal */
  async #answer(url, signal) {
    await sleep(1 + 19 * this.#random(), undefined, { signal });
    const page = this.pages.get(url);
    const requests = (this.#requests.get(url) ?? 0) + 1;
    this.#requests.set(url, requests);
    if (page === undefined || page.behaviour === "gone")
      throw new NotFoundError("404 Not Found");
    if (page.behaviour === "slow")
      await sleep(SLOW_MS, undefined, { signal, ref: false });
    if (page.behaviour === "silent") await waitForever(signal);
    if (requests <= page.failures)
      throw new TemporaryError("503 Service Unavailable");
    return renderPage(url, page.links);
  }

  /** @param {string} host */
  #enter(host) {
    this.#open.set(host, (this.#open.get(host) ?? 0) + 1);
    const open = [...this.#open.values()];
    this.peak.perHost = Math.max(this.peak.perHost, ...open);
    this.peak.all = Math.max(
      this.peak.all,
      open.reduce((sum, count) => sum + count, 0),
    );
  }

  /**
   * Links to pages that come later, so that most can be reached, and to some anywhere.
   * @param {string[]} addresses
   * @param {number} index
   * @returns {Page}
   */
  #makePage(addresses, index) {
    const behaviour = index === 0 ? "good" : this.#pickBehaviour();
    /** @type {{ readonly [behaviour: string]: number }} */
    const failures = { flaky: 1 + this.#pickBelow(2), broken: Infinity };
    const near = [1, 2].map(() => index + 1 + this.#pickBelow(6));
    const far = [1, 2].map(() => this.#pickBelow(addresses.length));
    const links = [...near, ...far]
      .filter((target) => target < addresses.length)
      .map((target) => addresses[target]);
    return { behaviour, failures: failures[behaviour] ?? 0, links };
  }

  #pickBehaviour() {
    let left = this.#pickBelow(100);
    for (const [behaviour, share] of Object.entries(BEHAVIOURS)) {
      if (left < share) return behaviour;
      left -= share;
    }
    return "good";
  }

  /** @param {number} limit */
  #pickBelow(limit) {
    return Math.floor(this.#random() * limit);
  }
}

/**
 * One page in ten is not for crawlers: see `getRobots`.
 * @param {string} host
 * @param {number} page
 */
function toAddress(host, page) {
  const folder = page % 10 === 9 ? "private" : "pages";
  return `http://${host}.example/${page === 0 ? "" : `${folder}/${page}`}`;
}

/** @param {string} url @param {string[]} links */
function renderPage(url, links) {
  const anchors = links.map((link) => `<a href="${link}#top">more</a>`);
  return `<html><title>Page ${url}</title><body>${anchors.join(" ")}</body></html>`;
}

/**
 * Does not answer. Rejects when the caller has given up.
 * @param {AbortSignal} signal
 */
function waitForever(signal) {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), {
      once: true,
    });
  });
}

/**
 * What crawler.py can call.
 * @param {SimulatedWeb} web
 * @param {Map<string, { title: string, links: string[] }>} store
 * @param {(message: string) => unknown} log
 * @returns {import("../index.js").Callbacks}
 */
function makeCallbacks(web, store, log) {
  return {
    "web.fetch": {
      description: "The HTML of a page.",
      schema: {
        type: "object",
        properties: { url: { type: "string", maxLength: 2000 } },
        required: ["url"],
        additionalProperties: false,
      },
      fn: ({ url }, { signal }) => web.fetch(url, signal),
    },
    "web.robots": {
      description: "What a host asks crawlers to leave alone.",
      parameters: ["host"],
      fn: ({ host }) => web.getRobots(host),
    },
    "store.save": {
      description: "Keeps a page. Each can be kept once.",
      schema: {
        type: "object",
        properties: {
          url: { type: "string" },
          title: { type: "string" },
          links: { type: "array", items: { type: "string" } },
        },
        required: ["url", "title", "links"],
        additionalProperties: false,
      },
      fn: ({ url, ...page }) => {
        if (store.has(url)) throw new Error(`${url} is there already`);
        store.set(url, page);
      },
    },
    log,
  };
}

/**
 * Crawls a simulated web: the report, and what JavaScript saw of it.
 * `timeoutMs` is for one request; `log` gets messages while the crawl runs.
 * @param {{ seed?: number, workers?: number, perHost?: number, timeoutMs?: number, log?: (message: string) => unknown }} [options]
 */
export async function crawl({
  seed = 1,
  workers = 16,
  perHost = 4,
  timeoutMs = 300,
  log = () => {},
} = {}) {
  const web = new SimulatedWeb(seed);
  const store = new Map();
  const sandbox = new Sandbox({
    callbacks: makeCallbacks(web, store, log),
    resourceLimits: {
      executionTimeoutMs: 30_000,
      callbackTimeoutMs: 5_000,
      maxCallbackInvocations: 2_000,
      maxMemoryBytes: 64 * 2 ** 20,
    },
  });
  try {
    const { result, callbackInvocations, durationMs } = await sandbox.execute(
      await readFile(SOURCE, "utf8"),
      {
        filename: "crawler.py",
        inputs: {
          start: web.start,
          workers,
          per_host: perHost,
          timeout: timeoutMs / 1000,
        },
      },
    );
    const report = /** @type {Report} */ (/** @type {unknown} */ (result));
    return { report, web, store, callbackInvocations, durationMs };
  } finally {
    await sandbox.close();
  }
}

/** @param {Awaited<ReturnType<typeof crawl>>} crawled */
function print({ report, web, callbackInvocations, durationMs }) {
  console.log(`\n${report.pages} pages`);
  for (const [host, pages] of Object.entries(report.per_host))
    console.log(`  ${host.padEnd(20)}${pages}`);
  const failures = Object.entries(report.failures);
  console.log(`${failures.length} failures`);
  for (const [url, reason] of failures) console.log(`  ${url}: ${reason}`);
  console.log(`${report.disallowed.length} pages that robots may not see`);
  console.log(`${report.longest_path.length - 1} links to the farthest page`);
  for (const url of report.longest_path) console.log(`  ${url}`);
  console.log(
    `${callbackInvocations} callbacks in ${durationMs.toFixed(0)} ms, at most ${web.peak.all} requests at once, ` +
      `${web.peak.perHost} per host; ${web.aborted.length} given up`,
  );
}

if (argv[1] === fileURLToPath(import.meta.url))
  print(await crawl({ seed: Number(argv[2] ?? 1), log: console.log }));
