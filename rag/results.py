"""Results of an evaluation, one JSON object a line, written as they come so that an interrupted run can go on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from decoder.errors import ServiceError, UsageError

STEP = "reading results"


class ResultsFailed(ServiceError):
    """Results cannot be written."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one question under one setting.

    Attributes:
        key: a hash of everything that the result depends on: question, setting, index, model.
        by: what was judged: passages, sources, answers, or nothing.
        wanted, ranks: each thing wanted and where it stood, None when it was not found.
        hits: the passages found: source, start, end and score.
        citations: of the answer, each with `right`.
        metrics: by name; None where a question has no such figure.
        timings: seconds: search (a search alone) and answer (an answer, its search included).
        error: why there is no answer; empty when there is one.
    """

    key: str
    setting: str
    options: Mapping[str, Any]
    id: str
    question: str
    by: str = ""
    wanted: Sequence[str] = ()
    ranks: Sequence[int | None] = ()
    hits: Sequence[Mapping[str, Any]] = ()
    answer: str = ""
    refused: bool = False
    generated: bool = False
    confidence: float = 0.0
    citations: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


def key_of(*parts: Any) -> str:
    """A hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Sink(Protocol):
    """Takes rows as they come."""

    def __call__(self, row: Row, /) -> None:
        """Keep one."""


@contextmanager
def results_file(path: Path | None, resume: bool = False) -> Iterator[tuple[dict[str, Row], Sink]]:
    """The rows that `path` already holds, by key, and a function that adds one; without a path, nothing is kept.

    Each row is in the file before the next question is asked. A last line that an interrupted run left
    half written is cut off.

    Raises:
        UsageError: there are results and `resume` is false, or they cannot be read.
        ResultsFailed: they cannot be written.
    """
    if path is None:
        yield {}, lambda row: None
        return
    known = _existing(path, resume)
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise _failed(path, error) from error
    with file:
        yield known, partial(_append, file, path)


def _append(file: FileIO, path: Path, row: Row) -> None:
    """Write one line whole; what a full disk leaves of it is cut off by whoever goes on."""
    rest = json.dumps(asdict(row)).encode("ascii") + b"\n"
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> ResultsFailed:
    remedy = "Give another file, or free some space, and go on with --resume"
    return ResultsFailed("writing results", f"{path}: {error.strerror or error}", remedy)


def _existing(path: Path, resume: bool) -> dict[str, Row]:
    try:
        data = path.read_bytes() if path.is_file() or not path.exists() else b""  # a device holds no results
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(STEP, f"{path} cannot be read: {error.strerror or error}", "Give another file") from error
    if data and not resume:
        raise UsageError(STEP, f"{path} already holds results", "Add --resume to go on with them, or give another file")
    whole = data[: data.rfind(b"\n") + 1]
    rows = [_parse(line, number, path) for number, line in enumerate(whole.splitlines(), start=1)]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return {row.key: row for row in rows}


def _parse(line: bytes, number: int, path: Path) -> Row:
    try:
        row = Row(**json.loads(line))
        figures = (*row.metrics.values(), *row.timings.values())
        if not all(v is None or (type(v) in (int, float) and math.isfinite(v)) for v in figures):
            raise ValueError("a metric is no number")
        if not isinstance(row.key, str) or not isinstance(row.id, str) or not isinstance(row.error, str):
            raise TypeError("a name is no text")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        cause = f"line {number} of {path} is no result of this command"
        raise UsageError(STEP, cause, "Give another file for the results") from error
    return row
