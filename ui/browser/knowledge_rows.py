"""The documents of a knowledge base as rows of a table, with those that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from rag.load.formats import FORMATS
from ui.browser.knowledge_uploads import shown_name

if TYPE_CHECKING:
    from rag.manifest import DocumentEntry

Status: TypeAlias = Literal["ready", "words", "duplicate", "archive", "failed", "old"]
_NAMES = {each.media_type: each.name for each in FORMATS}


@dataclass(frozen=True, slots=True)
class Row:
    """One document.

    Attributes:
        source: what the index calls it; empty `known` ones are not in the index.
        name: for people.
        status: ready; words (meaning does not find it yet); duplicate (another holds the same bytes); archive (its
            members are documents of their own); failed (not in the index); old (failed last time, as it was before).
        kind: of its format, as in "pdf".
        size: bytes; None where nobody knows.
        modified: of the file, UTC.
        reason: why it failed, or whose duplicate it is.
    """

    source: str
    name: str
    status: Status
    kind: str = ""
    passages: int = 0
    size: int | None = None
    modified: datetime | None = None
    reason: str = ""

    @property
    def known(self) -> bool:
        """It is in the index."""
        return self.status != "failed"


def rows(documents: Mapping[str, DocumentEntry], failed: Mapping[str, str]) -> list[Row]:
    """Failures first, then by name."""
    missing = [Row(s, shown_name(s), "failed", reason=said(s, why)) for s, why in failed.items() if s not in documents]
    found = [_row(source, entry, failed.get(source, "")) for source, entry in documents.items()]
    return sorted([*missing, *found], key=lambda row: (row.status not in ("failed", "old"), row.name.casefold()))


def said(source: str, reason: str) -> str:
    """Why a document failed, without the places on this machine that the reason names."""
    name = shown_name(source)
    return reason.removeprefix(f"loading {source}: ").removeprefix(f"reading {source}: ").replace(source, name)


def kind_of(media_type: str) -> str:
    """A format's short name, as in "pdf"; of code the language."""
    name = _NAMES.get(media_type, "")
    return media_type.removeprefix("text/x-") if name == "code" else name or media_type


def _row(source: str, entry: DocumentEntry, failed: str) -> Row:
    reason = said(source, failed) if failed else shown_name(entry.duplicate_of)
    size = None if entry.member_of else entry.size
    status = _status(entry, failed)
    return Row(
        source, shown_name(source), status, kind_of(entry.media_type), entry.passages, size, _modified(entry), reason
    )


def _status(entry: DocumentEntry, failed: str) -> Status:
    if failed:
        return "old"
    if entry.duplicate_of:
        return "duplicate"
    if entry.media_type == "application/zip":
        return "archive"
    return "words" if entry.pending else "ready"


def _modified(entry: DocumentEntry) -> datetime | None:
    """Of the file; one that changed just before it was read is asked itself."""
    seconds = entry.mtime_ns / 1e9
    try:
        seconds = seconds or Path(entry.path).stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC)
