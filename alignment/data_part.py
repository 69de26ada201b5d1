"""The rows of one source: read, renamed, converted and checked, each that cannot be used with its place and reason."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alignment.data_checks import check, check_alike
from alignment.data_files import Raw
from alignment.data_formats import TOLD_BY, Row, convert, recognise
from alignment.data_report import STEP, BadField, Dropped, row_error
from alignment.data_sources import read_source
from alignment.data_stages import check_takes, read_as
from alignment.errors import DataError
from alignment.sections import DataSection


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of one source.

    Attributes:
        rows: that can be used, with their places.
        dropped: those that cannot.
        format: in which the source holds them.
        read: how many there are.
    """

    rows: list[tuple[Dropped, Row]]
    dropped: tuple[Dropped, ...]
    format: str
    read: int


def read_part(section: DataSection, source: str, stage: str, part: str, kinds: dict[str, str]) -> Part:
    """Read, convert and check the rows of a source.

    Args:
        part: "train" or "eval".
        kinds: of the fields that were read before, to which this source's are added.

    Raises:
        DataError: see `data.load_data`.
    """
    raws = list(read_source(source, section.max_rows if part == "train" else 0))
    _check_columns(raws, section, source)
    rows = [_renamed(raw.row, section) for raw in raws]
    form = _format([row for row in rows if row is not None], raws, section, source)
    check_takes(stage, form, source)
    good: list[tuple[Dropped, Row]] = []
    dropped: list[Dropped] = []
    for index, (raw, row) in enumerate(zip(raws, rows, strict=True)):
        place = Dropped(index, "", raw.reason, raw.line, part)
        try:
            good.append((place, _use(row, read_as(stage, form), section.system, kinds)))
        except BadField as error:
            dropped.append(replace(place, field=error.field, reason=error.reason or raw.reason))
    if dropped and not section.skip_bad:
        raise row_error(source, dropped[0], len(dropped) - 1)
    return Part(good, tuple(dropped), form, len(raws))


def _use(row: Row | None, form: str, system: str, kinds: dict[str, str]) -> Row:
    """The row as it is trained on. Raises BadField."""
    if row is None:
        raise BadField("", "")
    made = _with_system(convert(row, form), system)
    check(made, form)
    check_alike(made, kinds)
    return made


def _format(rows: Sequence[Row], raws: Sequence[Raw], section: DataSection, source: str) -> str:
    if not raws:
        raise DataError(STEP, f"{source} holds no row", "Give a file with rows")
    if not rows:
        cause = f"none of the {len(raws)} rows of {source} can be read; {Dropped(0, '', raws[0].reason, raws[0].line)}"
        raise DataError(STEP, cause, "Give one JSON object a line, a JSON array of objects, or a table with a header")
    form = section.format if section.format != "auto" else recognise(rows)
    if not form:
        names = ", ".join(sorted(map(str, rows[0]))[:12])
        formats = "; ".join(f"{', '.join(fields)} ({name})" for name, fields in TOLD_BY)
        cause = f"the rows of {source} are of no known format; they have the fields {names or 'none'}"
        raise DataError(STEP, cause, f"Rename them with data.columns. Known: {formats}")
    return form


def _renamed(row: Row | None, section: DataSection) -> Row | None:
    """Fields under our names; one that a renamed field takes the name of gives way."""
    if row is None or not section.columns:
        return row
    gone = {*section.columns, *section.columns.values()}
    kept = {name: value for name, value in row.items() if name not in gone}
    return kept | {ours: row[theirs] for ours, theirs in section.columns.items() if theirs in row}


def _check_columns(raws: Sequence[Raw], section: DataSection, source: str) -> None:
    known = {str(name) for raw in raws for name in raw.row or ()}
    for ours, theirs in section.columns.items():
        if not isinstance(theirs, str):
            raise DataError(STEP, f"data.columns.{ours} is {theirs!r}", "Give the name of one column")
        if known and theirs not in known:
            near = difflib.get_close_matches(str(theirs), sorted(known), 1)
            remedy = f"Did you mean {near[0]}?" if near else f"Its columns: {', '.join(sorted(known)[:20])}"
            raise DataError(STEP, f"data.columns.{ours}: {source} has no column {theirs!r}", remedy)


def _with_system(row: Row, system: str) -> Row:
    """The row with the recipe's system message, when it is a conversation that has none."""
    field = "messages" if "messages" in row else "prompt"
    conversation = row.get(field)
    if not system or not isinstance(conversation, list) or not conversation:
        return row
    if conversation[0]["role"] in ("system", "developer"):
        return row
    return {**row, field: [{"role": "system", "content": system}, *conversation]}
