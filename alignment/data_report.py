"""What became of the rows of a data set: how many were read and kept, and which were not, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from alignment.errors import DataError

STEP = "reading the data"
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that is not trained on.

    Attributes:
        index: its place, from 0.
        field: the field at fault; empty when it is the whole row.
        reason: as in "it is empty".
        line: of the file, from 1; 0 where it is not known.
        part: "train" or "eval", the source that it stands in.
    """

    index: int
    field: str
    reason: str
    line: int = 0
    part: str = "train"

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line else ""
        return f"row {self.index}{line}{', ' if self.field else ''}{self.field}: {self.reason}"


@dataclass(frozen=True, slots=True)
class DataReport:
    """What was read. `rows` = `kept` + those of `dropped` in the training source + `duplicates` + `contaminated`.

    Attributes:
        rows: read from the training source.
        kept: of them, on both sides of the split, before a stage made pairs or votes of them.
        dropped: those that cannot be used, of the evaluation source as well.
        duplicates: left out because an earlier row, or one of the evaluation source, says the same.
        contaminated: left out because a question of the contamination file stands in them.
        train_rows, eval_rows: what is trained and evaluated on.
        seed: of the split.
        sha256, eval_sha256: of the rows as they are trained and evaluated on, in their order, in hexadecimal.
        source: as the recipe names it.
        matches: the contaminated rows, each with the words that it shares.
        notes: what was done to the rows beyond reading them.
    """

    rows: int
    kept: int
    dropped: tuple[Dropped, ...]
    duplicates: int
    contaminated: int
    train_rows: int
    eval_rows: int
    seed: int
    sha256: str
    eval_sha256: str
    source: str
    matches: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As data for run.json; of long lists the first 200, beside their full count."""
        said = {name: getattr(self, name) for name in self.__slots__ if name not in ("dropped", "matches")}
        said["notes"] = list(self.notes)
        said["dropped"] = len(self.dropped)
        said["dropped_rows"] = [asdict(row) for row in self.dropped[:MOST_LISTED]]
        said["contaminated_rows"] = [asdict(row) for row in self.matches[:MOST_LISTED]]
        return said


class BadField(Exception):
    """A field of the row at hand cannot be used; whoever knows the row's place makes a Dropped or a DataError of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason


def row_error(source: str, row: Dropped, others: int = 0) -> DataError:
    """The error that names a row, and how many others are as bad."""
    more = f"; {others} more cannot be used" if others else ""
    remedy = "Mend it, or set data.skip_bad=true to list such rows and go on without them"
    error = DataError(STEP, f"{source}, {row}{more}", remedy)
    error.row, error.field = row.index, row.field
    return error
