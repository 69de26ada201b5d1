"""Files of rows in text: JSON lines, a JSON array, CSV; plain, or packed by gzip or xz. Everything read is bounded.

A row that cannot be read is given as one, so that it can be listed; a file that cannot be read is a DataError.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from alignment.data_report import STEP
from alignment.errors import DataError

LONGEST_LINE = 16 << 20
"""Bytes of one line of a file, and characters of one CSV cell: a book fits, a bomb does not."""
MOST_BYTES = 2 << 30
"""Bytes of a whole file once it is unpacked; all of its rows are held in memory."""
MOST_ARRAY = 512 << 20
"""The same of a JSON array, whose text is held in memory as well."""
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # as Python's surrogateescape marks bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """A row as it was read.

    Attributes:
        line: where it begins, from 1; 0 where the source has no lines.
        row: its fields; None when it could not be read.
        reason: why it could not.
    """

    line: int
    row: dict[str, Any] | None
    reason: str = ""


class _Bounded(io.RawIOBase):
    """A file that refuses to give more than `MOST_BYTES`, whatever its packing promises."""

    def __init__(self, inner: io.BufferedIOBase | IO[bytes], name: str) -> None:
        self.inner, self.name, self.left = inner, name, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            cause = f"{self.name} holds more than {MOST_BYTES} bytes once unpacked"
            raise DataError(STEP, cause, "Split it, or convert it to Parquet")
        buffer[: len(data)] = data
        return len(data)


def read_text_file(path: Path, kind: str) -> Iterator[Raw]:
    """The rows of a .json, .jsonl, .csv or .tsv file, `kind` being its ending without .gz or .xz.

    Raises:
        DataError: the file cannot be read or unpacked, or is none of its kind.
    """
    try:
        with _open(path) as packed, io.BufferedReader(_Bounded(packed, path.name), 1 << 20) as file:
            yield from _rows(file, path, kind)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        cause = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise DataError(STEP, cause, "Give a whole file of rows") from error


def _open(path: Path) -> io.BufferedIOBase | IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb")


def _rows(file: io.BufferedReader[Any], path: Path, kind: str) -> Iterator[Raw]:
    if kind in (".csv", ".tsv"):
        return _csv_rows(file, path, kind)
    head = file.peek(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == ".json" and head.startswith(b"["):
        return _array_rows(file, path)
    return _json_lines(file)


def _json_lines(file: io.BufferedReader[Any]) -> Iterator[Raw]:
    decoder = _Decoder()
    for number, line in _lines(file):
        if len(line) > LONGEST_LINE:
            yield Raw(number, None, f"the line is longer than {LONGEST_LINE} bytes")
        elif line.strip():
            yield decoder.line(line, number)


def _lines(file: io.BufferedReader[Any]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; of one too long, its beginning."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        yield number, line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE + 1)


class _Decoder:
    """JSON without NaN and Infinity, which are no JSON and would poison what is computed from them."""

    def __init__(self) -> None:
        self.constant = ""
        self.json = json.JSONDecoder(parse_constant=self._constant)

    def _constant(self, name: str) -> float:
        self.constant = name
        return 0.0

    def line(self, line: bytes, number: int) -> Raw:
        """The row in one line."""
        try:
            value = self.json.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            return Raw(number, None, "the line is not UTF-8")
        except (ValueError, RecursionError) as error:
            return Raw(number, None, f"the line is not JSON ({getattr(error, 'msg', '') or 'nested too deep'})")
        return self.raw(value, number)

    def raw(self, value: Any, number: int) -> Raw:
        """A decoded value as a row, where it is one."""
        constant, self.constant = self.constant, ""
        if constant:
            return Raw(number, None, f"{constant} is no JSON")
        if not isinstance(value, dict):
            return Raw(number, None, "it is not a JSON object")
        return Raw(number, value)


def _array_rows(file: io.BufferedReader[Any], path: Path) -> Iterator[Raw]:
    """The items of one JSON array, with the lines that they begin on."""
    data = file.read(MOST_ARRAY + 1)
    if len(data) > MOST_ARRAY:
        raise DataError(STEP, f"{path} is an array of more than {MOST_ARRAY} bytes", "Write one JSON object a line")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(STEP, f"{path} is not UTF-8 (byte {error.start})", "Save it as UTF-8") from error
    decoder, line, seen = _Decoder(), 1, 0
    position = _skip(text, text.index("[") + 1)
    while not text.startswith("]", position):
        line, seen = line + text.count("\n", seen, position), position
        try:
            value, position = decoder.json.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "") or "nested too deep"
            cause = f"{path} is no JSON array: line {getattr(error, 'lineno', line)}: {reason}"
            raise DataError(STEP, cause, "Mend it, or write one JSON object a line") from error
        yield decoder.raw(value, line)
        position = _skip(text, position)
        if text.startswith(",", position):
            position = _skip(text, position + 1)
        elif not text.startswith("]", position):
            line += text.count("\n", seen, position)
            raise DataError(STEP, f"{path} is no JSON array: line {line}: no comma and no ]", "Mend it")


def _skip(text: str, position: int) -> int:
    """The next position that is no white space."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _csv_rows(file: io.BufferedReader[Any], path: Path, kind: str) -> Iterator[Raw]:
    # The limit is the process's; it is only ever raised, as long texts are what such files are for.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    first = text.readline(LONGEST_LINE)
    reader = csv.reader(_chain(first, text), delimiter=_delimiter(first, kind), strict=True)
    header = _header(reader, path)
    line = 1
    while True:
        begins, cells, reason = line + 1, [], ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"it is no CSV ({error})"
        line = reader.line_num
        if cells or reason:
            yield _csv_row(header, cells, begins, reason)


def _csv_row(header: list[str], cells: list[str], line: int, reason: str) -> Raw:
    if not reason and len(cells) != len(header):
        reason = f"it has {len(cells)} cells, and the header {len(header)}"
    if not reason and NOT_UTF8.search("".join(cells)):
        reason = "it is not UTF-8"
    return Raw(line, None, reason) if reason else Raw(line, dict(zip(header, cells, strict=True)))


def _chain(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    yield first
    while line := rest.readline(LONGEST_LINE):
        yield line


def _delimiter(header: str, kind: str) -> str:
    if kind == ".tsv":
        return "\t"
    return "," if "," in header else next((mark for mark in ";\t|" if mark in header), ",")


def _header(reader: Any, path: Path) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(STEP, f"{path} has no header: {error}", "Begin with a line of column names") from error
    if NOT_UTF8.search("".join(header)):
        raise DataError(STEP, f"the header of {path} is not UTF-8", "Save it as UTF-8")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated or not all(header):
        what = f"the column {repeated[0]!r} twice" if repeated and repeated[0] else "a column without a name"
        raise DataError(STEP, f"the header of {path} has {what}", "Name each column once")
    return header
