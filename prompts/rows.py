"""Data sets as JSON lines, read strictly: what cannot be used is an error that names its line and field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from decoder.errors import UsageError

LONGEST_LINE = 1 << 20


class BadRow(UsageError):
    """A row that cannot be used.

    Attributes:
        line: its number, from 1.
        field: the field at fault; empty when it is the whole row.
    """

    reading: ClassVar[str] = "reading data"

    def __init__(self, line: int, field: str, reason: str, remedy: str = "") -> None:
        self.line, self.field, self.reason = line, field, reason
        place = f"line {line}, {field}" if field else f"line {line}"
        super().__init__(f"{self.reading}, {place}", reason, remedy)

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str, str]]:
        return type(self), (self.line, self.field, self.reason, self.remedy)


def lines(path: Path, step: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers; of one too long, its beginning.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number in range(1, 1 << 62):
                line = file.readline(LONGEST_LINE + 1)
                if not line:
                    return
                if line.strip():
                    yield number, line
                while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_LINE + 1)
    except OSError as error:
        cause = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(step, cause, "Give a file of JSON lines") from error


def parse_object(line: bytes, number: int, bad: type[BadRow], example: str) -> dict[str, Any]:
    """The object in one line; raises `bad`, with an `example` of what to write, when it is none."""
    if len(line) > LONGEST_LINE:
        raise bad(number, "", f"it is longer than {LONGEST_LINE} bytes")
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise bad(number, "", "it is not UTF-8", "Save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "") or "too deep"
        raise bad(number, "", f"it is not JSON ({reason})", "Write one JSON object a line") from error
    if not isinstance(row, dict):
        raise bad(number, "", "it is not a JSON object", f"Write {example}")
    return row
