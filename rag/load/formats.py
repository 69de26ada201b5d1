"""Which formats are read, by file name and by first bytes. Imports no parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

from rag.errors import DamagedDocument, EncryptedDocument, UnsupportedFormat
from rag.load.charset import unmarked_wide
from rag.load.languages import FILE_NAMES, LANGUAGES
from rag.types import Metadata

HEAD = 4096
"""Bytes of a file that are enough to know its format."""
_ZIP, _OLE, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-"


@dataclass(frozen=True, slots=True)
class Format:
    """One format: `rag.load.<name>` holds its parser, a function `parse(data: bytes) -> Parsed`.

    Attributes:
        imports: libraries that the parser loads, imported before its memory is measured.
        paged: its pages are places that a citation names: the pages of a PDF, the slides of a deck.
        zipped: a zip archive of XML parts (Office Open XML, OpenDocument, EPUB).
        magic: what its files begin with (one of these), where they are binary and not `zipped`.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    imports: tuple[str, ...] = ()
    paged: bool = False
    zipped: bool = False
    magic: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser makes of a file.

    Attributes:
        pages: its text, one page for unpaged formats.
        title: its own title, empty where it has none.
        metadata: what it says of itself beside, such as author and created.
    """

    pages: tuple[str, ...]
    title: str = ""
    metadata: Metadata = field(default_factory=dict)


TEXT = Format("text", "text/plain", (".txt", ".text", ".adoc", ".org"), ("charset_normalizer",))
MARKDOWN = Format("markdown", "text/markdown", (".md", ".markdown", ".mdown", ".mkd"), ("charset_normalizer",))
HTML = Format("html", "text/html", (".html", ".htm", ".xhtml"), ("bs4", "lxml.etree", "markdownify"))
PDF = Format("pdf", "application/pdf", (".pdf",), ("pypdfium2",), paged=True)
DOCX = Format(
    "docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    (".docx",),
    ("mammoth", "bs4", "lxml.etree", "markdownify"),
    zipped=True,
)
PPTX = Format(
    "pptx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    (".pptx", ".pptm", ".ppsx"),
    ("lxml.etree",),
    paged=True,
    zipped=True,
)
XLSX = Format(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    (".xlsx", ".xlsm"),
    ("lxml.etree",),
    zipped=True,
)
ODT = Format("odt", "application/vnd.oasis.opendocument.text", (".odt",), ("lxml.etree",), zipped=True)
ODS = Format("ods", "application/vnd.oasis.opendocument.spreadsheet", (".ods",), ("lxml.etree",), zipped=True)
ODP = Format(
    "odp", "application/vnd.oasis.opendocument.presentation", (".odp",), ("lxml.etree",), paged=True, zipped=True
)
EPUB = Format("epub", "application/epub+zip", (".epub",), ("bs4", "lxml.etree", "markdownify"), zipped=True)
CSV = Format("csv", "text/csv", (".csv", ".tsv", ".tab"), ("charset_normalizer",))
JSON = Format("json", "application/json", (".json",), ("charset_normalizer",))
JSONL = Format("jsonl", "application/jsonl", (".jsonl", ".ndjson"), ("charset_normalizer",))
XML = Format("xml", "application/xml", (".xml", ".rss", ".atom"), ("charset_normalizer", "lxml.etree"))
OFFICE = (PPTX, XLSX, ODT, ODS, ODP, EPUB, CSV, JSON, JSONL, XML)
RST = Format("rst", "text/prs.fallenstein.rst", (".rst", ".rest"), ("charset_normalizer",))
EML = Format("mail", "message/rfc822", (".eml",), ("bs4", "lxml.etree", "markdownify", "charset_normalizer"))
MBOX = Format("mbox", "application/mbox", (".mbox", ".mbx"), EML.imports)
MSG = Format("msg", "application/vnd.ms-outlook", (".msg",), ("olefile", *EML.imports), magic=(_OLE,))
NOTEBOOK = Format("ipynb", "application/x-ipynb+json", (".ipynb",), ("charset_normalizer",))
SUBRIP = Format("subtitles", "application/x-subrip", (".srt",), ("charset_normalizer",))
WEBVTT = Format("subtitles", "text/vtt", (".vtt",), ("charset_normalizer",))
ZIP = Format("zip", "application/zip", (".zip",), magic=(_ZIP, b"PK\x05\x06"))
MHTML = Format("mail", "multipart/related", (".mhtml", ".mht"), EML.imports)
_PILLOW = ("PIL.Image", "PIL.ImageOps")
_PICTURE = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"RIFF", b"BM")
PNG = Format("image", "image/png", (".png",), _PILLOW, magic=_PICTURE)  # pictures are often misnamed for each other
JPEG = Format("image", "image/jpeg", (".jpg", ".jpeg"), _PILLOW, magic=_PICTURE)
TIFF = Format("image", "image/tiff", (".tif", ".tiff"), _PILLOW, paged=True, magic=_PICTURE)
WEBP = Format("image", "image/webp", (".webp",), _PILLOW, magic=_PICTURE)
BMP = Format("image", "image/bmp", (".bmp",), _PILLOW, magic=_PICTURE)
IMAGES = (PNG, JPEG, TIFF, WEBP, BMP)
"""Pictures have no text but what OCR reads."""
CODE = {
    language: Format("code", f"text/x-{language}", suffixes, ("charset_normalizer",))
    for language, suffixes in LANGUAGES.items()
}
MORE = (RST, EML, MHTML, MBOX, MSG, NOTEBOOK, SUBRIP, WEBVTT, ZIP, *IMAGES, *CODE.values())
FORMATS = (TEXT, MARKDOWN, HTML, PDF, DOCX, *OFFICE, *MORE)
BY_SUFFIX = {suffix: each for each in FORMATS for suffix in each.suffixes}
BY_FILE_NAME = {name: CODE[language] for name, language in FILE_NAMES.items()}
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def supported(path: PurePath) -> bool:
    """Whether the name alone says that a parser reads this file."""
    return _named(path) is not None


def is_picture(path: PurePath) -> bool:
    """Whether the name says that it is a picture, which only OCR can read."""
    return _named(path) in IMAGES


def _named(path: PurePath) -> Format | None:
    return BY_FILE_NAME.get(path.name.lower()) or BY_SUFFIX.get(path.suffix.lower())


def identify(path: PurePath, data: bytes, step: str, source: str) -> Format:
    """The format of a file, from its suffix, or from its first bytes where the suffix says nothing.

    Raises:
        UnsupportedFormat: no parser reads it.
        DamagedDocument: its first bytes are not what its suffix promises.
        EncryptedDocument: an Office file behind a password.
    """
    head = data[:HEAD]
    named = _named(path)
    if named is None:
        return _by_magic(path, head, step, source)
    if named is PDF and _PDF not in head[:1024]:
        raise DamagedDocument(step, "it does not begin as a PDF does", "Export it again", source)
    if named.zipped and not head.startswith(_ZIP):
        if head.startswith(_OLE) and "EncryptedPackage".encode("utf-16-le") in data:
            raise EncryptedDocument(step, "it needs a password", "Save a copy without one", source)
        raise DamagedDocument(step, f"it does not begin as {_a(named)} does", "Save it again", source)
    if named.magic and not head.startswith(named.magic):
        kind = path.suffix[1:].upper()
        raise DamagedDocument(step, f"it does not begin as {kind} does", "Check its file name", source)
    if named is not PDF and not named.zipped and not named.magic and _is_binary(head):
        raise DamagedDocument(step, f"it is binary, not {named.name}", "Check its file name", source)
    return named


def _a(named: Format) -> str:
    """A format's name with its article, as it is spoken: "an XLSX", "a DOCX"."""
    return f"{'an' if named.name[0] in 'oex' else 'a'} {named.name.upper()}"


def _by_magic(path: PurePath, head: bytes, step: str, source: str) -> Format:
    if head.startswith(_PDF):
        return PDF
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return HTML
    if not path.suffix and head and not _is_binary(head):
        return TEXT
    kind = path.suffix or "a file of this kind"
    known = " ".join(sorted({suffix for each in FORMATS if each.name != "code" for suffix in each.suffixes}))
    raise UnsupportedFormat(step, f"{kind} is not read", f"Formats that are: {known}, and source code", source)


def _is_binary(head: bytes) -> bool:
    """A NUL says so, unless the text is UTF-16 or UTF-32 (by its mark, or by where its NULs are)."""
    if b"\0" not in head or head.startswith(_UTF_16_OR_32):
        return False
    return unmarked_wide(head[: len(head) // 4 * 4]) is None
