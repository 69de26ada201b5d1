"""Who may ask: API keys, kept as hashes, and what each may see.

A line is `key = tenant principal ...`; `-` stands for no tenant, and a key alone sees what is open to everybody.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from decoder.errors import SettingsError, UsageError
from rag.filters import Access
from ui.api.errors import ApiRefusal

STEP = "reading the API keys"
VARIABLE = "HEARTH_API_KEYS"
SHORTEST = 16
"""Characters; a shorter key could be guessed."""
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may ask.

    Attributes:
        name: for the log: the first digits of the key's hash, or "local".
        access: what they may see; None, for whoever sits at this machine, is everything.
    """

    name: str
    access: Access | None


LOCAL = Caller("local", None)
"""Whoever reaches a server without keys, which listens on loopback alone."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys' SHA-256 hashes with their callers; empty when none are needed."""

    entries: tuple[tuple[bytes, Caller], ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def caller(self, authorization: str) -> Caller:
        """Who sends this Authorization header; raises ApiRefusal (401). Takes as long for any wrong key."""
        if not self.entries:
            return LOCAL
        scheme, _, key = authorization.partition(" ")
        presented, found = _hash(key.strip()), None
        for digest, caller in self.entries:
            if hmac.compare_digest(digest, presented):
                found = caller
        if found is None or scheme.lower() != "bearer":
            what = "the API key is not known" if authorization else "an API key is needed"
            header = {"WWW-Authenticate": "Bearer"}
            raise ApiRefusal(401, f"{what}; send `Authorization: Bearer KEY`", "invalid_api_key", headers=header)
        return found


def read_keys(path: Path | None) -> Keys:
    """The keys of a file, else of HEARTH_API_KEYS (lines, or parts between semicolons); none when neither is there.

    Raises:
        SettingsError: the file cannot be read, or a line is no key. The key itself is never repeated.
    """
    if path is None:
        return parse_keys(os.environ.get(VARIABLE, "").replace(";", "\n").splitlines(), VARIABLE)
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise SettingsError(STEP, cause, "Give a file of lines `key = tenant principal ...`") from error
    keys = parse_keys(lines, str(path))
    if not keys:
        raise SettingsError(STEP, f"{path} holds no key", "Write lines `key = tenant principal ...`")
    return keys


def parse_keys(lines: Iterable[str], origin: str) -> Keys:
    """Read `key = tenant principal ...` lines; raises SettingsError."""
    entries: dict[bytes, Caller] = {}
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        key, _, names = text.partition(" = ") if " = " in text else (text, "", "")
        digest = _hash(key.strip())
        if len(key.strip()) < SHORTEST or not _KEY.fullmatch(key.strip()):
            remedy = f"Write `key = tenant principal ...`, the key {SHORTEST} to 256 letters and digits"
            raise SettingsError(STEP, f"line {number} of {origin} is no key", remedy)
        if digest in entries:
            raise SettingsError(STEP, f"line {number} of {origin} repeats a key", "Give each key once")
        entries[digest] = Caller(digest.hex()[:8], _access(names.split(), number, origin))
    return Keys(tuple(entries.items()))


def _access(names: list[str], number: int, origin: str) -> Access:
    try:
        return Access("" if not names or names[0] == "-" else names[0], tuple(names[1:]))
    except UsageError as error:
        raise SettingsError(STEP, f"line {number} of {origin}: {error.cause}", "Mend the line") from error


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
