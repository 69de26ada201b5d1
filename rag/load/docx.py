"""DOCX to Markdown: mammoth, then the same Markdown as for HTML; formulas as their plain characters.

Mean word recall over 27 files with expected Markdown: 0.94; mammoth alone, which drops formulas, has 0.93.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any
from xml.parsers import expat

from rag.errors import DamagedDocument, DocumentLimit, EncryptedDocument
from rag.load.formats import Parsed
from rag.load.html import markdown_of

UNPACKED = 128 << 20
"""Most bytes that the XML parts may claim to unpack to: a DOM takes some ten times as much."""
BODY = "word/document.xml"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_STRICT = (
    (b"http://purl.oclc.org/ooxml/wordprocessingml/main", _W[1:-1].encode()),
    (b"http://purl.oclc.org/ooxml/officeDocument/math", _M[1:-1].encode()),
)


def parse(data: bytes) -> Parsed:
    """The document as Markdown. Pictures, linked files and comments are left out; nothing is fetched."""
    import mammoth  # type: ignore[import-untyped]
    from bs4 import BeautifulSoup

    html = mammoth.convert_to_html(io.BytesIO(_checked(data)), convert_image=_no_picture).value
    soup = BeautifulSoup(html, "lxml")
    heading = soup.find(["h1", "h2"])
    return Parsed((markdown_of(soup),), heading.get_text(" ", strip=True) if heading else "")


def _no_picture(image: Any) -> list[Any]:
    """Alternative text alone: the picture itself, which may be a link, is never opened."""
    from mammoth import html

    return [html.text(image.alt_text)] if image.alt_text else []


def _checked(data: bytes) -> bytes:
    """The same archive with sane XML parts and formulas as text; raises DocumentLimit or DamagedDocument."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [part for part in archive.infolist() if part.filename.endswith((".xml", ".rels"))]
        if any(part.flag_bits & 1 for part in archive.infolist()):
            raise EncryptedDocument("loading", "it needs a password", "Save a copy without one")
        if sum(part.file_size for part in parts) > UNPACKED:
            cause = f"it would unpack to more than {UNPACKED >> 20} MiB"
            raise DocumentLimit("loading", cause, "Split the document")
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w") as rewritten:
            for part in parts:
                content = archive.read(part)
                _refuse_doctype(content)
                rewritten.writestr(part.filename, _formulas_as_text(content) if part.filename == BODY else content)
        return output.getvalue()


def _refuse_doctype(content: bytes) -> None:
    """No OOXML part has a DOCTYPE; entities, which may expand without end or name files, stand only in one."""

    def refuse(*_: object) -> None:
        raise DamagedDocument("loading", "an XML part declares a document type", "Save it as .docx again")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)


def _formulas_as_text(content: bytes) -> bytes:
    """Each formula as a run with its characters, which mammoth would drop; Strict names as the usual ones."""
    for strict, usual in _STRICT:
        content = content.replace(strict, usual)
    if _M[1:-1].encode() not in content:
        return content
    from lxml import etree  # type: ignore[import-untyped]

    safe = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(content, safe)
    for formula in list(root.iter(f"{_M}oMath")):
        run = etree.Element(f"{_W}r")
        text = etree.SubElement(run, f"{_W}t")
        text.text = " ".join("".join(node.text or "" for node in formula.iter(f"{_M}t")).split())
        run.tail = formula.tail
        parent = formula.getparent()
        if parent is not None:
            parent.replace(formula, run)
    for paragraph in list(root.iter(f"{_M}oMathPara")):
        _unwrap(paragraph)
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def _unwrap(element: Any) -> None:
    """Put an element's children in its place."""
    parent = element.getparent()
    if parent is None:
        return
    at = parent.index(element)
    for child in reversed(list(element)):
        parent.insert(at, child)
    parent.remove(element)
