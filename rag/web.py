"""Pages of the web as documents: fetched under guard and politely, parsed in the limited process.

    for found in fetch_documents(["https://example.com/sitemap.xml"], sitemap=True): ...

What comes out is a `Document` whose source is the address, an `Unchanged` page, or the error of that page alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from decoder.base import iterate_sync, run_sync
from decoder.errors import MissingExtra
from rag.errors import DocumentError
from rag.fetch import DEFAULT_POLICY, Fetched, Fetcher, FetchPolicy, Validators
from rag.fetch_addresses import Target
from rag.fetch_body import as_utf8, file_name
from rag.load import DEFAULT_LIMITS, Limits, load_bytes
from rag.robots import Robots
from rag.sitemap import DEFAULT_LIMITS as DEFAULT_SITEMAP_LIMITS
from rag.sitemap import SitemapLimits, asitemap_urls
from rag.types import Document


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A page that is still what it was when its validators were given."""

    source: str


@dataclass(frozen=True, slots=True)
class Crawl:
    """How a list of pages is fetched.

    Attributes:
        policy: what may be fetched, and what one page may cost.
        limits: what parsing one page may take.
        sitemaps: how far sitemaps are followed.
        robots: obey robots.txt.
        delay: seconds between two requests to one site; its Crawl-delay when that is longer.
        concurrency: pages in flight, over all sites.
    """

    policy: FetchPolicy = DEFAULT_POLICY
    limits: Limits = DEFAULT_LIMITS
    sitemaps: SitemapLimits = DEFAULT_SITEMAP_LIMITS
    robots: bool = True
    delay: float = 0.5
    concurrency: int = 4


Found: TypeAlias = Document | Unchanged | DocumentError
DEFAULT_CRAWL = Crawl()


def is_url(text: str) -> bool:
    """Whether `text` means an address and not a file."""
    return text[:8].lower().startswith(("http://", "https://"))


def load_url(url: str, policy: FetchPolicy = DEFAULT_POLICY, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Fetch and load one page, without asking its robots.txt: somebody named it.

    Raises:
        FetchRefused, FetchFailed: it cannot be fetched.
        DocumentError: it cannot be read; DocumentLimit when it takes more than its limits.
    """

    async def once() -> Document:
        async with Fetcher(policy) as fetcher:
            return await _loaded(await fetcher.fetch(url), limits)

    return run_sync(once())


def fetch_documents(
    urls: Iterable[str],
    crawl: Crawl = DEFAULT_CRAWL,
    *,
    sitemap: bool = False,
    known: Mapping[str, Validators] | None = None,
) -> Iterator[Found]:
    """Fetch and load pages, in order, each once.

    Args:
        sitemap: `urls` are sitemaps; their pages are meant.
        known: what `validators_of` said of the documents of an earlier run, by source; pages that have not changed
            since come back as `Unchanged`.

    Yields one thing for each page and raises nothing of a page's own; leaving early cancels what is under way.
    """
    return iterate_sync(afetch_documents(urls, crawl, sitemap=sitemap, known=known))


async def afetch_documents(
    urls: Iterable[str],
    crawl: Crawl = DEFAULT_CRAWL,
    *,
    sitemap: bool = False,
    known: Mapping[str, Validators] | None = None,
) -> AsyncGenerator[Found]:
    """`fetch_documents` for code with an event loop."""
    async with Fetcher(crawl.policy) as fetcher, aclosing(_Crawler(fetcher, crawl, known or {})) as crawler:
        pending: deque[asyncio.Task[Found]] = deque()
        try:
            async with aclosing(_pages(urls, fetcher, crawl, sitemap)) as pages:
                async for page in pages:
                    pending.append(asyncio.create_task(crawler.one(page)))
                    if len(pending) >= crawl.concurrency:
                        yield await pending.popleft()
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def validators_of(document: Document) -> Validators:
    """What to ask with next time, from a document that `fetch_documents` made."""
    return Validators(str(document.metadata.get("etag", "")), str(document.metadata.get("modified", "")))


async def _pages(
    urls: Iterable[str], fetcher: Fetcher, crawl: Crawl, sitemap: bool
) -> AsyncGenerator[Target | DocumentError]:
    """The addresses, each once; what is wrong with one of them stands in its place."""
    seen: set[str] = set()
    for url in urls:
        try:
            listed = await asitemap_urls(url, fetcher, crawl.sitemaps) if sitemap else (url,)
            targets = [fetcher.check(each) for each in listed]
        except DocumentError as error:
            yield error
            continue
        for target in targets:
            if target.url not in seen:
                seen.add(target.url)
                yield target


class _Crawler:
    """Fetches one page after the other with the patience that their sites ask for."""

    def __init__(self, fetcher: Fetcher, crawl: Crawl, known: Mapping[str, Validators]) -> None:
        self._fetcher, self._crawl, self._known = fetcher, crawl, known
        self._robots = Robots(fetcher)
        self._next: dict[str, float] = {}

    async def one(self, page: Target | DocumentError) -> Found:
        """The page as a document, or why not."""
        if isinstance(page, DocumentError):
            return page
        try:
            if self._crawl.robots:
                await self._robots.check(page)
            await self._wait(page)
            found = await self._fetcher.fetch(page.url, self._known.get(page.url))
            if self._crawl.robots and found.final_url != page.url:
                await self._robots.check(self._fetcher.check(found.final_url))
            return Unchanged(page.url) if found.unchanged else await _loaded(found, self._crawl.limits)
        except DocumentError as error:
            return error
        except MissingExtra as error:  # of this page's format; others may still be read
            return DocumentError(error.step, error.cause, error.remedy, page.url)

    async def _wait(self, page: Target) -> None:
        """Until this site's next turn; the turn is taken before the wait, so that others queue behind it."""
        delay = max(self._crawl.delay, await self._robots.delay(page) if self._crawl.robots else 0.0)
        now = time.monotonic()
        turn = max(now, self._next.get(page.site, now))
        self._next[page.site] = turn + delay
        await asyncio.sleep(turn - now)

    async def aclose(self) -> None:
        await self._robots.aclose()


async def _loaded(found: Fetched, limits: Limits) -> Document:
    """Parsed in the limited process; a thread waits for it."""
    name = file_name(found.final_url, found.media_type, f"loading {found.url}")
    data = as_utf8(found.data, found.charset, found.media_type)
    document = await asyncio.to_thread(load_bytes, data, name, found.url, limits)
    facts = {
        "url": found.final_url[:1000],
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "etag": found.validators.etag,
        "modified": found.validators.modified,
    }
    return replace(document, metadata={**document.metadata, **{key: value for key, value in facts.items() if value}})
