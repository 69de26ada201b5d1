"""Sitemaps (sitemaps.org): `<urlset>`, `<sitemapindex>`, plain text, each also gzipped, to a bounded list of pages."""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers import expat  # a DOCTYPE is refused, so there are no entities to expand

from decoder.base import run_sync
from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.fetch import DEFAULT_POLICY, Fetcher, FetchPolicy
from rag.fetch_addresses import Target
from rag.fetch_body import gunzip

MOST_BYTES = 50 << 20
"""The protocol's own limit for one sitemap, unpacked."""
GZIP = b"\x1f\x8b"
DEEPEST_XML = 16
LONGEST_LOC = 4096


@dataclass(frozen=True, slots=True)
class SitemapLimits:
    """How far sitemaps are followed.

    Attributes:
        pages: most pages in all; more are left out.
        sitemaps: most sitemaps that are fetched.
        depth: how many indexes may stand one within another.
        same_site: take only pages of the sitemap's own host.
    """

    pages: int = 10_000
    sitemaps: int = 100
    depth: int = 2
    same_site: bool = True


@dataclass(frozen=True, slots=True)
class Sitemap:
    """One sitemap: the pages that it lists, or the sitemaps that it points to."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


DEFAULT_LIMITS = SitemapLimits()


def sitemap_urls(
    url: str, policy: FetchPolicy = DEFAULT_POLICY, limits: SitemapLimits = DEFAULT_LIMITS
) -> tuple[str, ...]:
    """The pages that the sitemap at `url` lists, in order, each once.

    Raises:
        FetchRefused, FetchFailed, DocumentLimit: it cannot be fetched.
        DamagedDocument: it is no sitemap. One inside an index that cannot be read is left out.
    """

    async def walk() -> tuple[str, ...]:
        async with Fetcher(policy) as fetcher:
            return await asitemap_urls(url, fetcher, limits)

    return run_sync(walk())


async def asitemap_urls(url: str, fetcher: Fetcher, limits: SitemapLimits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """`sitemap_urls` for code with an event loop and a fetcher."""
    first = fetcher.check(url)
    pages: dict[str, None] = {}
    waiting, seen = [(first, 0)], {first.url}
    for _ in range(limits.sitemaps):
        if not waiting or len(pages) >= limits.pages:
            break
        target, depth = waiting.pop(0)
        try:
            found = await _fetched(target, fetcher)
        except DocumentError:
            if target is first:
                raise
            continue
        for page in _allowed(found.pages, first, fetcher, limits):
            if len(pages) < limits.pages:
                pages.setdefault(page.url)
        inner = _allowed(found.sitemaps, first, fetcher, limits) if depth < limits.depth else []
        waiting += [(each, depth + 1) for each in inner if each.url not in seen]
        seen.update(each.url for each in inner)
    return tuple(pages)


async def _fetched(target: Target, fetcher: Fetcher) -> Sitemap:
    step = f"reading the sitemap {target.url[:200]}"
    data = (await fetcher.fetch(target.url)).data
    if data.startswith(GZIP):
        data = gunzip(data, MOST_BYTES, step, target.url)
    return parse_sitemap(data, step, target.url)


def _allowed(urls: tuple[str, ...], first: Target, fetcher: Fetcher, limits: SitemapLimits) -> list[Target]:
    """Those that may be fetched; a sitemap is untrusted text, and a bad line of it costs that line alone."""
    found = []
    for url in urls[: limits.pages]:
        try:
            target = fetcher.check(url)
        except DocumentError:
            continue
        if target.host == first.host or not limits.same_site:
            found.append(target)
    return found


def parse_sitemap(data: bytes, step: str = "reading a sitemap", source: str = "") -> Sitemap:
    """Read a sitemap's bytes.

    Raises:
        DamagedDocument: it is no sitemap, or has a DOCTYPE.
        DocumentLimit: it is larger than the protocol allows.
    """
    if len(data) > MOST_BYTES:
        raise DocumentLimit(step, f"it is larger than {MOST_BYTES} bytes", "Split it", source)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _Reader(step, source).read(data)
    lines = data.decode("utf-8-sig", "replace").split("\n", 1_000_000)
    urls = tuple(line.strip() for line in lines if line.strip().startswith(("http://", "https://")))
    if not urls:
        raise DamagedDocument(step, "it is no sitemap", "Give the address of an XML or text sitemap", source)
    return Sitemap(urls)


class _Reader:
    """Collects `<loc>` directly beneath `<url>` or `<sitemap>`, whatever the namespace's prefix."""

    def __init__(self, step: str, source: str) -> None:
        self._step, self._source = step, source
        self._path: list[str] = []
        self._text = ""
        self._found: dict[str, list[str]] = {"url": [], "sitemap": []}

    def read(self, data: bytes) -> Sitemap:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, LookupError, ValueError, UnicodeError) as error:
            raise self._damaged(f"its XML is damaged ({' '.join(str(error).split())[:120]})") from None
        return Sitemap(tuple(self._found["url"]), tuple(self._found["sitemap"]))

    def _refuse(self, *_: object) -> None:
        raise self._damaged("it has a DOCTYPE, as no sitemap has")

    def _start(self, name: str, _: object) -> None:
        self._path.append(name.rsplit(":", 1)[-1])
        self._text = ""
        if len(self._path) == 1 and self._path[0] not in ("urlset", "sitemapindex"):
            raise self._damaged("it is no sitemap")
        if len(self._path) > DEEPEST_XML:
            raise self._damaged("it is nested too deeply")

    def _take(self, text: str) -> None:
        if self._path[-1] == "loc" and len(self._text) <= LONGEST_LOC:
            self._text += text

    def _end(self, _: str) -> None:
        if len(self._path) == 3 and self._path[2] == "loc" and self._path[1] in self._found:
            self._found[self._path[1]].append(self._text.strip())
        self._path.pop()
        self._text = ""

    def _damaged(self, cause: str) -> DamagedDocument:
        return DamagedDocument(self._step, cause, "Give the address of an XML or text sitemap", self._source)
