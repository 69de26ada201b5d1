"""Which addresses may be fetched: URLs, host names and IP addresses, judged without touching the network.

A host is read in one strict way: a name, a dotted quad, or IPv6 in brackets. Whatever another reader could take for
something else (octal, hexadecimal and short IPv4, percent-encoding, zone ids, user info) is refused, not guessed at.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from rag.errors import FetchRefused

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 4096
LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")
"""Names, and the ends of names, that belong to a machine or a private network."""
INSTANCE_SERVICES = ("168.63.129.16", "192.0.0.192", "100.100.100.200", "169.254.169.254", "fd00:ec2::254")
"""Where clouds hand their machines credentials; the first is a global address."""
# fmt: off
_CLOSED = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    # Of IPv6 only 2000::/3 is global unicast; within it: Teredo and other assignments, documentation, 6to4.
    "::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
# fmt: on
CLOSED = tuple(map(ipaddress.ip_network, _CLOSED))
PRIVATE = tuple(map(ipaddress.ip_network, _PRIVATE))
"""Where a host that was allowed by name may stand beside public addresses; never link-local, no cloud's service."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", re.ASCII)
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_UNWANTED = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was taken apart and may be fetched, as far as it alone can tell.

    Attributes:
        url: as it will be requested: ASCII, without a fragment.
        host: lower case, without brackets and without the last dot.
        address: the host when it is an IP address.
        private: its host was allowed by name to stand at private addresses.
    """

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None = None
    private: bool = False

    @property
    def site(self) -> str:
        """Scheme, host and port: what robots.txt is asked for."""
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{_bracketed(self.host)}{port}"


def check_url(url: str, ports: tuple[int, ...] = (80, 443), allow_private: tuple[str, ...] = ()) -> Target:
    """Take `url` apart.

    Args:
        ports: the ports that may be asked.
        allow_private: hosts, or host:port, that may stand at private addresses; a port named here is allowed for it.

    Raises:
        FetchRefused: it is no http(s) address, or its host or port is not one to ask.
    """
    if not isinstance(url, str) or not 0 < len(url) <= LONGEST_URL:
        raise refused("", f"its address is not 1 to {LONGEST_URL} characters long")
    if _UNWANTED.search(url):
        raise refused(url, "its address holds a space, a control character or a backslash")
    match = _URL.fullmatch(url)
    scheme = match.group(1).lower() if match else ""
    if match is None or scheme not in DEFAULT_PORTS:
        raise refused(url, "its address does not begin with http:// or https://")
    host, address, port = _authority(url, match.group(2), DEFAULT_PORTS[scheme])
    allowed, shown = {name.lower() for name in allow_private}, _bracketed(host)
    private = bool(allowed & {host, shown, f"{shown}:{port}"})
    target = Target(_rebuilt(scheme, host, port, match), scheme, host, port, address, private)
    if port not in ports and f"{shown}:{port}" not in allowed:
        raise refused(url, f"port {port} is not one that is asked", f"Allow it, or use {' or '.join(map(str, ports))}")
    if address is not None:
        check_address(address, url, target.private)
    elif not target.private and any(host == name or host.endswith("." + name) for name in LOCAL_NAMES):
        raise refused(url, f"{host} is a name of this machine or of a private network")
    return target


def check_address(address: Address, url: str, private: bool = False) -> None:
    """Raises FetchRefused when no connection may be made to `address`; `private` allows private networks."""
    if str(address) in INSTANCE_SERVICES:
        raise refused(url, f"{address} hands out a machine's credentials", "")
    if private and any(address in network for network in PRIVATE):
        return
    closed = any(address in network for network in CLOSED) or _carries_other(address)
    if closed or not address.is_global or address.is_multicast or address.is_reserved:
        raise refused(url, f"it leads to {address}, which is no public address")


def refused(url: str, cause: str, remedy: str = "Only public http(s) addresses are fetched") -> FetchRefused:
    """The error for `url`, shortened and printable."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in url[:200])
    return FetchRefused(f"fetching {shown or 'a page'}", cause, remedy, shown)


def _carries_other(address: Address) -> bool:
    """ISATAP: an IPv4 address in the last half of a global IPv6 address, that a router would deliver to."""
    return address.version == 6 and (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE


def _authority(url: str, authority: str, default_port: int) -> tuple[str, Address | None, int]:
    if "@" in authority:
        raise refused("", "its address holds a user name or a password", "Leave it out")
    if "%" in authority:
        raise refused(url, "its host is percent-encoded or has a zone id")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise refused(url, "its host cannot be read")
    text, port = match.group(1), int(match.group(2) or default_port)
    if not 0 < port < 65536:
        raise refused(url, f"there is no port {port}")
    if text.startswith("["):
        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise refused(url, "its host is no IPv6 address") from None
        return str(address), address, port
    host = _ascii(url, text)
    if _NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
        try:
            return host, ipaddress.IPv4Address(host), port
        except ValueError:
            raise refused(url, "its host is an IPv4 address in an unusual notation") from None
    if not _NAME.fullmatch(host):
        raise refused(url, "its host is no host name")
    return host, None, port


def _ascii(url: str, text: str) -> str:
    """The host in lower-case ASCII: compatibility forms folded (UTS 46), other scripts as xn--, no dot at the end."""
    if not text.isascii():
        import idna

        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise refused(url, "its host is no host name") from None
    text = text.lower()
    return text.removesuffix(".")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _rebuilt(scheme: str, host: str, port: int, match: re.Match[str]) -> str:
    path = quote(match.group(3) or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(match.group(4) or "", safe="/%:@!$&'()*+,;=~-._?")
    return Target("", scheme, host, port).site + path + query
