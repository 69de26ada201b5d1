"""What comes back from a web server: its type, its encoding, and its bytes, unpacked no further than the limit."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from rag.errors import DocumentLimit, FetchFailed, UnsupportedFormat
from rag.load.formats import BY_SUFFIX, FORMATS

ALIASES = {
    "application/xhtml+xml": "text/html",
    "text/x-markdown": "text/markdown",
    "application/x-pdf": "application/pdf",
}
VAGUE = ("", "application/octet-stream", "binary/octet-stream", "application/download", "text/plain")
"""Types that say less than the end of the address does."""
STEP_OUT = 1 << 16
"""Bytes that are unpacked at a time."""

ENCODINGS = re.compile(
    r"(?:iso-?8859-\d{1,2}|latin-?\d|(?:windows-|cp)\d{3,5}|us-ascii|koi8-[rut]|mac[a-z-]{0,12}|shift[_-]?jis|sjis"
    r"|euc-(?:jp|kr|tw)|iso-2022-(?:jp|kr)|gb2312|gbk|gb18030|big5(?:-hkscs)?|tis-620|utf-?(?:16|32)-?(?:le|be)?)"
)
"""What a server may name. Python knows more, some of which take a time that grows with the square of the length."""

_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9][A-Za-z0-9._:+-]{0,39})""", re.I | re.ASCII)


def media_type_of(header: str) -> tuple[str, str]:
    """A Content-Type header as media type and charset, both lower case, empty where it says nothing."""
    kind, _, parameters = header.partition(";")
    found = _CHARSET.search(parameters)
    return kind.strip().lower()[:100], found.group(1).lower() if found else ""


def file_name(url: str, media_type: str, step: str) -> str:
    """A file name whose suffix tells the loader how to read the page.

    Raises:
        UnsupportedFormat: no parser reads this type.
    """
    path = PurePosixPath(unquote(urlsplit(url).path, errors="replace"))
    stem, suffix = path.stem or "index", path.suffix.lower()
    if media_type in VAGUE and suffix in BY_SUFFIX:
        return stem + suffix
    wanted = ALIASES.get(media_type, media_type or "text/html")
    for each in FORMATS:
        if each.media_type == wanted:
            return stem + (suffix if suffix in each.suffixes else each.suffixes[0])
    remedy = f"Types that are: {' '.join(sorted({each.media_type for each in FORMATS}))}"
    raise UnsupportedFormat(step, f"a page of type {media_type} is not read", remedy, url)


def as_utf8(data: bytes, charset: str, media_type: str) -> bytes:
    """Text in the encoding that the server named, as marked UTF-8; anything else as it is."""
    if not ENCODINGS.fullmatch(charset) or not (media_type.startswith("text/") or "xml" in media_type):
        return data
    try:
        text = data.decode(charset)
    except (LookupError, UnicodeError):
        return data  # the parser's own guess is better than a wrong name
    return b"\xef\xbb\xbf" + text.encode("utf-8", "replace")


async def read_body(chunks: AsyncIterator[bytes], encoding: str, most: int, step: str, url: str) -> bytes:
    """The body, unpacked; at most `most` bytes of it, packed or not.

    Raises:
        DocumentLimit: it is larger.
        FetchFailed: it is packed in a way that is not read, or damaged.
    """
    unpack = _Unpacker(encoding, step, url)
    parts: list[bytes] = []
    size = packed = 0
    async for chunk in chunks:
        packed += len(chunk)
        for part in unpack(chunk):
            size += len(part)
            if size > most:
                break
            parts.append(part)
        if max(size, packed) > most:
            raise DocumentLimit(step, f"it is larger than {most} bytes", "Fetch it by other means and split it", url)
    unpack.finish()
    return b"".join(parts)


class _Unpacker:
    """Undoes one Content-Encoding in small steps, so that what is thrown away is never all in memory."""

    def __init__(self, encoding: str, step: str, url: str) -> None:
        self._step, self._url = step, url
        self._inner: zlib._Decompress | None = None
        self._raw_possible = encoding == "deflate"
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inner = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif encoding not in ("", "identity"):
            raise self._failed(f"it is packed as {encoding[:40]!r}, which was not asked for")

    def __call__(self, chunk: bytes) -> Iterable[bytes]:
        if self._inner is None:
            yield chunk
            return
        try:
            yield from self._steps(chunk)
        except zlib.error:
            raise self._failed("its packed content is damaged") from None

    def _steps(self, chunk: bytes) -> Iterable[bytes]:
        assert self._inner is not None  # noqa: S101  # checked above
        try:
            part = self._inner.decompress(chunk, STEP_OUT)
        except zlib.error:
            if not self._raw_possible:
                raise
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" without its zlib header
            part = self._inner.decompress(chunk, STEP_OUT)
        self._raw_possible = False
        while part:
            yield part
            part = self._inner.decompress(self._inner.unconsumed_tail, STEP_OUT)

    def finish(self) -> None:
        """Raises FetchFailed when the packed content was cut off."""
        if self._inner is not None and not self._inner.eof:
            raise self._failed("its packed content is cut off")

    def _failed(self, cause: str) -> FetchFailed:
        return FetchFailed(self._step, cause, "Look at the address in a browser", self._url)


def gunzip(data: bytes, most: int, step: str, url: str) -> bytes:
    """A gzip file's content; raises DocumentLimit beyond `most` bytes, FetchFailed when it is damaged."""
    unpack = _Unpacker("gzip", step, url)
    parts, size = [], 0
    for part in unpack(data):
        size += len(part)
        if size > most:
            raise DocumentLimit(step, f"it unpacks to more than {most} bytes", "Split it", url)
        parts.append(part)
    unpack.finish()
    return b"".join(parts)
