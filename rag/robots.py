"""What a site asks of robots (RFC 9309): robots.txt is fetched once per site, read by the standard library, obeyed."""

from __future__ import annotations

import asyncio
from urllib.robotparser import RobotFileParser

from rag.errors import DocumentError
from rag.fetch import Fetcher
from rag.fetch_addresses import Target, refused

MOST_BYTES = 500 << 10
"""RFC 9309, section 2.5: what is behind that need not be read."""
CLOSED = b"User-agent: *\nDisallow: /\n"
LONGEST_DELAY = 30.0
"""Seconds; a site that asks for more gets this."""


class Robots:
    """The rules of the sites that were asked so far. One event loop's."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._agent = fetcher.policy.agent.split("/", 1)[0]
        self._rules: dict[str, asyncio.Task[RobotFileParser]] = {}

    async def check(self, target: Target) -> None:
        """Raises FetchRefused when the site's robots.txt forbids the page to us."""
        rules = await self._of(target)
        if not rules.can_fetch(self._agent, target.url):
            raise refused(
                target.url,
                "its site's robots.txt forbids it, or cannot be read",
                "Ask the site's owner, or index a copy",
            )

    async def delay(self, target: Target) -> float:
        """Seconds that the site asks to leave between two requests."""
        return asked_delay(await self._of(target), self._agent)

    async def sitemaps(self, target: Target) -> list[str]:
        """The sitemaps that the site's robots.txt names."""
        return (await self._of(target)).site_maps() or []

    async def aclose(self) -> None:
        """Give up what is still being fetched."""
        for task in self._rules.values():
            task.cancel()
        await asyncio.gather(*self._rules.values(), return_exceptions=True)

    async def _of(self, target: Target) -> RobotFileParser:
        if target.site not in self._rules:
            self._rules[target.site] = asyncio.create_task(self._fetched(target.site))
        return await asyncio.shield(self._rules[target.site])

    async def _fetched(self, site: str) -> RobotFileParser:
        """Missing means that all is allowed; a site that cannot say (5xx, no answer) is left alone."""
        try:
            found = await self._fetcher.fetch(f"{site}/robots.txt", any_status=True)
        except DocumentError:
            return read_rules(CLOSED)
        if 200 <= found.status < 300:
            return read_rules(found.data)
        return read_rules(b"" if 400 <= found.status < 500 and found.status != 429 else CLOSED)


def read_rules(data: bytes) -> RobotFileParser:
    """The rules in a robots.txt; where the standard library trips over one, nothing is allowed."""
    rules = RobotFileParser()
    try:
        rules.parse(data[:MOST_BYTES].decode("utf-8", "replace").splitlines())
    except ValueError:
        return read_rules(CLOSED)
    return rules


def asked_delay(rules: RobotFileParser, agent: str) -> float:
    """Seconds that the rules ask to leave between two requests, at most LONGEST_DELAY."""
    return float(min(rules.crawl_delay(agent) or 0, LONGEST_DELAY))
