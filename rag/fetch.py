"""Fetch pages of the web: guarded, bounded, and never anything that is not public unless it was allowed by name.

The address is judged before the network is touched (`fetch_addresses`). A name is looked up once; every address that
comes back is judged, the connection goes to one of these and to nothing else, and each socket is judged once more as
it is made. Redirects are followed by hand, each judged like the first. No proxies, cookies or credentials.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urljoin

from decoder.base import run_sync
from rag.errors import DocumentError, DocumentLimit, FetchFailed
from rag.fetch_addresses import Target, check_address, check_url, refused
from rag.fetch_body import media_type_of, read_body

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""A name and a port to IP addresses, as text; raises OSError when there are none."""
REDIRECTS = (301, 302, 303, 307, 308)
HEADER_BYTES = 8190
HEADERS = 100
LONGEST_VALIDATOR = 256


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and what one page may cost.

    Attributes:
        ports: the ports that are asked.
        allow_private: hosts (or host:port) that may stand at private or loopback addresses: an intranet's.
        size: most bytes of a page, packed or unpacked.
        seconds: for everything, redirects included.
        connect_seconds: for the name and the connection.
        read_seconds: between two pieces of the answer.
        redirects: most redirects.
        agent: who we say we are; robots.txt is read for its first word.
    """

    ports: tuple[int, ...] = (80, 443)
    allow_private: tuple[str, ...] = ()
    size: int = 64 << 20
    seconds: float = 60.0
    connect_seconds: float = 10.0
    read_seconds: float = 15.0
    redirects: int = 5
    agent: str = "hearth/0.1 (knowledge base indexer)"


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said a page's version was; sent back, it spares an unchanged page."""

    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back.

    Attributes:
        url: as asked for, normalised.
        final_url: where the redirects ended.
        status: the HTTP status: 200 to 299, 304, or any when errors were allowed.
        media_type, charset: from Content-Type, lower case; empty where it says nothing.
        data: the body, unpacked.
        validators: to ask with next time.
    """

    url: str
    final_url: str
    status: int
    media_type: str
    charset: str
    data: bytes = field(repr=False)
    validators: Validators = Validators()

    @property
    def unchanged(self) -> bool:
        """The page is still the one that the validators were given for; there is no data."""
        return self.status == 304


DEFAULT_POLICY = FetchPolicy()


def fetch(url: str, policy: FetchPolicy = DEFAULT_POLICY) -> Fetched:
    """Fetch one page.

    Raises:
        FetchRefused: the address, or one that it redirects to, may not be fetched.
        FetchFailed: no connection, a bad answer, or a status other than 2xx.
        DocumentLimit: it is larger, or takes longer, than the policy allows.
    """

    async def once() -> Fetched:
        async with Fetcher(policy) as fetcher:
            return await fetcher.fetch(url)

    return run_sync(once())


class Fetcher:
    """Fetches many pages over kept connections. Belongs to one event loop.

    Args:
        resolve: looks names up; the system's own by default. What it returns is checked.
    """

    def __init__(self, policy: FetchPolicy = DEFAULT_POLICY, resolve: Resolve | None = None) -> None:
        self.policy = policy
        self._resolve = resolve or system_addresses
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def fetch(self, url: str, known: Validators | None = None, *, any_status: bool = False) -> Fetched:
        """Fetch one page; raises as the function `fetch` does.

        Args:
            known: ask only for a newer version than this; then see `Fetched.unchanged`.
            any_status: return an answer of any status, as for robots.txt.
        """
        target = self.check(url)
        try:
            async with asyncio.timeout(self.policy.seconds):
                return await self._follow(target, known, any_status)
        except TimeoutError:
            cause = f"it took more than {self.policy.seconds:g} seconds"
            raise DocumentLimit(_step(target), cause, "Try again later, or allow more time", target.url) from None

    def check(self, url: str) -> Target:
        """The URL taken apart; raises FetchRefused. No name is looked up."""
        return check_url(url, self.policy.ports, self.policy.allow_private)

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _follow(self, first: Target, known: Validators | None, any_status: bool) -> Fetched:
        target = first
        for _ in range(self.policy.redirects + 1):
            async with self._answer(target, known) as response:
                location = response.headers.get("Location")
                if response.status in REDIRECTS and location is not None:
                    target = self._next(target, location)
                    continue
                return await self._read(first, target, response, any_status)
        cause = f"it redirects more than {self.policy.redirects} times"
        raise FetchFailed(_step(first), cause, "Give the address where it ends", first.url)

    def _next(self, target: Target, location: str) -> Target:
        try:
            joined = urljoin(target.url, location)
        except ValueError:
            raise refused(target.url, "it redirects to something that is no address") from None
        found = self.check(joined)
        if target.scheme == "https" and found.scheme == "http":
            raise refused(target.url, "it redirects from https to http", "Give the address where it ends")
        return found

    async def _read(self, first: Target, target: Target, response: aiohttp.ClientResponse, any_status: bool) -> Fetched:
        step, headers = _step(first), response.headers
        media_type, charset = media_type_of(headers.get("Content-Type", ""))
        fine = 200 <= response.status < 300 or response.status == 304
        if not fine and not any_status:
            raise FetchFailed(step, f"the server answered {response.status}", "Look at it in a browser", first.url)
        data = b""
        if response.status != 304:
            encoding = headers.get("Content-Encoding", "").strip().lower()
            with _errors(step, first.url):
                data = await read_body(response.content.iter_any(), encoding, self.policy.size, step, first.url)
        validators = Validators(_validator(headers.get("ETag")), _validator(headers.get("Last-Modified")))
        return Fetched(first.url, target.url, response.status, media_type, charset, data, validators)

    @asynccontextmanager
    async def _answer(self, target: Target, known: Validators | None) -> AsyncGenerator[aiohttp.ClientResponse]:
        from yarl import URL

        headers = {"User-Agent": self.policy.agent, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.modified:
            headers["If-Modified-Since"] = known.modified
        with _errors(_step(target), target.url):
            response = await self._session(target.private).get(
                URL(target.url, encoded=True), headers=headers, allow_redirects=False
            )
        try:
            yield response
        finally:
            response.close()  # what was not read is not wanted

    def _session(self, private: bool) -> aiohttp.ClientSession:
        """One for the public web, and one for the hosts that were allowed by name: their rules differ."""
        if private not in self._sessions:
            self._sessions[private] = _new_session(self.policy, self._resolve, private)
        return self._sessions[private]


async def system_addresses(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver gives for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _new_session(policy: FetchPolicy, resolve: Resolve, private: bool) -> aiohttp.ClientSession:
    import aiohttp

    def guarded_socket(info: Any) -> socket.socket:
        """The last gate: whatever came before, no socket is made for an address that fails the check."""
        check_address(ipaddress.ip_address(info[4][0]), str(info[4][0]), private)
        return socket.socket(info[0], info[1], info[2])

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_checked_resolver(resolve, private), use_dns_cache=False, socket_factory=guarded_socket, limit=16
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=HEADERS,
        timeout=aiohttp.ClientTimeout(None, policy.connect_seconds, policy.read_seconds, policy.connect_seconds),
    )


def _checked_resolver(resolve: Resolve, private: bool) -> AbstractResolver:
    """aiohttp asks it once for each connection, and connects to what it returns and nothing else."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class CheckedResolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found = [ipaddress.ip_address(text) for text in await resolve(host, port)]
            if not found:
                raise OSError(f"{host} has no address")
            for address in found:
                check_address(address, host, private)  # one bad address spoils them all
            return [
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for address in found
            ]

        async def close(self) -> None:
            pass

    return CheckedResolver()


@contextmanager
def _errors(step: str, url: str) -> Iterator[None]:
    """aiohttp's errors as ours; those that are ours already get the page's address in place of the host's."""
    import aiohttp

    try:
        yield
    except DocumentError as error:
        raise type(error)(step, error.cause, error.remedy, url) from None
    except (aiohttp.ServerTimeoutError, TimeoutError) as error:
        remedy = "Try again later, or allow more time"
        raise FetchFailed(step, "the server did not answer in time", remedy, url) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        cause = f"there is no usable answer ({type(error).__name__}: {_brief(error)})"
        raise FetchFailed(step, cause, "Check the address and the connection", url) from error


def _brief(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return "".join(c for c in line if c.isprintable())[:160]


def _step(target: Target) -> str:
    return f"fetching {target.url[:200]}"


def _validator(value: str | None) -> str:
    """A header to send back later; one that is long or not plain is dropped."""
    return value if value and len(value) <= LONGEST_VALIDATOR and value.isascii() and value.isprintable() else ""
