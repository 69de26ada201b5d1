"""XML that comes from anywhere: no document type, so no entities; no network; depth and text nodes bounded.

libxml2 itself refuses more than 256 levels and text nodes of more than 10 MB, as long as `huge_tree` stays off.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from rag.errors import DamagedDocument

SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


class _Prolog(Exception):
    """The root element begins: there is no document type before it."""


def parse_xml(content: bytes, bare_doctype: bool = False) -> Any:
    """The root element, without comments and processing instructions; raises DamagedDocument.

    Args:
        content: the bytes of an XML document.
        bare_doctype: a document type that only names a DTD, which is never read, is let through.
    """
    from lxml import etree  # type: ignore[import-untyped]

    refuse_doctype(content, bare_doctype)
    try:
        return etree.fromstring(content, etree.XMLParser(**SAFE))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _damaged(str(error)) from error


def iterate_xml(content: bytes, *names: str) -> Iterator[Any]:
    """Each element of these local names when it is complete, and then forgotten: for parts too large for a tree."""
    from lxml import etree

    refuse_doctype(content)
    try:
        tags = ["{*}" + name for name in names]
        for _, element in etree.iterparse(io.BytesIO(content), events=("end",), tag=tags, **SAFE):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _damaged(str(error)) from error


def refuse_doctype(content: bytes, bare_doctype: bool = False) -> None:
    """Entities, which may expand without end or name files, stand only in a document type.

    Reads no further than the first element's name.

    Raises:
        DamagedDocument: there is a document type, or no element at all.
    """

    def refuse(_name: str, _system: str | None, _public: str | None, defines: int) -> None:
        if defines or not bare_doctype:
            raise DamagedDocument("loading", "its XML declares a document type", "Save it without one")

    def stop(*_: object) -> None:
        raise _Prolog

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        parser.Parse(content, True)
    except _Prolog:
        return
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise _damaged(str(error)) from error


def local(element: Any) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: Any, name: str, default: str = "") -> str:
    """An attribute by its local name, whatever its namespace."""
    value = element.get(name)
    if value is None:
        value = next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), default)
    return str(value)


def attributes(element: Any) -> dict[str, str]:
    """All attributes by their local names: for elements of which several are asked."""
    return {key.rpartition("}")[2]: value for key, value in element.attrib.items()}


def _damaged(cause: str) -> DamagedDocument:
    return DamagedDocument("loading", f"its XML is broken: {' '.join(cause.split())[:200]}", "Save it again")
