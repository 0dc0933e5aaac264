import { expect, test } from "vitest";
import { type SimulatedWeb, crawl } from "../../examples/crawler.js";

const REASONS: Record<string, string> = {
  gone: "404 Not Found",
  broken: "503 Service Unavailable",
  silent: "no answer",
  slow: "no answer",
};

/** Pages by how they end, walked breadth first as the crawler may not: one by one, and knowing what each page does. */
function walk(web: SimulatedWeb) {
  const saved: Record<string, string[]> = {};
  const failures: Record<string, string> = {};
  const disallowed: string[] = [];
  const seen = new Set([web.start]);
  for (const url of seen) {
    const { behaviour, links } = web.pages.get(url)!;
    if (url.includes("/private/")) disallowed.push(url);
    else if (behaviour in REASONS) failures[url] = REASONS[behaviour];
    else {
      (saved[new URL(url).host] ??= []).push(url);
      for (const link of links) seen.add(link);
    }
  }
  return { saved, failures, disallowed: disallowed.toSorted() };
}

/** How many links each saved page is away from the start. */
function distances(web: SimulatedWeb, saved: Set<string>) {
  const found = new Map([[web.start, 0]]);
  for (const [url, distance] of found) {
    for (const link of web.pages.get(url)!.links)
      if (saved.has(link) && !found.has(link)) found.set(link, distance + 1);
  }
  return found;
}

const messages: string[] = [];
const crawled = await crawl({ log: (message) => messages.push(message) });

test("the report is that of a walk through the web", () => {
  const { report, web } = crawled;
  const { saved, failures, disallowed } = walk(web);
  const perHost = Object.entries(saved).map(([host, urls]) => [
    host,
    urls.length,
  ]);
  expect(report).toEqual({
    pages: Object.values(saved).flat().length,
    per_host: Object.fromEntries(perHost),
    failures,
    disallowed,
    longest_path: expect.any(Array),
  });
  expect(report).toMatchObject({
    pages: 187,
    per_host: {
      "archive.example": 31,
      "blog.example": 28,
      "docs.example": 34,
      "forum.example": 32,
      "news.example": 29,
      "shop.example": 33,
    },
  });
  expect(Object.keys(report.failures)).toHaveLength(21);
  expect(report.disallowed).toHaveLength(21);
});

test("the longest path follows links to the farthest page", () => {
  const { report, web } = crawled;
  const { saved } = walk(web);
  const distance = distances(web, new Set(Object.values(saved).flat()));
  const path: string[] = report.longest_path;
  expect(path).toHaveLength(12);
  expect(path[0]).toBe(web.start);
  for (const [steps, url] of path.entries()) {
    expect(distance.get(url)).toBe(steps);
    if (steps > 0) expect(web.pages.get(path[steps - 1])!.links).toContain(url);
  }
  expect(Math.max(...distance.values())).toBe(path.length - 1);
});

test("what Python saved and logged arrived", () => {
  const { report, web, store } = crawled;
  expect([...store.keys()].toSorted()).toEqual(
    Object.values(walk(web).saved).flat().toSorted(),
  );
  for (const [url, page] of store) {
    expect(page).toEqual({
      title: `Page ${url}`,
      links: [...new Set(web.pages.get(url)!.links)].toSorted(),
    });
  }
  expect(messages.toSorted()).toEqual(
    Object.entries(report.failures)
      .map(([url, reason]) => `gave up ${url}: ${reason}`)
      .toSorted(),
  );
});

test("each request without an answer was aborted, three times", () => {
  const { report, web } = crawled;
  const unanswered = Object.keys(report.failures).filter(
    (url) => report.failures[url] === "no answer",
  );
  expect(unanswered).toHaveLength(11);
  for (const url of unanswered) {
    const times = web.aborted.filter((aborted) => aborted === url);
    expect(times, url).toHaveLength(3);
  }
});

test("more than 200 callbacks were called, and no more at once than allowed", () => {
  const { callbackInvocations, report, store, web } = crawled;
  // Every page is fetched and kept, every failure is fetched and logged, six hosts are asked for their rules.
  const least = 2 * store.size + 2 * Object.keys(report.failures).length + 6;
  expect(callbackInvocations).toBeGreaterThan(Math.max(200, least));
  expect(web.peak.all).toBeLessThanOrEqual(16);
  expect(web.peak.perHost).toBe(4);
});

test("the limits are those that were asked for", async () => {
  const { report, web } = await crawl({ workers: 6, perHost: 2 });
  expect(report).toEqual(crawled.report);
  expect(web.peak).toEqual({ all: expect.any(Number), perHost: 2 });
  expect(web.peak.all).toBeLessThanOrEqual(6);
});
