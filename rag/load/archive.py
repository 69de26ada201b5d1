"""The members of a ZIP archive, and of archives in it, handed over by the parsing process batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.load.discover import SKIPPED_FOLDERS
from rag.load.formats import ZIP
from rag.load.names import source_of
from rag.load.process import ERRORS, PARSING, Limits, Task

SEPARATOR = "!/"
"""Stands between an archive's name and its member's."""
DEPTH = 2
"""Archives in archives are opened so many levels deep."""
BATCH = 16 << 20
SKIPPED = SKIPPED_FOLDERS | {"__MACOSX"}


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive. `source` is what its document is called."""

    name: str
    source: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Budget:
    """What the archive and those in it may still unpack."""

    members: int
    bytes: int


def members(data: bytes, source: str, limits: Limits) -> Iterator[Member | DocumentError]:
    """Each member of the archive `data`, or the error of it alone; hidden files and build folders are left out.

    Raises:
        DocumentError: the archive cannot be read. When what it holds exceeds `limits.members` or
            `limits.unpacked`, what came before has been handed out, and DocumentLimit is raised.
    """
    yield from _members(data, source, limits, _Budget(limits.members, limits.unpacked), 0)


def _members(data: bytes, source: str, limits: Limits, budget: _Budget, depth: int) -> Iterator[Member | DocumentError]:
    seen: set[str] = set()
    for member in _unpacked(data, source, limits, budget):
        if isinstance(member, DocumentError):
            yield member
        elif member.source in seen:
            step = f"loading {member.source}"
            yield DamagedDocument(step, "another file in the archive has the same name", "Rename one", member.source)
        elif _is_skipped(member.name):
            continue
        elif not member.name.lower().endswith(ZIP.suffixes):
            yield member
        elif depth == DEPTH:
            cause = f"it is an archive more than {DEPTH} levels deep"
            yield DocumentLimit(f"loading {member.source}", cause, "Unpack it", member.source)
        else:
            yield from _inner(member, limits, budget, depth)
        if isinstance(member, Member):
            seen.add(member.source)


def _inner(member: Member, limits: Limits, budget: _Budget, depth: int) -> Iterator[Member | DocumentError]:
    """An archive in an archive: one that is broken is an error of itself alone, a spent budget is one of all."""
    try:
        yield from _members(member.data, member.source, limits, budget, depth + 1)
    except DocumentError as error:
        if budget.members < 0 or budget.bytes < 0:
            raise
        yield error


def _unpacked(data: bytes, source: str, limits: Limits, budget: _Budget) -> Iterator[Member | DocumentError]:
    """The archive's members as the child hands them out, counted against the budget."""
    step, start = f"loading {source}", 0
    while start >= 0:
        options = {"start": start, "batch": BATCH, "largest": limits.file_size, "most": limits.members}
        most = BATCH + limits.file_size
        values, made = PARSING.call(Task(ZIP.name, "unpack", options=options), data, limits, step, source, most)
        listed, following = values.get("members"), values.get("next")
        if not isinstance(listed, list) or not isinstance(following, int) or 0 <= following <= start:
            raise DamagedDocument(step, "its parser answered nonsense", "Pack it again", source)
        offset, start = 0, following
        for told in listed:
            size = int(told.get("size", 0))
            budget.members -= 1
            budget.bytes -= size
            if budget.members < 0:
                raise DocumentLimit(step, f"it holds more than {limits.members} files", "Split it", source)
            if budget.bytes < 0:
                cause = f"it would unpack to more than {limits.unpacked >> 20} MiB"
                raise DocumentLimit(step, cause, "Split it", source)
            yield _member(told, made[offset : offset + size], source)
            offset += size


def _member(told: dict[str, Any], data: bytes, source: str) -> Member | DocumentError:
    name = str(told.get("name"))
    full = f"{source}{SEPARATOR}{source_of(PurePath(name))}"
    if "error" not in told:
        return Member(name, full, data)
    kind = ERRORS.get(str(told["error"]), DamagedDocument)
    return kind(f"loading {full}", " ".join(str(told["cause"]).split()), str(told["remedy"]), full)


def _is_skipped(name: str) -> bool:
    return any(part.startswith(".") or part in SKIPPED for part in name.split("/"))
