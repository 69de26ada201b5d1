"""HTTP sessions to one server: one per event loop, connections kept and used again.

Knows aiohttp, TLS and proxies; nothing of what is sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from decoder.errors import MissingExtra, SettingsError, UsageError
from decoder.timeouts import Timeouts

if TYPE_CHECKING:
    import aiohttp

STEP = "preparing to connect"
Verify: TypeAlias = bool | str | Path | ssl.SSLContext
# Below uvicorn's 5 s (vLLM's default), so that it is we who close an idle connection, never mid-request.
KEEP_ALIVE_SECONDS = 4.0
MOST_CONNECTIONS = 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how it is reached.

    Attributes:
        base_url: with its `/v1` and without a slash at the end; never holds a password.
        headers: sent with every request; may hold secrets, so not in the repr.
        verify: True for the system's certificates, a file or folder of certificates, an SSLContext (client
            certificates too), or False for none: then anyone on the way can read and answer.
        proxy: address of an HTTP proxy; empty for none.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: Verify = True
    proxy: str = field(default="", repr=False)


def normal_url(base_url: str) -> str:
    """The base URL without slash at the end, with `/v1` when it names no path. Raises UsageError when it is none."""
    parts = urlsplit(base_url.strip())
    remedy = "Give one such as http://127.0.0.1:8000/v1"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(STEP, "the base URL is not an http(s) address", remedy)
    if parts.username or parts.password:
        raise UsageError(STEP, "the base URL holds a user name or password", "Pass an Authorization header instead")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def environment_proxy(base_url: str) -> str:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY ask for; never one to reach this machine itself."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    return urllib.request.getproxies().get(parts.scheme, "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def tls(verify: Verify) -> ssl.SSLContext | bool:
    """What aiohttp takes as `ssl`. Raises SettingsError when the certificates cannot be read."""
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    path = Path(verify).expanduser()
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(STEP, f"no certificates can be read from {path}: {error}", "Give a PEM file") from error


@dataclass(frozen=True, slots=True)
class Connection:
    """What belongs to one event loop: its session, what keeps that open, and a lock for what is done once."""

    loop: asyncio.AbstractEventLoop
    http: aiohttp.ClientSession
    lifetime: AsyncGenerator[None, None]
    once: asyncio.Lock


class Connections:
    """The sessions to one endpoint. Safe to use from several threads, each with its loop.

    A session also closes by itself when its loop shuts down or nothing refers to it any more.
    """

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint, self._timeouts = endpoint, timeouts
        self._by_loop: dict[int, Connection] = {}
        self._tls = tls(endpoint.verify)

    async def here(self) -> Connection:
        """The running loop's connection, opened on first use."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(id(loop))
        if found is not None and found.loop is loop and not found.http.closed:
            return found
        await self._close([c for c in self._by_loop.values() if c.loop.is_closed() or c.http.closed])
        session = self._session()
        lifetime = _lifetime(session)
        connection = Connection(loop, session, lifetime, asyncio.Lock())
        self._by_loop[id(loop)] = connection
        await anext(lifetime)
        return connection

    async def aclose(self) -> None:
        """Close the sessions of every loop. Idempotent."""
        await self._close(list(self._by_loop.values()))

    async def _close(self, connections: list[Connection]) -> None:
        for connection in connections:
            if self._by_loop.get(id(connection.loop)) is connection:
                del self._by_loop[id(connection.loop)]
            if connection.loop is not asyncio.get_running_loop() and connection.loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(connection.http.close(), connection.loop)
                await asyncio.wait_for(asyncio.wrap_future(closing), self._timeouts.connect)
            else:
                await connection.http.close()

    def _session(self) -> aiohttp.ClientSession:
        try:
            import aiohttp
        except ImportError as error:
            raise MissingExtra(STEP, "aiohttp", "serve") from error
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._tls, keepalive_timeout=KEEP_ALIVE_SECONDS)
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._endpoint.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Only the connection is timed here: the deadlines of answers are the client's, which knows tokens.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
            proxy=self._endpoint.proxy or None,
            trust_env=False,  # it would read the environment and ~/.netrc again for every request
        )


async def _lifetime(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Closes the session when its loop shuts down: `asyncio.run` closes async generators then, not sessions."""
    try:
        yield
    finally:
        await session.close()
