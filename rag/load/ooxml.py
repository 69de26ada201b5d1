"""What DOCX, PPTX and XLSX share: how one part names another, and the properties of the document.

Elements are found by their local names, so that Strict and Transitional files are read alike.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from rag.errors import DamagedDocument
from rag.load.package import Package
from rag.load.properties import line_of, properties
from rag.load.safe_xml import local
from rag.types import Metadata

CORE = "docProps/core.xml"
UNTITLED = frozenset({"powerpoint presentation", "presentation", "untitled", "slide 1", "document"})
"""Titles that programs write when nobody has given one."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What a part refers to.

    Attributes:
        kind: the last word of its type, such as "slide" or "hyperlink".
        target: the name of a part, or, when external, an address, which is never opened.
    """

    kind: str
    target: str
    external: bool


def relations(archive: Package, part: str) -> dict[str, Relation]:
    """The relations of a part by their ids; of the whole package for an empty name."""
    folder, name = posixpath.split(part)
    listed = posixpath.join(folder, "_rels", f"{name}.rels")
    if listed not in archive:
        return {}
    found = {}
    for each in archive.xml(listed):
        target, external = each.get("Target", ""), each.get("TargetMode") == "External"
        if not external:
            target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        found[each.get("Id", "")] = Relation(each.get("Type", "").rpartition("/")[2], target, external)
    return found


def related(archive: Package, part: str, kind: str) -> list[str]:
    """The parts of this archive that a part refers to as `kind`."""
    each = relations(archive, part).values()
    return [one.target for one in each if one.kind == kind and not one.external and one.target in archive]


def main_part(archive: Package, usual: str) -> str:
    """The part where the document begins, as the package says, else where it usually lies."""
    return next(iter(related(archive, "", "officeDocument")), usual)


def comment_line(text: str, author: str, date: str, on: str = "") -> str:
    """A reviewer's comment as one paragraph that says whose it is; empty without text."""
    text, author = " ".join(text.split()), " ".join(author.split())
    said = f"Comment{on and f' on {on}'}{author and f' by {author}'}{date and f' ({date[:10]})'}"
    return f"{said}: {text}" if text else ""


def core_properties(archive: Package) -> tuple[str, Metadata]:
    """The title, empty when a program made it up, and the other properties; a broken part has none."""
    if CORE not in archive:
        return "", {}
    try:
        pairs = [(local(each), each.text or "") for each in archive.xml(CORE)]
    except DamagedDocument:
        return "", {}
    title = next((line_of(text) for name, text in pairs if name == "title"), "")
    return "" if title.lower() in UNTITLED else title, properties(pairs)
