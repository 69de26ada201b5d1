"""Pages without text: have the child draw them and Tesseract read them, or say what is missing."""

from __future__ import annotations

import time
from dataclasses import replace

from rag.errors import DocumentError, DocumentLimit, NoText
from rag.load import ocr
from rag.load.formats import IMAGES, PDF, Format, Parsed
from rag.load.process import PARSING, Limits, Task
from rag.load.reading import Reading


def with_pictures_read(
    parsed: Parsed, kind: Format, data: bytes, limits: Limits, reading: Reading, step: str, source: str
) -> Parsed:
    """The document with the text of its scanned pages, where they can be read; other formats as they are.

    `metadata["ocr_pages"]` counts the pages whose text was recognised: it may hold the errors of that.

    Raises:
        NoText: there is no text, and none was recognised; it says why.
        DocumentLimit: recognising took more than `limits.recognition` seconds.
        DocumentError: Tesseract failed, or a page cannot be drawn.
    """
    empty = [number for number, page in enumerate(parsed.pages, 1) if not page.strip()]
    if (kind is PDF or kind in IMAGES) and empty and reading.ocr and ocr.available():
        parsed = _recognised(parsed, empty, kind, data, limits, reading, step, source)
    if any(page.strip() for page in parsed.pages):
        return parsed
    raise _nothing(kind, reading, step, source)


def _nothing(kind: Format, reading: Reading, step: str, source: str) -> NoText:
    if kind is not PDF and kind not in IMAGES:
        return NoText(step, "it holds no text", "", source)
    what = "scanned, no text" if kind is PDF else "a picture, no text"
    if not reading.ocr:
        return NoText(step, f"it is {what}, and OCR is off", "Set HEARTH_RAG_OCR=auto", source)
    if not ocr.available():
        remedy = "Install Tesseract (Debian: apt-get install tesseract-ocr), which reads pictures of text (OCR)"
        return NoText(step, f"it is {what}", remedy, source)
    return NoText(step, f"it is {what}: OCR (languages {reading.languages}) found none either", "", source)


def _recognised(
    parsed: Parsed,
    numbers: list[int],
    kind: Format,
    data: bytes,
    limits: Limits,
    reading: Reading,
    step: str,
    source: str,
) -> Parsed:
    pages, read = list(parsed.pages), 0
    end = time.monotonic() + limits.recognition
    for number in numbers:
        left = end - time.monotonic()
        if left <= 0:
            cause = f"recognising its text took more than {limits.recognition:g} seconds"
            raise DocumentLimit(step, cause, "Split it", source)
        picture = _drawn(kind, data, number, limits, reading, step, source)
        if not picture:
            continue
        try:
            pages[number - 1] = ocr.recognise(picture, reading.languages, min(left, ocr.PAGE_SECONDS))
        except DocumentError as error:
            raise type(error)(step, error.cause, error.remedy, source) from error
        read += bool(pages[number - 1])
    return replace(parsed, pages=tuple(pages), metadata={**parsed.metadata, "ocr_pages": read}) if read else parsed


def _drawn(kind: Format, data: bytes, number: int, limits: Limits, reading: Reading, step: str, source: str) -> bytes:
    options = {"page": number, **({"passwords": reading.passwords} if kind is PDF else {})}
    imports = (*kind.imports, "PIL.Image", "PIL.ImageOps")
    task = Task("render" if kind is PDF else "image", "picture", imports, options)
    return PARSING.call(task, data, limits, step, source, ocr.MOST)[1]
