"""Tables of reStructuredText as Markdown's, each line in its place: grids of `+---+` and columns under `====`."""

from __future__ import annotations

import re

_GRID = re.compile(r"[ \t]*\+(?:[-=]+\+)+[ \t]*$")
_SIMPLE = re.compile(r"[ \t]*=+(?:[ \t]+=+)+[ \t]*$")
_RULE = re.compile(r"[ \t]*[-=]+(?:[ \t]+[-=]+)*[ \t]*$")
LONGEST = 2000
"""Lines of a table without grid; its end is looked for no further."""


def without_grid(lines: list[str]) -> list[str]:
    """The lines with tables rewritten, as many as before. The rules above and below a table become blank lines."""
    result = list(lines)
    at = 0
    while at < len(result):
        end = at
        if _GRID.match(result[at]):
            end = next(
                (i for i in range(at, len(result)) if not result[i].lstrip().startswith(("+", "|"))), len(result)
            )
            result[at:end] = [_rule(line.count("+") - 1) if _GRID.match(line) else line for line in result[at:end]]
        elif _SIMPLE.match(result[at]) and (end := _simple_end(result, at)) > at:
            columns = [match.span() for match in re.finditer(r"=+", result[at])]
            result[at:end] = [_row(line, columns) for line in result[at:end]]
        if end > at:
            result[at] = ""
            result[end - 1] = result[end - 1] if end - 1 == at or "---" not in result[end - 1] else ""
        at = max(end, at + 1)
    return result


def _rule(columns: int) -> str:
    return "|" + " --- |" * columns


def _simple_end(lines: list[str], at: int) -> int:
    """The line after the table: its second rule (a table without header) or its third."""
    rules = [i for i in range(at, min(len(lines), at + LONGEST)) if _SIMPLE.match(lines[i])]
    blank_after = [i for i in rules[1:] if i + 1 >= len(lines) or not lines[i + 1].strip()]
    return blank_after[0] + 1 if blank_after else at


def _row(line: str, columns: list[tuple[int, int]]) -> str:
    if _RULE.match(line):
        return _rule(len(columns))
    starts = [start for start, _ in columns]
    ends = [*starts[1:], max(len(line), starts[-1])]
    cells = [line[start:end].strip().replace("|", "\\|") for start, end in zip(starts, ends, strict=True)]
    return "| " + " | ".join(cells) + " |"
