"""Crawls every page that links lead to from `start`. crawler.js runs this, and offers web, store and log.

Inputs: `start`, `workers`, `per_host`, `timeout` (seconds).
"""

import asyncio
from collections import Counter, defaultdict
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

ATTEMPTS = 3
BACKOFF = 0.01


class GaveUp(Exception):
    """A page could not be had. The text is the reason of the last attempt."""


class PageParser(HTMLParser):
    """Title and links of a page."""

    def __init__(self, url, html):
        super().__init__()
        self.url = url
        self.title = ""
        self.links = set()
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._in_title = tag == "title"
        target = dict(attrs).get("href")
        if tag == "a" and target:
            self.links.add(urldefrag(urljoin(self.url, target)).url)

    def handle_endtag(self, tag):
        self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title += data


class Crawler:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.seen = set()
        self.links = {}
        self.failures = {}
        self.disallowed = []
        self.rules = {}
        self.slots = defaultdict(lambda: asyncio.Semaphore(per_host))

    async def run(self, first):
        async with asyncio.TaskGroup() as self.group:
            for _ in range(workers):
                self.group.create_task(self.work())
            self.discover(first)
            await self.queue.join()
            self.queue.shutdown()

    async def work(self):
        while True:
            try:
                url = await self.queue.get()
            except asyncio.QueueShutDown:
                return
            try:
                await self.visit(url)
            finally:
                self.queue.task_done()

    def discover(self, url):
        """Queues a page, once."""
        if url not in self.seen:
            self.seen.add(url)
            self.queue.put_nowait(url)

    async def visit(self, url):
        if not await self.is_allowed(url):
            self.disallowed.append(url)
            return
        try:
            html = await self.fetch(url)
        except GaveUp as reason:
            self.failures[url] = str(reason)
            await log(f"gave up {url}: {reason}")
            return
        page = PageParser(url, html)
        self.links[url] = page.links
        for link in page.links:
            self.discover(link)
        await store.save(url, title=page.title, links=sorted(page.links))

    async def is_allowed(self, url):
        """Asks each host for its rules once: whoever comes later awaits the same task."""
        parts = urlsplit(url)
        if parts.netloc not in self.rules:
            self.rules[parts.netloc] = self.group.create_task(web.robots(parts.netloc))
        rules = await self.rules[parts.netloc]
        return not any(parts.path.startswith(prefix) for prefix in rules["disallow"])

    async def fetch(self, url):
        slot = self.slots[urlsplit(url).netloc]
        for attempt in range(ATTEMPTS):
            if attempt > 0:
                await asyncio.sleep(BACKOFF * 2**attempt)
            try:
                # The clock starts once there is a slot. When it runs out, the signal of the JavaScript function is aborted.
                async with slot, asyncio.timeout(timeout):
                    return await web.fetch(url)
            except TimeoutError:
                reason = "no answer"
            except CallbackError as error:
                reason = error.message
                if error.name != "TemporaryError":
                    break
        raise GaveUp(reason)

    def report(self, first):
        return {
            "pages": len(self.links),
            "per_host": dict(sorted(Counter(urlsplit(url).netloc for url in self.links).items())),
            "failures": dict(sorted(self.failures.items())),
            "disallowed": sorted(self.disallowed),
            "longest_path": longest_path(first, self.links),
        }


def longest_path(first, links):
    """The way to the page that is the most links away, by as few links as possible."""
    came_from = {first: None}
    level = [first]
    while level:
        last = level[0]
        following = []
        for url in level:
            for link in sorted(links[url] & links.keys() - came_from.keys()):
                came_from[link] = url
                following.append(link)
        level = following
    path = []
    while last is not None:
        path.append(last)
        last = came_from[last]
    return path[::-1]


crawler = Crawler()
await crawler.run(start)
result = crawler.report(start)
