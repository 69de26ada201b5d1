"""The charts of PPTX and XLSX as text: their titles, and the values that they show as a table."""

from __future__ import annotations

from typing import Any

from rag.load.budget import Budget
from rag.load.package import Package
from rag.load.tables import pipe_table


def chart_markdown(archive: Package, part: str, budget: Budget) -> str:
    """The title, and a table with a row for each category and a column for each series, from the values saved in it."""
    root = archive.xml(part)
    title = root.find("{*}chart/{*}title")  # axes have titles of their own
    heading = "" if title is None else _written(title)
    series = list(root.iter("{*}ser"))
    categories: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for each in series:
        categories = categories or _points(each, "cat", "xVal")
        columns.append(_points(each, "val", "yVal"))
    rows = sorted(set(categories).union(*columns))
    names = ["", *(_name(each) for each in series)]
    body = ([categories.get(row, ""), *(column.get(row, "") for column in columns)] for row in rows)
    table = pipe_table([names, *body], budget) if rows else ""
    return "\n\n".join(part for part in (heading, table) if part)


def _written(title: Any) -> str:
    """A title's own words, or those of the cell that it is taken from."""
    return " ".join("".join(node.text or "" for node in title.iter("{*}t", "{*}v")).split())


def _name(series: Any) -> str:
    named = series.find("{*}tx")
    return "" if named is None else " ".join(node.text or "" for node in named.iter("{*}v"))


def _points(series: Any, *names: str) -> dict[int, str]:
    """The saved values below the first of these elements, by their index."""
    for name in names:
        if (holder := series.find("{*}" + name)) is not None:
            found: dict[int, str] = {}
            for point in holder.iter("{*}pt"):
                index, value = point.get("idx", ""), point.find("{*}v")
                if index.isdecimal() and len(index) < 9 and value is not None:
                    found.setdefault(int(index), value.text or "")
            return found
    return {}
