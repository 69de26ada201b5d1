"""Data sets of the alignment page: files under home()/datasets, named by us, read and checked by alignment's reader."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.data import Data, load_data
from alignment.data_formats import recognise
from alignment.data_report import Dropped
from alignment.data_sources import EXAMPLES, read_source
from alignment.errors import DataError
from alignment.sections import DataSection
from decoder.errors import ServiceError, UsageError
from decoder.settings import home
from ui.browser.settings import ui_settings

if TYPE_CHECKING:
    from alignment.feedback_events import Where
    from alignment.feedback_export import ExportReport

ENDINGS = (".jsonl", ".json", ".csv", ".parquet")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
MOST = 500
LOOKED_AT = 100
MOST_LISTED, SHOWN = 200, 3
STEP = "keeping a data set"
STAGES = {
    "messages": "sft",
    "prompt_completion": "sft",
    "preference": "dpo",
    "ranking": "reward",
    "kto": "kto",
    "prompt": "grpo",
    "text": "pretrain",
}
"""Of each format, the stage that takes such rows as they are; the first choice for training, too."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A file with rows.

    Attributes:
        name: for people, and unique; an example that ships is called `example:NAME`.
        source: what a recipe calls it.
        size: bytes.
        made: seconds since 1970; 0 of an example.
    """

    name: str
    source: str
    size: int
    made: float

    @property
    def example(self) -> bool:
        """It ships."""
        return self.source.startswith("example:")


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a data set's rows, of bounded size however many there are.

    Attributes:
        format: of the rows as they are trained on.
        rows, kept, bad, duplicates: how many were read, can be used, cannot, and say the same as another.
        bad_rows: the first of those that cannot, with line, field and reason.
        first: the first rows that can.
        to_train: rows that training would see.
    """

    format: str
    rows: int
    kept: int
    bad: int
    bad_rows: tuple[Dropped, ...]
    duplicates: int
    notes: tuple[str, ...]
    first: tuple[dict[str, Any], ...]
    to_train: int


def datasets_folder() -> Path:
    """Where they are kept."""
    return home() / "datasets"


def own() -> list[DataSet]:
    """Those that were made or brought here, the newest first."""
    try:
        files = [file for file in datasets_folder().iterdir() if NAME.fullmatch(file.stem) and file.suffix in ENDINGS]
    except FileNotFoundError:
        return []
    found = [DataSet(file.name, str(file), file.stat().st_size, file.stat().st_mtime) for file in files]
    return sorted(found, key=lambda each: -each.made)


def examples() -> list[DataSet]:
    """Those that ship."""
    files = sorted(EXAMPLES.glob("*.jsonl"))
    return [DataSet(f"example:{file.stem}", f"example:{file.stem}", file.stat().st_size, 0.0) for file in files]


def every() -> list[DataSet]:
    """Own ones, then examples."""
    return [*own(), *examples()]


def find(name: str) -> DataSet:
    """The one of this name. Raises UsageError."""
    found = next((each for each in every() if each.name == name), None)
    if found is None:
        raise UsageError("looking for a data set", f"there is no data set {name}", "It may have been removed")
    return found


def clean_stem(given: str) -> str:
    """A name for a file out of whatever a person or a file's own name says; `data` where nothing is left."""
    stem = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:48].strip("-")
    return stem or "data"


def free_path(given: str, ending: str) -> Path:
    """A place for a new one, numbered where the name is taken. Raises ServiceError, UsageError."""
    folder, stem = datasets_folder(), clean_stem(given)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServiceError(STEP, str(error), "Free some space, or mend HEARTH_HOME") from error
    taken = {file.stem for file in folder.iterdir()}
    if len(taken) >= MOST:
        raise UsageError(STEP, f"there are {MOST} already", "Remove some first")
    numbered = (stem if n == 1 else f"{stem}-{n}" for n in range(1, MOST + 2))
    return folder / f"{next(each for each in numbered if each not in taken)}{ending}"


def keep(name: str, content: bytes) -> DataSet:
    """Keep a file that somebody brought, under a name of ours. Raises UsageError, ServiceError."""
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(STEP, "it is of no kind that is read", f"Bring a file that ends in {', '.join(ENDINGS)}")
    most = ui_settings().max_upload_mb
    if len(content) > most << 20:
        raise UsageError(STEP, f"it is larger than {most} MB", "Split it, or raise [ui] max_upload_mb")
    path = free_path(Path(name).stem, ending)
    _write(path, content)
    return find(path.name)


def remove(name: str) -> None:
    """Delete one of the own. Raises UsageError for an example, or none."""
    found = find(name)
    if found.example:
        raise UsageError("removing a data set", "it ships with Hearth", "Leave it")
    Path(found.source).unlink(missing_ok=True)


def from_feedback(to: str, name: str, where: Where, passages: bool) -> tuple[DataSet, ExportReport]:
    """Rows out of feedback. Raises FeedbackError when none comes of it, ServiceError."""
    from alignment.feedback import Feedback

    path = free_path(name, ".jsonl")
    report = Feedback().export(to, path, where, passages=passages)
    return find(path.name), report


def format_of(source: str) -> str:
    """The format of its first rows, as alignment names it; empty when it is none. Raises DataError."""
    rows = [raw.row for raw in read_source(source, LOOKED_AT)]
    return recognise([row for row in rows if row is not None])


def check(source: str, stage: str = "", fraction: float = 0.0, seed: int = 0) -> Data:
    """Its rows as a stage would train on them; bad ones are listed in its report. Raises DataError."""
    form = format_of(source)
    if not stage and form not in STAGES:
        stage = "sft"  # whose refusal names the fields that there are and those that are known
    section = DataSection(train=source, eval_fraction=fraction, seed=seed, skip_bad=True)
    return load_data(section, stage or STAGES[form])


def checked(source: str) -> Checked:
    """What a page shows of a check. Raises DataError."""
    data = check(source)
    report = data.report
    return Checked(
        format=data.format,
        rows=report.rows,
        kept=report.kept,
        bad=len(report.dropped),
        bad_rows=report.dropped[:MOST_LISTED],
        duplicates=report.duplicates,
        notes=report.notes,
        first=tuple(data.train[:SHOWN]),
        to_train=len(data.train),
    )


def split(name: str, fraction: float, seed: int = 0) -> tuple[DataSet, DataSet]:
    """One to train on and one held out, by alignment's seeded hash of prompts. Raises DataError, ServiceError."""
    found = find(name)
    data = check(found.source, fraction=fraction, seed=seed)
    if not data.eval:
        raise DataError(STEP, "nothing was held out", "Hold out a larger part")
    stem = found.name.removeprefix("example:").partition(".")[0]
    made = []
    for part, rows in (("train", data.train), ("held-out", data.eval)):
        path = free_path(f"{stem}-{part}", ".jsonl")
        _write(path, _lines(rows))
        made.append(find(path.name))
    return made[0], made[1]


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, default=str) + "\n" for row in rows).encode()


def _write(path: Path, content: bytes) -> None:
    opener: Callable[[str, int], int] = lambda file, flags: os.open(file, flags, 0o600)  # noqa: E731
    try:
        with open(path, "xb", opener=opener) as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ServiceError(STEP, error.strerror or str(error), "Free some space") from error
