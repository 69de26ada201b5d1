"""Results of an evaluation, one JSON object a line, written as they come so that an interrupted run can go on.

Knows no kind of row: whoever evaluates says how one is read back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from decoder.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STEP = "reading results"


class ResultsFailed(ServiceError):
    """Results cannot be written."""


@dataclass(frozen=True, slots=True)
class EvalProgress:
    """How far an evaluation is: `done` of `total` questions."""

    step: Literal["asking"]
    done: int
    total: int


class Keyed(Protocol):
    """A row of results: a dataclass with a key, figures and times."""

    @property
    def key(self) -> str:
        """A hash of everything that the result depends on."""

    @property
    def id(self) -> str:
        """Which question it is of."""

    @property
    def error(self) -> str:
        """Why there is no answer; empty when there is one."""

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Figures by name; None where a question has no such figure."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds by what took them."""


R = TypeVar("R", bound=Keyed)
Sink: TypeAlias = Callable[[R], None]
"""Takes rows as they come."""


def key_of(*parts: Any) -> str:
    """A hash of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


@contextmanager
def results_file(
    path: Path | None, row: Callable[..., R], resume: bool = False
) -> Iterator[tuple[dict[str, R], Sink[R]]]:
    """The rows that `path` already holds, by key, and a function that adds one; without a path, nothing is kept.

    Each row is in the file before its function returns. A last line that an interrupted run left half written is cut
    off. Of rows with one key the last counts.

    Args:
        row: the dataclass of a row, made from an object's fields; TypeError and ValueError say that it is none.

    Raises:
        UsageError: there are results and `resume` is false, or they cannot be read.
        ResultsFailed: they cannot be written.
    """
    if path is None:
        yield {}, lambda row: None
        return
    known = _existing(path, row, resume)
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise _failed(path, error) from error
    with file:
        yield known, partial(_append, file, path)


def _append(file: FileIO, path: Path, row: DataclassInstance) -> None:
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


def _existing(path: Path, row: Callable[..., R], resume: bool) -> dict[str, R]:
    try:
        data = path.read_bytes() if path.is_file() or not path.exists() else b""  # a device holds no results
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(STEP, f"{path} cannot be read: {error.strerror or error}", "Give another file") from error
    if data and not resume:
        raise UsageError(STEP, f"{path} already holds results", "Add --resume to go on with them, or give another file")
    whole = data[: data.rfind(b"\n") + 1]
    rows = [_parse(line, number, path, row) for number, line in enumerate(whole.splitlines(), start=1)]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return {row.key: row for row in rows}


def _parse(line: bytes, number: int, path: Path, kind: Callable[..., R]) -> R:
    try:
        row = kind(**json.loads(line))
        figures = (*row.metrics.values(), *row.timings.values())
        if not all(v is None or (type(v) in (int, float) and math.isfinite(v)) for v in figures):
            raise ValueError("a metric is no number")
        if not isinstance(row.key, str) or not isinstance(row.id, str) or not isinstance(row.error, str):
            raise TypeError("a name is no text")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        cause = f"line {number} of {path} is no result of this command"
        raise UsageError(STEP, cause, "Give another file for the results") from error
    return row
