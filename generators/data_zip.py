"""Pictures in a zip file, read one by one in memory: nothing is unpacked, and no name in it is ever used as a path."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from generators.data_entries import STEP, Entry, Found, is_picture, sorted_out
from generators.errors import DataError, ImageError
from generators.image_files import MOST_BYTES
from generators.pictures import Skipped

MOST_ENTRIES = 200_000
MOST_UNPACKED = 8 * 2**30
MOST_RATIO = 100
"""Bytes unpacked a byte packed, over the whole file; pictures are compressed already: honest ones are near 1."""
FREE = 16 * 2**20
"""Bytes unpacked below which the ratio does not matter."""


def find_in_zip(file: Path) -> Found:
    """Every picture in the zip `file`, by the alphabet; its first folders are classes.

    Raises:
        DataError: it is no zip, holds no picture, or more, larger or more tightly packed ones than are read.
    """
    if not file.is_file():
        raise DataError(STEP, f"there is no file {file}", "Give a zip file of pictures, as in data.source=zip:FILE")
    try:
        archive = zipfile.ZipFile(file)
        members = [member for member in archive.infolist() if member.filename and not member.is_dir()]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(STEP, f"{file} cannot be read as zip: {error}", "Give a whole zip file") from error
    _check(file, members)
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for member in sorted(members, key=lambda each: each.filename):
        name = member.filename.encode("utf-8", "backslashreplace").decode()
        if not is_picture(name):
            continue
        reason = _reason(member, name)
        if reason:
            skipped.append(Skipped(name, reason))
        else:
            entries.append(Entry(name, partial(_read, archive, member, name)))
    if not entries:
        raise DataError(STEP, f"{file} holds no pictures that can be used", "Put PNG or JPEG files into it")
    return sorted_out(entries, str(file), skipped)


def _check(file: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if len(members) > MOST_ENTRIES:
        raise DataError(STEP, f"{file} holds {len(members):,} files, more than {MOST_ENTRIES:,}", "Split it")
    if unpacked > MOST_UNPACKED:
        raise DataError(STEP, f"{file} unpacks to more than {MOST_UNPACKED // 2**30} GiB", "Split it")
    if unpacked > FREE and unpacked > MOST_RATIO * max(packed, 1):
        cause = f"{file} unpacks to more than {MOST_RATIO} times its size, as a trap would"
        raise DataError(STEP, cause, "Give the pictures as a folder")


def _reason(member: zipfile.ZipInfo, name: str) -> str:
    if member.flag_bits & 0x1:
        return "it is encrypted"
    if member.file_size > MOST_BYTES:
        return f"it is larger than {MOST_BYTES // 2**20} MiB"
    return "its name leads out of the archive" if name.startswith("/") or ".." in name.split("/") else ""


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    """At most what the directory says; the checksum is checked at the end. Raises ImageError."""
    try:
        with archive.open(member) as file:
            return file.read(member.file_size + 1)
    except Exception as error:  # zipfile and its decompressors raise errors of many kinds on damaged bytes
        said = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ImageError("reading a picture", f"{name} cannot be unpacked: {said}", "Make the zip anew") from error
