"""EPUB to Markdown: the chapters in reading order, each as an HTML page is read; nothing runs or is fetched."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from rag.errors import DamagedDocument, EncryptedDocument
from rag.load import html
from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.package import Package
from rag.load.properties import NAMES, line_of, properties
from rag.load.safe_xml import attribute, local, parse_xml

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
OF_BOOKS = {**NAMES, "subject": "keywords"}
"""A book has many subjects."""
PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


def parse(data: bytes) -> Parsed:
    """The book as Markdown. A chapter without a heading gets the one that the table of contents gives it."""
    archive = Package(data)
    package = _package(archive)
    root = parse_xml(archive.read(package), bare_doctype=True)
    chapters = list(_spine(root, posixpath.dirname(package)))
    _refuse_encrypted(archive, chapters)
    names = _contents(archive, root, posixpath.dirname(package))
    budget = Budget()
    texts = []
    for chapter in chapters:
        text = html.parse(archive.read(chapter)).pages[0].strip("\n") if chapter in archive else ""
        if text.strip():
            named = names.get(chapter, "")
            texts.append(text if not named or _has_heading(text) else f"## {named}\n\n{text}")
            budget.spend(len(texts[-1]))
    about = root.find("{*}metadata")
    pairs = [] if about is None else [(local(each), "".join(each.itertext())) for each in about.iter("{*}*")]
    title = next((line_of(text) for name, text in pairs if name == "title"), "")
    return Parsed(("\n\n".join(texts) + "\n",), title, properties(pairs, OF_BOOKS))


def _has_heading(text: str) -> bool:
    return any(line.startswith("#") for line in text.split("\n", 20)[:20])


def _package(archive: Package) -> str:
    """The name of the package document, as the container says."""
    for file in archive.xml(CONTAINER).iter("{*}rootfile"):
        if (name := attribute(file, "full-path")) in archive:
            return name
    raise DamagedDocument("loading", "it names no package document", "Export it again")


def _spine(root: Any, folder: str) -> Iterator[str]:
    """The parts with text in reading order, each once."""
    items = {item.get("id", ""): item for item in root.iter("{*}item")}
    seen = set()
    for reference in root.iter("{*}itemref"):
        item = items.get(reference.get("idref", ""))
        if item is None or item.get("media-type", "") not in PAGES or "nav" in item.get("properties", "").split():
            continue
        name = _join(folder, item.get("href", ""))
        if name not in seen:
            seen.add(name)
            yield name


def _join(folder: str, reference: str) -> str:
    """The part that a reference names, without its fragment; it never leads out of the archive."""
    return posixpath.normpath(posixpath.join("/", folder, unquote(reference.partition("#")[0]))).lstrip("/")


def _refuse_encrypted(archive: Package, chapters: list[str]) -> None:
    """Fonts may be scrambled, which is no password; chapters that are encrypted need a key that we have not."""
    if ENCRYPTION not in archive:
        return
    encrypted = {_join("", attribute(each, "URI")) for each in archive.xml(ENCRYPTION).iter("{*}CipherReference")}
    if encrypted.intersection(chapters):
        raise EncryptedDocument("loading", "its chapters are encrypted (DRM)", "Get a copy without DRM")


def _contents(archive: Package, root: Any, folder: str) -> dict[str, str]:
    """The names of chapters by part, from the table of contents of EPUB 3 or of EPUB 2."""
    names: dict[str, str] = {}
    for item in root.iter("{*}item"):
        is_nav = "nav" in item.get("properties", "").split()
        listed = _join(folder, item.get("href", ""))
        if listed not in archive or not (is_nav or item.get("media-type") == "application/x-dtbncx+xml"):
            continue
        try:
            points = parse_xml(archive.read(listed), bare_doctype=True).iter("{*}a" if is_nav else "{*}navPoint")
        except DamagedDocument:
            continue  # the book can be read without it
        for point in points:
            label, target = (point, point) if is_nav else (point.find("{*}navLabel"), point.find("{*}content"))
            if label is not None and target is not None:
                reference = target.get("href" if is_nav else "src", "")
                names.setdefault(_join(posixpath.dirname(listed), reference), line_of(" ".join(label.itertext())))
    return names
