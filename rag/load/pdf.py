"""PDF by page, with pypdfium2 (BSD-3-Clause and Apache-2.0): scripts and forms are never started."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.errors import DamagedDocument, EncryptedDocument
from rag.load.formats import Parsed

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument  # type: ignore[import-untyped]

_HYPHEN_AT_LINE_END = re.compile("[\ufffe\x02](?:\r?\n)?")
_PASSWORD, _SECURITY = 4, 5
"""FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of pdfium's fpdfview.h."""


def parse(data: bytes) -> Parsed:
    """The text of every page, in order; a page without text is an empty string."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        with PdfDocument(data) as document:
            pages = tuple(_page_text(document, number) for number in range(len(document)))
            return Parsed(pages, str(document.get_metadata_value("Title")).strip())
    except PdfiumError as error:
        if getattr(error, "err_code", None) in (_PASSWORD, _SECURITY):
            raise EncryptedDocument("loading", "it needs a password", "Save a copy without one") from error
        raise DamagedDocument(
            "loading", f"pdfium cannot read it: {str(error).rstrip('.')}", "Export it again"
        ) from error


def _page_text(document: PdfDocument, number: int) -> str:
    page = document[number]
    textpage = page.get_textpage()
    text = str(textpage.get_text_bounded())
    textpage.close()
    page.close()
    text = _HYPHEN_AT_LINE_END.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
