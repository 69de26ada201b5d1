"""What a stage is taught on: read, checked row by row, cleared of duplicates and of evaluation questions, split.

data = load_data(DataSection(train="pairs.jsonl", eval_fraction=0.1), "dpo")
data.train[0]["chosen"], data.report.dropped
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from alignment.data_contamination import read_questions, shared_words
from alignment.data_formats import Row
from alignment.data_part import Part, read_part
from alignment.data_report import STEP, DataReport, Dropped
from alignment.data_split import content_hash, is_held_out, rows_hash
from alignment.data_stages import TAKES, for_stage, note_of
from alignment.errors import DataError
from alignment.sections import DataSection


@dataclass(frozen=True, slots=True)
class Data:
    """Rows in one of TRL's formats, and what became of those that were read.

    Attributes:
        train, eval: the rows; `eval` is empty when none were asked for.
        format: of them, as `data_formats` names it.
    """

    train: list[Row]
    eval: list[Row]
    format: str
    report: DataReport


def load_data(section: DataSection, stage: str) -> Data:
    """Read a recipe's data for a stage.

    Raises:
        DataError: a source cannot be read, a row cannot be used (its index and field are the error's `row` and
            `field`) and `skip_bad` is false, the rows are not for this stage, or none is left.
    """
    if not 0 <= section.eval_fraction < 1:
        raise DataError(STEP, f"data.eval_fraction is {section.eval_fraction}", "Give a number from 0 to below 1")
    if section.max_rows < 0:
        raise DataError(STEP, f"data.max_rows is {section.max_rows}", "Give a number of rows, or 0 for all")
    if not section.train:
        raise DataError(STEP, "data.train is empty", "Name a file, hub:NAME or example:NAME")
    kinds: dict[str, str] = {}
    train = read_part(section, section.train, stage, "train", kinds)
    held = read_part(section, section.eval, stage, "eval", kinds) if section.eval else None
    if held is not None and held.format != train.format:
        cause = f"{section.eval} holds {held.format} rows, and {section.train} {train.format} rows"
        raise DataError(STEP, cause, "Give both in one format")
    unique, duplicates = _without_duplicates(section, train, held)
    clean, matches = _without_questions(section, unique)
    _refuse_empty(section.train, train, duplicates, matches, len(clean))
    sides = _split(section, clean, held)
    return _finish(section, stage, train, held, sides, (duplicates, matches))


def drop_long(
    rows: Iterable[Row], length: Callable[[Row], int], limit: int, part: str = "train"
) -> tuple[list[Row], tuple[Dropped, ...]]:
    """The rows of at most `limit` tokens, and the others, listed by their places among `rows`.

    Args:
        length: of a row in tokens.
        part: "train" or "eval", for the list.
    """
    kept, dropped = [], []
    for index, row in enumerate(rows):
        tokens = length(row)
        if tokens <= limit:
            kept.append(row)
        else:
            dropped.append(Dropped(index, "", f"it has {tokens} tokens, and {limit} are allowed", part=part))
    return kept, tuple(dropped)


def _without_duplicates(section: DataSection, train: Part, held: Part | None) -> tuple[list[tuple[Dropped, Row]], int]:
    """Training rows that no earlier one and none of the evaluation source repeats."""
    if not section.deduplicate:
        return train.rows, 0
    seen = {content_hash(row) for _, row in held.rows} if held else set()
    unique = []
    for place, row in train.rows:
        digest = content_hash(row)
        if digest not in seen:
            seen.add(digest)
            unique.append((place, row))
    return unique, len(train.rows) - len(unique)


def _without_questions(
    section: DataSection, rows: Sequence[tuple[Dropped, Row]]
) -> tuple[list[tuple[Dropped, Row]], tuple[Dropped, ...]]:
    if not section.contamination:
        return list(rows), ()
    questions = read_questions(section.contamination)
    clean, matches = [], []
    for place, row in rows:
        shared = shared_words(row, questions)
        if shared:
            matches.append(replace(place, reason=f"it holds an evaluation question: {shared[:200]}"))
        else:
            clean.append((place, row))
    return clean, tuple(matches)


def _refuse_empty(source: str, train: Part, duplicates: int, matches: Sequence[Dropped], left: int) -> None:
    if left:
        return
    first = train.dropped[0] if train.dropped else matches[0] if matches else "none"
    cause = (
        f"of {train.read} rows of {source} none is left: {len(train.dropped)} cannot be used, {duplicates} are "
        f"duplicates, {len(matches)} hold evaluation questions; the first: {first}"
    )
    raise DataError(STEP, cause, "Mend the rows, or give others")


def _split(section: DataSection, rows: Sequence[tuple[Dropped, Row]], held: Part | None) -> tuple[list[Row], list[Row]]:
    if held is not None:
        if not held.rows:
            raise DataError(STEP, f"no row of {section.eval} can be used", "Mend its rows, or leave data.eval out")
        return [row for _, row in rows], [row for _, row in held.rows]
    if not section.eval_fraction:
        return [row for _, row in rows], []
    sides: tuple[list[Row], list[Row]] = ([], [])
    for _, row in rows:
        sides[is_held_out(row, section.eval_fraction, section.seed)].append(row)
    if not all(sides):
        cause = f"data.eval_fraction {section.eval_fraction} of {len(rows)} rows leaves one side empty"
        remedy = "Rows are held out by the hash of their prompts: give more rows, another data.seed, or data.eval"
        raise DataError(STEP, cause, remedy)
    return sides


def _finish(
    section: DataSection,
    stage: str,
    train: Part,
    held: Part | None,
    sides: tuple[list[Row], list[Row]],
    left_out: tuple[int, tuple[Dropped, ...]],
) -> Data:
    duplicates, matches = left_out
    made = [for_stage(side, stage, train.format) for side in sides]
    kept = train.read - len(train.dropped) - duplicates - len(matches)
    report = DataReport(
        rows=train.read,
        kept=kept,
        dropped=train.dropped + (held.dropped if held else ()),
        duplicates=duplicates,
        contaminated=len(matches),
        train_rows=len(made[0]),
        eval_rows=len(made[1]),
        seed=section.seed,
        sha256=rows_hash(made[0]),
        eval_sha256=rows_hash(made[1]),
        source=section.train,
        matches=matches,
        notes=_notes(section, stage, train, made[0]),
    )
    return Data(made[0], made[1], TAKES[stage][train.format], report)


def _notes(section: DataSection, stage: str, train: Part, rows: Sequence[Row]) -> tuple[str, ...]:
    notes = [note_of(stage, train.format)]
    spoken = rows[0].get("messages") or rows[0].get("prompt")
    if section.system and not isinstance(spoken, list):
        notes.append("data.system was not used: plain texts have no place for it")
    return tuple(note for note in notes if note)
