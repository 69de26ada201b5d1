"""Files that people upload: taken in under bounds, and kept in places and under names that are ours.

home()/uploads/KNOWLEDGE BASE/8 HEX DIGITS/NAME

The digits are of the name as it was given, so that a file that comes again takes its old place, and indexing sees
whether it has changed; two files that merely look alike once their names are cleaned stay apart.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from decoder.errors import ServiceError, UsageError
from decoder.settings import home
from rag.errors import DocumentError, UnsupportedFormat
from rag.load.discover import SKIPPED_FOLDERS
from rag.load.formats import identify, supported
from rag.load.names import source_of
from rag.settings import check_index_name
from ui.browser.settings import ui_settings
from ui.browser.strings import say

STEP = "taking in files"
LONGEST = 80
"""Characters of a name."""
LONGEST_BYTES = 240
"""File systems count bytes."""
LEFT_FREE = 256_000_000
"""Bytes of the disk that uploads leave to conversations, indexes and all others of this machine."""
MEMBER = "!/"
"""Stands between an archive and what it holds."""
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "manual"
"""The example documents; only where the repository is."""
_PLACE = re.compile(r"[0-9a-f]{8}", re.ASCII)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE | re.ASCII)
_SLASHES = re.compile(r"[/\\\u2044\u2215\u29f8\u29f5\u2216\ufe68]+")


class Uploaded(Protocol):
    """What Streamlit's file uploader gives."""

    @property
    def name(self) -> str:
        """As the browser says, which may say anything; in a folder, its path there."""

    @property
    def size(self) -> int:
        """Bytes."""

    def getvalue(self) -> bytes:
        """All of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of an upload.

    Attributes:
        paths: of the files that were kept, absolute.
        refused: those that were not: the name as it was given, and why, as a sentence.
        skipped: hidden files, and files in hidden folders and in those that tools fill.
    """

    paths: tuple[Path, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    skipped: int = 0


def keep(uploaded: Sequence[Uploaded], kb_name: str) -> list[Path]:
    """Keep files for a knowledge base (its full name) and say where; those that cannot be kept are left out.

    Raises:
        UsageError: none of them can be kept, or the knowledge base has an impossible name.
        ServiceError: they cannot be written.
    """
    kept = keep_each(uploaded, kb_name)
    if kept.refused and not kept.paths:
        name, why = kept.refused[0]
        raise UsageError(STEP, f"{name[:LONGEST]}: {why}", "Choose other files")
    return list(kept.paths)


def keep_each(uploaded: Sequence[Uploaded], kb_name: str) -> Kept:
    """As `keep`, with what was refused and why; raises ServiceError, and UsageError for an impossible name only."""
    folder = uploads_folder() / check_index_name(kb_name)
    paths: list[Path] = []
    refused: list[tuple[str, str]] = []
    skipped = 0
    for file in uploaded:
        if is_skipped(file.name):
            skipped += 1
        elif why := _why_not(file, len(paths)):
            refused.append((file.name, why))
        else:
            paths.append(_write(folder, file))
    return Kept(tuple(dict.fromkeys(paths)), tuple(refused), skipped)


def uploads_folder() -> Path:
    """Where uploads of all knowledge bases are, absolute."""
    return Path(os.path.abspath(home())) / "uploads"  # noqa: PTH100  # as the index calls them: links are not followed


def clean_name(name: str) -> str:
    """A name for a file of ours: letters, digits, `-`, `_` and `.`, at most 80 characters, never hidden, no path.

    Folders become a part of the name. The suffix stays where it tells a format.
    """
    flat = "-".join(_parts(unicodedata.normalize("NFKC", name)))
    visible = "".join(c for c in flat if unicodedata.category(c) not in ("Cf", "Cc"))
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in visible)
    kept = re.sub(r"\.{2,}", ".", kept).lstrip("._-").rstrip(".")
    return _shortened(f"_{kept}" if _RESERVED.match(kept) else kept) or "file"


def shown_name(source: str) -> str:
    """A source for people: an upload by its file's name, a page of the example by its own, others as they are."""
    for folder, parts in ((uploads_folder(), 2), (EXAMPLE, 0)):
        inside = source.removeprefix(f"{source_of(folder)}/")
        pieces = inside.split("/", parts)
        if inside != source and len(pieces) == parts + 1:
            return pieces[-1]
    return source


def is_upload(source: str) -> bool:
    """Whether a document was uploaded here, alone or in an archive."""
    return source.startswith(f"{source_of(uploads_folder())}/")


def remove_upload(source: str, kb_name: str) -> bool:
    """Delete the file of a document that was uploaded to this knowledge base; False where it is not such a one."""
    folder = uploads_folder() / check_index_name(kb_name)
    place, _, name = source.removeprefix(f"{source_of(folder)}/").partition("/")
    if not _PLACE.fullmatch(place) or name != clean_name(name) or MEMBER in name:
        return False
    file = folder / place / name
    if not file.is_file():
        return False
    file.unlink(missing_ok=True)
    _remove_empty(file.parent)
    return True


def remove_uploads(kb_name: str) -> None:
    """Delete all that was uploaded to a knowledge base."""
    shutil.rmtree(uploads_folder() / check_index_name(kb_name), ignore_errors=True)


def is_skipped(name: str) -> bool:
    """Hidden, or in a hidden folder or one that tools fill: what walking a folder leaves out too."""
    parts = _parts(name)
    hidden = len(parts) > 1 and any(part.startswith(".") for part in parts)
    return hidden or bool(set(parts[:-1]) & SKIPPED_FOLDERS)


def _parts(name: str) -> list[str]:
    return [part for part in _SLASHES.split(name) if part.strip(". ")]


def _shortened(name: str) -> str:
    suffix = PurePath(name).suffix
    suffix = suffix if supported(PurePath(f"x{suffix}")) else ""
    stem = name.removesuffix(suffix)[: LONGEST - len(suffix)]
    return stem.encode()[: LONGEST_BYTES - len(suffix)].decode("utf-8", "ignore") + suffix


def _why_not(file: Uploaded, kept: int) -> str:
    """Why a file is not taken in, as a sentence; empty where it is."""
    settings = ui_settings()
    if kept >= settings.max_uploads:
        return say("knowledge.refused_number", most=settings.max_uploads)
    if file.size > settings.max_upload_mb * 1_000_000:
        return say("knowledge.refused_size", most=settings.max_upload_mb)
    if file.size == 0:
        return say("knowledge.refused_empty")
    name = clean_name(file.name)
    try:
        if not supported(PurePath(name)):
            identify(PurePath(name), file.getvalue(), STEP, name)
    except UnsupportedFormat:
        return say("knowledge.refused_format", kind=PurePath(name).suffix or say("knowledge.no_suffix"))
    except DocumentError:
        return ""  # it is broken: reading it tells how
    return ""


def _write(folder: Path, file: Uploaded) -> Path:
    """Put it in its place, whole or not at all; the same bytes are left alone."""
    data, name = file.getvalue(), clean_name(file.name)
    place = folder / hashlib.sha256(file.name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    path, aside = place / name, place / f".{secrets.token_hex(8)}"  # another tab may write the same
    try:
        if path.is_file() and path.read_bytes() == data:
            return path
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(place).free - len(data) < LEFT_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise ServiceError(STEP, f"{name} cannot be kept: {error.strerror or error}", "Free some space") from error
    return path


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
