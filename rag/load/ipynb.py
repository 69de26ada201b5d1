"""Jupyter notebooks (nbformat 3 and 4) as Markdown: text cells as written, code in fences, its text output short."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rag.errors import DamagedDocument
from rag.load.formats import Parsed
from rag.load.markdown import title_of
from rag.load.text import decode

OUTPUT_LINES, OUTPUT_CHARACTERS = 30, 2000
"""Of a cell's output so much is kept: it is evidence, and seldom read to its end."""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAME = re.compile(r"[\w+#.-]{1,30}")


def parse(data: bytes) -> Parsed:
    """The cells in order. Pictures, HTML output and widgets are left out; nothing is run.

    Raises:
        DamagedDocument: it is no notebook.
    """
    try:
        notebook = json.loads(decode(data))
    except ValueError as error:
        raise DamagedDocument("loading", f"it is no JSON ({error})", "Save the notebook again") from error
    if not isinstance(notebook, dict):
        raise DamagedDocument("loading", "it is no notebook", "Save the notebook again")
    language = _language(notebook)
    text = "\n\n".join(part for cell in _cells(notebook) for part in _parts(cell, language) if part.strip())
    return Parsed((text + "\n",), title_of(text), {"language": language})


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells of nbformat 4, or of the worksheets of nbformat 3."""
    holders = [notebook, *_list(notebook.get("worksheets"))]
    for holder in holders:
        if isinstance(holder, dict):
            yield from (cell for cell in _list(holder.get("cells")) if isinstance(cell, dict))


def _parts(cell: dict[str, Any], language: str) -> Iterator[str]:
    kind, source = cell.get("cell_type"), _text(cell.get("source", cell.get("input")))
    if kind == "code":
        if source.strip():
            yield _fenced(source.strip("\n"), language)
        for output in _list(cell.get("outputs")):
            if isinstance(output, dict) and (shown := _shortened(_output(output))):
                yield _fenced(shown, "")
    elif kind == "heading":
        level = cell.get("level")
        yield f"{'#' * min(max(level if isinstance(level, int) else 1, 1), 6)} {source.strip()}"
    else:
        yield source.strip("\n")


def _output(output: dict[str, Any]) -> str:
    """What one output says as plain text: a stream, a value, or an error's name and message."""
    if output.get("ename"):
        return f"{output['ename']}: {_text(output.get('evalue'))}"
    values = output.get("data", output)
    plain = values.get("text/plain", values.get("text")) if isinstance(values, dict) else None
    return _text(plain if plain is not None else output.get("text"))


def _shortened(text: str) -> str:
    lines = _ANSI.sub("", text).strip("\n").split("\n")
    kept = "\n".join(lines[:OUTPUT_LINES])[:OUTPUT_CHARACTERS]
    is_whole = len(lines) <= OUTPUT_LINES and len(kept) < OUTPUT_CHARACTERS
    return kept if is_whole or not kept.strip() else f"{kept}\n…"


def _fenced(text: str, language: str) -> str:
    runs = [len(run) for run in re.findall(r"`{3,}", text)]
    fence = "`" * max([3, *(run + 1 for run in runs)])
    return f"{fence}{language}\n{text}\n{fence}"


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for holder, key in (("language_info", "name"), ("kernelspec", "language")):
        told = metadata.get(holder) if isinstance(metadata, dict) else None
        name = told.get(key) if isinstance(told, dict) else None
        if isinstance(name, str) and _NAME.fullmatch(name):
            return name.lower()
    return "python"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Text in a notebook is a string or a list of lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""
