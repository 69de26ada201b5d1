"""HTML to Markdown: beautifulsoup4 and markdownify; scripts, styles and navigation stay out, nothing is fetched.

Chosen by mean word recall over 31 pages with expected Markdown: 1.00 (0.996) with these two, 0.92 with trafilatura.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from rag.load.formats import Parsed
from rag.load.properties import properties
from rag.load.text import MARKS

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

BOILERPLATE = "script, style, noscript, template, nav, iframe, object, embed, svg, canvas, dialog, [hidden]"
BOILERPLATE_ROLES = "[role=navigation], [role=search], [role=banner], [role=contentinfo], a.headerlink, a.anchor"
MAIN = "main, [role=main]"
MAIN_WORDS = 50
"""A page's <main> stands for the page when it has so many words."""
SPAN = 50
"""A merged cell is repeated at most so often, whatever its attributes claim."""
_MANY_BLANKS = re.compile(r"\n{3,}")


def parse(data: bytes) -> Parsed:
    """The page's main text as Markdown. The encoding is the mark's, the declared one, else the likeliest."""
    from bs4 import BeautifulSoup

    encoding = next((name for mark, name in MARKS if data.startswith(mark)), None)
    soup = BeautifulSoup(data, "lxml", from_encoding=encoding)
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    if not title and (heading := soup.find("h1")):
        title = heading.get_text(" ", strip=True)
    metadata = properties((str(each.get("name", "")).lower(), str(each.get("content", ""))) for each in soup("meta"))
    if soup.head:
        soup.head.decompose()
    for element in soup.select(f"{BOILERPLATE}, {BOILERPLATE_ROLES}"):
        element.decompose()
    return Parsed((markdown_of(_main(soup)),), title, metadata)


def _main(soup: BeautifulSoup) -> BeautifulSoup | Tag:
    main = soup.select_one(MAIN)
    return main if main and len(main.get_text(" ").split()) >= MAIN_WORDS else soup


def markdown_of(element: BeautifulSoup | Tag) -> str:
    """An element as Markdown: ATX headings, fenced code, merged cells repeated, links of the web kept."""
    from markdownify import MarkdownConverter

    class Converter(MarkdownConverter):
        def convert_a(self, el: Tag, text: str, parent_tags: Any) -> str:
            is_web = str(el.get("href", "")).startswith(("http://", "https://", "mailto:"))
            kept: str = super().convert_a(el, text, parent_tags) if is_web else text  # type: ignore[misc]  # made at run time
            return kept

        def convert_img(self, el: Tag, text: str, parent_tags: Any) -> str:
            return str(el.get("alt") or "")

    for table in element.find_all("table"):
        _spread_merged_cells(table)
    converter = Converter(
        heading_style="ATX",
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        table_infer_header=True,
        code_language_callback=_language,
    )
    return _MANY_BLANKS.sub("\n\n", str(converter.convert_soup(element))).strip("\n") + "\n"


def _language(pre: Tag) -> str:
    """The language of a code block, from a class such as "language-python" on it or on its <code>."""
    for element in (pre, pre.find("code")):
        for name in (element.get("class") or ()) if element else ():
            if name.startswith(("language-", "lang-")):
                return str(name.partition("-")[2])
    return ""


def _spread_merged_cells(table: Tag) -> None:
    """Repeat a merged cell in each place that it covers, so that every row can be read by itself."""
    hanging: dict[int, tuple[int, Tag]] = {}  # column: rows still covered, and the cell
    for row in table.find_all("tr"):
        if row.find_parent("table") is not table:
            continue
        cells = row.find_all(["td", "th"], recursive=False)
        placed: list[Tag] = []
        while cells or len(placed) in hanging:
            if len(placed) in hanging:
                rows, cell = hanging.pop(len(placed))
                if rows > 1:
                    hanging[len(placed)] = (rows - 1, cell)
                placed.append(copy.copy(cell))
                continue
            cell = cells.pop(0)
            across, down = _span(cell, "colspan"), _span(cell, "rowspan")
            for nth in range(across):
                if down > 1:
                    hanging[len(placed)] = (down - 1, cell)
                placed.append(cell if nth == 0 else copy.copy(cell))
        row.clear()
        row.extend(placed)


def _span(cell: Tag, name: str) -> int:
    value = str(cell.attrs.pop(name, 1))
    return min(max(int(value), 1), SPAN) if value.isdecimal() else 1
