"""Fetches pages for the decoder, through the guarded fetcher of `rag`.

An address can carry words away, so the effect is "egress": once untrusted text was read, each fetch needs a yes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from agents.tool import Tool

if TYPE_CHECKING:
    from rag.fetch import Fetcher, FetchPolicy
    from rag.fetch_addresses import Target

AGENT = "hearth/0.1 (agent)"
PAGE_BYTES = 8 << 20
WINDOW = 6_000


def web_fetch(policy: FetchPolicy | None = None, hosts: Collection[str] | None = None, **options: Any) -> Tool:
    """The tool `web_fetch`: a page, or any document that `rag` reads, as text. What it brings is untrusted.

    Private and loopback addresses are refused, redirects are judged like the first address, and no credentials are
    ever sent. A page's robots.txt is not asked: it is fetched because somebody named it, one at a time.

    Args:
        policy: what may be fetched; by default public addresses, 8 MiB and 30 seconds.
        hosts: only these and their subdomains, redirects included; None is every public host.
        options: fields of `Tool`.
    """
    from pydantic import Field

    from agents.signature import read_signature
    from rag.fetch import FetchPolicy

    chosen = policy or FetchPolicy(size=PAGE_BYTES, seconds=30.0, agent=AGENT)

    async def web_fetch(url: Annotated[str, Field(max_length=2000)], start: Annotated[int, Field(ge=0)] = 0) -> str:
        """Fetch a web page or document by its address and read it as text.

        Args:
            url: the whole address, beginning with https:// or http://.
            start: the character to begin at, to read on in a long page.
        """
        return await _page(url, start, chosen, hosts)

    return read_signature(web_fetch, **{"effect": "egress", "idempotent": True, "timeout": 60.0, **options})


async def _page(url: str, start: int, policy: FetchPolicy, hosts: Collection[str] | None) -> str:
    import asyncio

    from rag.fetch_body import as_utf8, file_name
    from rag.load import load_bytes

    async with _fetcher(policy, hosts) as fetcher:
        found = await fetcher.fetch(url)
    name = file_name(found.final_url, found.media_type, f"reading {found.url[:200]}")
    data = as_utf8(found.data, found.charset, found.media_type)
    document = await asyncio.to_thread(load_bytes, data, name, found.url)
    return f"{found.final_url}\n\n{window(document.text, start, WINDOW)}"


def _fetcher(policy: FetchPolicy, hosts: Collection[str] | None) -> Fetcher:
    from rag.fetch import Fetcher
    from rag.fetch_addresses import refused

    allowed = None if hosts is None else tuple(host.lower().rstrip(".") for host in hosts)

    class ListedFetcher(Fetcher):
        """Asks the listed hosts only; the fetcher checks every redirect by the same method."""

        def check(self, url: str) -> Target:
            target = super().check(url)
            host = target.host.lower().rstrip(".")
            if allowed is not None and not any(host == each or host.endswith(f".{each}") for each in allowed):
                raise refused(url, "its host is not on the list", f"Hosts: {', '.join(allowed) or 'none'}")
            return target

    return ListedFetcher(replace(policy))


def window(text: str, start: int, size: int) -> str:
    """A part of a long text, and how to read on."""
    part = text[start : start + size]
    rest = len(text) - start - len(part)
    if start >= len(text) > 0:
        return f"[The text ends at character {len(text):,}.]"
    return f"{part}\n[{rest:,} more characters: go on with start={start + size}]" if rest > 0 else part
