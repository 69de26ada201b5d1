"""Pictures in a folder and its sub-folders. Links that lead out of it are left out, and so are links to folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from generators.data_entries import STEP, Entry, Found, is_picture, sorted_out
from generators.errors import DataError
from generators.image_files import read_file
from generators.pictures import Skipped

MOST_FILES = 1_000_000
MOST_DEPTH = 32


def find_in_folder(folder: Path) -> Found:
    """Every picture below `folder`, by the alphabet. Raises DataError when there is no such folder, or none in it."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        remedy = "Give a folder of pictures, zip:FILE, idx:IMAGES,LABELS, hub:NAME or digits"
        raise DataError(STEP, f"{folder} {what}", remedy)
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for path in _walk(folder, 0):
        name = shown(path.relative_to(folder))
        if not is_picture(name) and not path.is_symlink():
            continue
        reason = _reason(path, folder)
        if reason:
            skipped.append(Skipped(name, reason))
        elif is_picture(name):
            entries.append(Entry(name, partial(read_file, path, name)))
        if len(entries) + len(skipped) > MOST_FILES:
            raise DataError(STEP, f"{folder} holds more than {MOST_FILES:,} pictures", "Give a part of it")
    if not entries:
        raise DataError(STEP, f"{folder} holds no pictures that can be used", "Put PNG or JPEG files into it")
    return sorted_out(entries, str(folder), skipped)


def shown(path: Path) -> str:
    """A path as text that can be written anywhere, with `/`; bytes that are no UTF-8 are spelled out."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Files and links, each folder's in order; folders that are links are told, not entered."""
    try:
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda each: each.name)
    except OSError as error:
        raise DataError(STEP, f"{folder} cannot be listed: {error.strerror}", "Mend its permissions") from error
    for each in found:
        if each.is_dir(follow_symlinks=False):
            if depth < MOST_DEPTH:
                yield from _walk(Path(each.path), depth + 1)
        else:
            yield Path(each.path)


def _reason(path: Path, folder: Path) -> str:
    """Why a link is left out; empty for what is none, and for a link to a file within the folder."""
    if not path.is_symlink():
        return ""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a link that leads nowhere"
    if target.is_dir():
        return "a link to a folder"
    return "" if target.is_relative_to(folder.resolve()) else "a link that leads out of the folder"
