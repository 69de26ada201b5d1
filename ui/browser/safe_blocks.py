"""Markdown read and written anew, block by block. What is written holds nothing that was not understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ui.browser.safe_inline import inline_written
from ui.browser.safe_letters import code_letters

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

HIGHEST_HEADING = 4
"""The highest heading that a text may have; those above belong to the page."""
MOST_CELLS = 10_000
"""Most columns times lines for which tables are read: a row that falls short is filled up."""
_NAMED = (
    "bash c cpp csharp css csv diff dockerfile go graphql haskell html ini java javascript js json jsonl julia kotlin "
    "latex lua makefile markdown md matlab perl php powershell python py r ruby rust scala sh shell sql swift toml ts "
    "typescript xml yaml yml"
)
LANGUAGES = frozenset(_NAMED.split())
"""Those that code is coloured for. Any other is shown as it is; `mermaid` would be drawn."""
_ALIGNMENTS = {"text-align:left": ":---", "text-align:center": ":---:", "text-align:right": "---:"}
_TICKS = re.compile("`+")
Lines = list[str]
References = MutableMapping[str, Any]


def written(text: str) -> str:
    """The text, already clean, as Markdown of our own."""
    from markdown_it.tree import SyntaxTreeNode

    references: References = {}
    tokens = _reader(_tables_are_small(text)).parse(text, references)
    return "\n".join(_blocks(SyntaxTreeNode(tokens).children, references))


@lru_cache(maxsize=2)
def _reader(tables: bool) -> MarkdownIt:
    """A reader of blocks; what stands in them is read by `inline_written`."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False})
    reader.core.ruler.enableOnly(["normalize", "block"])
    return reader.enable("table") if tables else reader


def _tables_are_small(text: str) -> bool:
    lines = text.split("\n")
    return max(line.count("|") for line in lines) * len(lines) <= MOST_CELLS


def _blocks(nodes: Iterable[SyntaxTreeNode], references: References) -> Lines:
    """Blocks one below the other, with an empty line between them except in a tight list."""
    lines: Lines = []
    last, other = "", False
    for node in nodes:
        other = _is_list(node.type) and node.type == last and not other
        block = _block(node, references, other)
        if block:
            tight = _is_list(node.type) and last == "tight"
            lines += ([""] if lines and not tight else []) + block
            last = "tight" if node.type == "paragraph" and node.hidden else node.type
    return lines


def _is_list(kind: str) -> bool:
    return kind in ("bullet_list", "ordered_list")


def _block(node: SyntaxTreeNode, references: References, other: bool) -> Lines:
    if node.type == "paragraph":
        return _paragraph(node, references)
    if node.type == "heading":
        words = _line(node, references)
        return [f"{'#' * min(int(node.tag[1:]) + HIGHEST_HEADING - 1, 6)} {words}"] if words else []
    if node.type in ("fence", "code_block"):
        return _code(node.content, node.info)
    if node.type == "blockquote":
        return [f"> {line}".rstrip(" ") for line in _blocks(node.children, references) or [""]]
    if _is_list(node.type):
        return _list(node, references, other)
    if node.type == "table":
        return _table(node, references)
    return ["***"] if node.type == "hr" else _blocks(node.children, references)


def _paragraph(node: SyntaxTreeNode, references: References) -> Lines:
    lines = (line.strip() for line in "".join(_inline(each, references) for each in node.children).split("\n"))
    return [line for line in lines if line and line != "\\"]


def _line(node: SyntaxTreeNode, references: References, in_table: bool = False) -> str:
    """What a heading or a cell says, on one line."""
    said = "".join(_inline(each, references, in_table) for each in node.children)
    return " ".join(said.replace("\\\n", " ").split())


def _inline(node: SyntaxTreeNode, references: References, in_table: bool = False) -> str:
    return inline_written(node.content, references, in_table=in_table)


def _code(content: str, info: str) -> Lines:
    fence = "`" * max(3, max((len(run) for run in _TICKS.findall(content)), default=0) + 1)
    named = info.split()[0].lower() if info.split() else ""
    return [f"{fence}{named if named in LANGUAGES else ''}", *code_letters(content).rstrip("\n").split("\n"), fence]


def _list(node: SyntaxTreeNode, references: References, other: bool) -> Lines:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    lines: Lines = []
    for count, item in enumerate(node.children):
        marker = (
            ("+" if other else "-") if number is None else f"{min(number + count, 999_999_999)}{')' if other else '.'}"
        )
        block = _blocks(item.children, references) or [""]
        if lines and not _is_tight(node):
            lines.append("")
        lines.append(f"{marker} {block[0]}".rstrip(" "))
        lines += [f"{' ' * (len(marker) + 1)}{line}".rstrip(" ") for line in block[1:]]
    return lines


def _is_tight(node: SyntaxTreeNode) -> bool:
    paragraphs = [each for item in node.children for each in item.children if each.type == "paragraph"]
    return all(each.hidden for each in paragraphs)


def _table(node: SyntaxTreeNode, references: References) -> Lines:
    rows = [row.children for part in node.children for row in part.children]
    lines = [_row(_line(cell, references, in_table=True) for cell in row) for row in rows]
    alignments = (_ALIGNMENTS.get(str(cell.attrs.get("style", "")), "---") for cell in rows[0])
    return [lines[0], _row(alignments), *lines[1:]]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
