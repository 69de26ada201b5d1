"""What ODT, ODS and ODP share: the package, its properties, and the styles that say what a paragraph or a list is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag.errors import DamagedDocument, EncryptedDocument
from rag.load.package import Package
from rag.load.properties import NAMES, line_of, properties
from rag.load.safe_xml import attribute, local
from rag.types import Metadata

MANIFEST = "META-INF/manifest.xml"
OF_OFFICE = {**NAMES, "date": "modified"}
"""OpenDocument's plain date is the day of the last change."""
HEADINGS = {"title": 1, "subtitle": 2, **{f"heading_20_{level}": level for level in range(1, 7)}}
"""Styles of LibreOffice and of Word's export that make a paragraph a heading, with its level."""


@dataclass(frozen=True, slots=True)
class Styles:
    """What the styles of a document say.

    Attributes:
        parents: the parent of each paragraph style; a name without one is a style that people choose.
        numbered: list styles and the levels of them that count, as (name, level).
        hidden: styles of sheets that are not shown.
    """

    parents: dict[str, str]
    numbered: frozenset[tuple[str, int]]
    hidden: frozenset[str]

    def heading_level(self, style: str) -> int:
        """The level of heading that a paragraph style means, 0 for none."""
        for _ in range(10):
            if level := HEADINGS.get(style.lower()):
                return level
            style = self.parents.get(style, "")
        return 0


def open_odf(data: bytes) -> Package:
    """The package; raises EncryptedDocument when its parts are, DamagedDocument when it is none."""
    archive = Package(data)
    encrypted = "encrypted-package" in archive
    if MANIFEST in archive and not encrypted:
        encrypted = next(archive.xml(MANIFEST).iter("{*}encryption-data"), None) is not None
    if encrypted:
        raise EncryptedDocument("loading", "it needs a password", "Save a copy without one")
    return archive


def body_of(content: Any, kind: str) -> Any:
    """The element `kind` ("text", "spreadsheet" or "presentation") that holds the document."""
    found = content.find("{*}body/{*}" + kind)
    if found is None:
        raise DamagedDocument("loading", f"it holds no {kind}", "Check its file name")
    return found


def styles_of(archive: Package, content: Any) -> Styles:
    """The styles of the document and of its own parts."""
    parents: dict[str, str] = {}
    numbered, hidden = set(), set()
    for root in (archive.xml("styles.xml"), content) if "styles.xml" in archive else (content,):
        for style in root.iter("{*}style"):
            name = attribute(style, "name")
            parents[name] = attribute(style, "parent-style-name")
            shown = style.find("{*}table-properties")
            if shown is not None and attribute(shown, "display") == "false":
                hidden.add(name)
        for style in root.iter("{*}list-style"):
            for level in style.iterfind("{*}list-level-style-number"):
                if attribute(level, "num-format"):
                    numbered.add((attribute(style, "name"), count_of(level, "level")))
    return Styles(parents, frozenset(numbered), frozenset(hidden))


def odf_properties(archive: Package) -> tuple[str, Metadata]:
    """The title, empty where there is none, and the other properties; a broken part has none."""
    try:
        holder = archive.xml("meta.xml").find("{*}meta") if "meta.xml" in archive else None
    except DamagedDocument:
        holder = None
    if holder is None:
        return "", {}
    pairs = [(local(each), each.text or "") for each in holder]
    pairs.sort(key=lambda pair: pair[0] == "creator")  # that is who saved it last; the first author counts
    return next((line_of(text) for name, text in pairs if name == "title"), ""), properties(pairs, OF_OFFICE)


def count_of(element: Any, name: str) -> int:
    """A number of columns, rows, blanks or levels; 1 where it is missing or absurd."""
    return count(attribute(element, name, "1"))


def count(value: str) -> int:
    """The number that an attribute holds; 1 when it is absurd."""
    return max(int(value), 1) if value.isdecimal() and len(value) < 9 else 1
