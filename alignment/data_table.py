"""Rows as a table of the datasets library, which TRL's trainers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A `datasets.Dataset` that gives the rows back as they are, with None for a field that a row lacks.

    `Dataset.from_list` would take the columns of the first row alone, and give every call of a tool the arguments of
    all others, as None: fields whose keys differ from row to row are kept as JSON instead.
    """
    from datasets import Dataset  # type: ignore[import-untyped]

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Dataset.from_dict(columns, on_mixed_types="use_json")
