"""PDF by page, with pypdfium2 (BSD-3-Clause and Apache-2.0): scripts and forms are never started."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rag.errors import DamagedDocument, DocumentLimit, EncryptedDocument
from rag.load.formats import Parsed

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage  # type: ignore[import-untyped]

MOST_PAGES = 20_000
_HYPHEN_AT_LINE_END = re.compile("[\ufffe\x02](?:\r?\n)?")
_PASSWORD, _SECURITY = 4, 5
"""FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY of pdfium's fpdfview.h."""


def parse(data: bytes, passwords: Sequence[str] = ()) -> Parsed:
    """The text of every page, in order; a page without text is an empty string."""
    with opened(data, passwords) as document:
        if len(document) > MOST_PAGES:
            raise DocumentLimit("loading", f"it has more than {MOST_PAGES} pages", "Split it")
        pages = tuple(_page_text(document, number) for number in range(len(document)))
        return Parsed(pages, str(document.get_metadata_value("Title")).strip(), _metadata(document))


@contextmanager
def opened(data: bytes, passwords: Sequence[str] = ()) -> Iterator[PdfDocument]:
    """The document, opened without a password or with the first of `passwords` that fits.

    Raises:
        EncryptedDocument: none does. No password is in the message.
        DamagedDocument: pdfium cannot read it, now or in the body of the `with`.
    """
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        for password in (None, *passwords):
            try:
                document = PdfDocument(data, password=password)
                break
            except PdfiumError as error:
                if getattr(error, "err_code", None) not in (_PASSWORD, _SECURITY):
                    raise
        else:
            raise _locked(len(passwords))
        with document:
            yield document
    except PdfiumError as error:
        cause = f"pdfium cannot read it: {str(error).rstrip('.')}"
        raise DamagedDocument("loading", cause, "Export it again") from error


def _locked(tried: int) -> EncryptedDocument:
    remedy = "Set HEARTH_RAG_PDF_PASSWORDS (one password a line), give `password`, or save a copy without one"
    cause = f"it needs a password, and none of the {tried} known opens it" if tried else "it needs a password"
    return EncryptedDocument("loading", cause, remedy)


def page_of(document: PdfDocument, number: int) -> PdfPage:
    """Page `number`, from 1; raises DamagedDocument where there is no such page."""
    if not 1 <= number <= len(document):
        raise DamagedDocument("loading", f"it has no page {number}, but {len(document)}", "Give another page")
    return document[number - 1]


def _metadata(document: PdfDocument) -> dict[str, str]:
    found = {key: str(document.get_metadata_value(key.capitalize())).strip() for key in ("author", "subject")}
    return {key: value for key, value in found.items() if value}


def _page_text(document: PdfDocument, number: int) -> str:
    page = document[number]
    textpage = page.get_textpage()
    text = str(textpage.get_text_bounded())
    textpage.close()
    page.close()
    return cleaned(text)


def cleaned(text: str) -> str:
    r"""A page's text as pdfium has it, with `\n` line ends, words that were cut at a line end joined again."""
    text = _HYPHEN_AT_LINE_END.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
