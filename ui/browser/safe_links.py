"""Links that may be followed: http, https and mailto, to where their words say. All others are shown as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from ui.browser.safe_letters import letters

LONGEST_SHOWN = 300
"""Most characters that are shown of an address that is no link, such as a picture in a data: address."""
Piece: TypeAlias = tuple[Literal["text", "ours"], str]
_ALLOWED = re.compile(r"https?://[a-z0-9._~%-]+(:[0-9]{1,5})?([/?#][!-~]*)?|mailto:[!-~]+", re.IGNORECASE)
_ALLOWED_V6 = re.compile(r"https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?([/?#][!-~]*)?", re.IGNORECASE)
_BARE = re.compile(
    r"(?<![\w@/:.-])https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:[/?#][^\s\u2060<>\"`|\\^{}]*)?", re.IGNORECASE
)
_TRAILING = "!\"&'),.:;?]*_~"
_ADDRESS = re.compile(r"://|www[.]|[^\W_][.。．｡][^\W\d_]{2,}|@|^[a-z][a-z0-9+.-]*:\S", re.IGNORECASE)


def link(words: str, href: str) -> Iterator[Piece]:
    """A link as Markdown of our own, with its true target beside it where the words look like another."""
    if not is_allowed(href):
        yield "text", f"{words} ({shortened(href)})" if words.strip() and words != href else words or shortened(href)
        return
    shown = " ".join(words.split()) or href
    yield "ours", f"[{letters(shown, in_link=True)}](<{_destination(href)}>)"
    if _ADDRESS.search(shown) and not _same(shown, href):
        yield "ours", f" {letters(f'({href})')}"


def bare_addresses(text: str) -> Iterator[Piece]:
    """Text with the addresses in it, of hosts in ASCII, made links."""
    at = 0
    for found in _BARE.finditer(text):
        address = _trimmed(found.group())
        if is_allowed(href := quote(address, safe="!#$%&'()*+,/:;=?@[]~-._")):
            yield "text", text[at : found.start()]
            yield "ours", f"[{letters(address, in_link=True)}](<{_destination(href)}>)"
            at = found.start() + len(address)
    yield "text", text[at:]


def is_allowed(href: str) -> bool:
    """Whether a browser may be sent there: an allowed scheme, a host, and nobody's name before the host."""
    return bool(_ALLOWED.fullmatch(href) or _ALLOWED_V6.fullmatch(href))


def shortened(address: str) -> str:
    """An address to be shown, not followed."""
    return address if len(address) <= LONGEST_SHOWN else f"{address[:LONGEST_SHOWN]}…"


def _destination(href: str) -> str:
    """Between < and >, where a backslash would escape and an entity be read."""
    return re.sub(r"[<>\\]", lambda found: quote(found.group()), href).replace("&", "&amp;")


def _trimmed(address: str) -> str:
    """Without the brackets and the punctuation of the sentence around it."""
    depth = 0
    for at, sign in enumerate(address):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return address[:at].rstrip(_TRAILING)
    cut = address.rstrip(_TRAILING)
    return address[: max(len(cut), address.rfind(")") + 1)]


def _same(words: str, href: str) -> bool:
    return _bare(words) == _bare(href)


def _bare(address: str) -> str:
    return unquote(re.sub(r"^(https?://|mailto:)", "", address.strip(), flags=re.IGNORECASE)).rstrip("/")
