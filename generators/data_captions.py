"""Captions of pictures: from a CSV or JSONL file, from the names of classes, or from the words of paths."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from generators.data_digits import NAMES
from generators.data_entries import Entry, Found, path_caption, words
from generators.errors import DataError
from generators.pictures import Skipped

STEP = "reading the captions"
LONGEST_FIELD = 131_072
"""Characters of a CSV field; the csv module's own limit is the whole process's, and others may raise it."""
MOST_BYTES = 256 * 2**20
LONGEST = 2000
"""Characters of a caption that are kept; text encoders read some 77 tokens."""
DIGIT_TEMPLATES = ("{name}", "{a} {name}", "the digit {name}", "a handwritten {name}")
TEMPLATES = ("{name}", "{a} {name}", "a picture of {a} {name}")


def captioned(found: Found, captions: str, beside: Path | None, strict: bool) -> Found:
    """The pictures with their captions, as `captions` of the data section says; those without one are left out.

    Args:
        found: the pictures.
        captions: a file; or `paths`. (`classes` is `class_captions`, once the labels are known.)
        beside: the folder that the file is also looked for in.
        strict: whether a caption without its picture, or a picture without one, is an error.

    Raises:
        DataError: the file cannot be read; or something has no partner and `strict` is set.
    """
    if captions == "paths":
        told = [replace(entry, caption=path_caption(entry.name)) for entry in found.entries]
        return _with_captions(found, told, (), strict)
    file = _find(captions, beside)
    by_name = {entry.name for entry in found.entries}
    skipped: list[Skipped] = []
    known: dict[str, str] = {}
    for name, caption in _rows(file):
        if name not in by_name:
            skipped.append(Skipped(name, f"{file.name} has a caption for it, and the picture is not there"))
        elif name in known:
            skipped.append(Skipped(name, f"{file.name} has a second caption for it; the first is used"))
        else:
            known[name] = caption
    told = [replace(entry, caption=known.get(entry.name, "")) for entry in found.entries]
    return _with_captions(found, told, skipped, strict)


def class_captions(labels: Sequence[int], names: Sequence[str], seed: int) -> tuple[str, ...]:
    """A caption a picture, from its class: "a three", "the digit three"; which of the templates, the seed says."""
    import random

    chooser = random.Random(seed)  # noqa: S311  # it draws templates, no secrets
    return tuple(_class_caption(names[label], chooser) for label in labels)


def _class_caption(name: str, chooser: Any) -> str:
    told = words(name) or name
    templates = DIGIT_TEMPLATES if name in NAMES else TEMPLATES
    article = "an" if told[:1] in "aeiou" else "a"
    text: str = chooser.choice(templates)
    return text.format(name=told, a=article)


def _with_captions(found: Found, entries: Sequence[Entry], skipped: Sequence[Skipped], strict: bool) -> Found:
    bare = [Skipped(entry.name, "it has no caption") for entry in entries if not entry.caption]
    if strict and (first := next(iter([*skipped, *bare]), None)):
        raise DataError(STEP, f"{first.name}: {first.reason}", "Mend the captions, or leave out strict: true")
    kept = tuple(entry for entry in entries if entry.caption)
    if not kept:
        raise DataError(STEP, "none of the pictures has a caption", "Name pictures by their path within the source")
    return replace(found, entries=kept, skipped=(*found.skipped, *skipped, *bare))


def _find(captions: str, beside: Path | None) -> Path:
    given = Path(captions).expanduser()
    for path in (given, *([beside / given] if beside else [])):
        if path.is_file():
            return path
    remedy = "Give a CSV or JSONL file with the columns file and caption, or `classes` or `paths`"
    raise DataError(STEP, f"there is no file {captions}", remedy)


def _rows(file: Path) -> Iterator[tuple[str, str]]:
    """Names as `Entry.name` has them, and captions on one line. Raises DataError naming the line."""
    reader = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}.get(file.suffix.lower())
    if reader is None:
        raise DataError(STEP, f"{file} ends in neither .csv nor .jsonl", "Write the captions as CSV or JSONL")
    for line, row in reader(file):
        name, caption = row.get("file"), row.get("caption")
        if not isinstance(name, str) or not isinstance(caption, str):
            cause = f"{file}, line {line} lacks file or caption, or one of them is no text"
            raise DataError(STEP, cause, "Give every row both")
        yield str(PurePosixPath(name.replace("\\", "/"))), " ".join(caption.split())[:LONGEST]


def _csv(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(_text(file), newline=""))
    try:
        missing = {"file", "caption"} - set(reader.fieldnames or ())
        if missing:
            cause = f"{file} has no column {' and no column '.join(sorted(missing))}"
            raise DataError(STEP, cause, "Begin it with the line file,caption")
        for row in reader:
            if any(isinstance(field, str) and len(field) > LONGEST_FIELD for field in row.values()):
                cause = f"{file}, line {reader.line_num}: field larger than {LONGEST_FIELD} characters"
                raise DataError(STEP, cause, "Mend the line")
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(STEP, f"{file}, line {reader.line_num}: {error}", "Mend the line") from error


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(file).split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(STEP, f"{file}, line {number} is no JSON", "Mend the line") from error
            yield number, row if isinstance(row, dict) else {}


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(STEP, f"{file} is larger than {MOST_BYTES // 2**20} MiB", "Split it")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(STEP, f"{file} cannot be read: {error}", "Write it as UTF-8") from error
