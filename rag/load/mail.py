"""E-mail (RFC 5322, MIME, and MHTML) with the standard library: a head, the body, and the attachments that are read.

An HTML body goes through the HTML parser, an attachment through the parser of its format, all in this process and
under the limits of the one file. Pictures and archives among the attachments are named, not read.
"""

from __future__ import annotations

import email
import email.policy
import importlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import parsedate_to_datetime
from pathlib import PurePath
from typing import cast

from rag.errors import DamagedDocument, DocumentError, UnsupportedFormat
from rag.load.formats import EML, IMAGES, ZIP, Parsed, identify
from rag.load.html import parse as parse_html
from rag.load.text import decode
from rag.types import Value

ATTACHMENTS = 50
"""Read of one message."""
DEPTH = 3
"""Messages in messages are read so many levels deep."""
ATTACHMENT_BYTES = 32 << 20
PARTS = 2000
_NOT_READ = (*IMAGES, ZIP)
_HEADER_FAULTS = (ValueError, LookupError, AttributeError, TypeError, AssertionError, MessageError)
"""What the standard library raises on malformed headers, where it should not."""
_HEADING = re.compile(r"^(#{1,5})(?= )", re.MULTILINE)
_HEAD = ("from", "to", "cc", "date")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of any format, before it is put into words.

    Attributes:
        headers: subject, from, to, cc and date (ISO 8601 where it is one), as far as there are any.
        body: Markdown or plain text.
    """

    headers: dict[str, str]
    body: str
    attachments: tuple[Attachment, ...] = ()


def parse(data: bytes) -> Parsed:
    """The message under its subject, then each attachment under its name; headers are metadata too.

    Raises:
        DamagedDocument: it has no header.
    """
    return worded(read(data))


def worded(letter: Letter) -> Parsed:
    """A letter as a document; raises DamagedDocument when there is nothing in it."""
    if not letter.headers and not letter.body.strip() and not letter.attachments:
        raise DamagedDocument("loading", "it holds no message", "Check its file name")
    text, names = written(letter)
    metadata: dict[str, Value | tuple[str, ...]] = {**letter.headers}
    if names:
        metadata["attachments"] = tuple(names)
    return Parsed((text,), letter.headers.get("subject", ""), metadata)


def read(data: bytes) -> Letter:
    """The message in `data`, as far as it can be made out."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    headers = {name: value for name in ("subject", *_HEAD) if (value := header(message, name))}
    if "date" in headers:
        headers["date"] = _iso(headers["date"])
    plain, html, attachments = "", "", []
    for part in _leaves(message):
        kind, name = part.get_content_type(), _file_name(part)
        is_attached = bool(name) or kind == "message/rfc822" or part.get_content_disposition() == "attachment"
        if is_attached:
            fallback = "message.eml" if kind == "message/rfc822" else "attachment"
            attachments.append(Attachment(name or fallback, _bytes(part)))
        elif kind == "text/plain":
            plain += _text(part) + "\n"
        elif kind == "text/html" and not html:
            html = _as_markdown(part)
    return Letter(headers, body_of(plain, html), tuple(attachments))


def written(letter: Letter, depth: int = 0) -> tuple[str, list[str]]:
    """The letter as Markdown, and the names of all its attachments, read or not."""
    subject = letter.headers.get("subject", "")
    head = [f"{name.capitalize()}: {letter.headers[name]}" for name in _HEAD if name in letter.headers]
    parts = [f"# {subject}" if subject else "", "\n".join(head), letter.body.strip("\n")]
    for attachment in letter.attachments[:ATTACHMENTS]:
        if text := _attached(attachment, depth):
            parts += [f"## Attachment: {attachment.name}", text]
    return "\n\n".join(part for part in parts if part) + "\n", [each.name for each in letter.attachments]


def header(message: EmailMessage, name: str) -> str:
    """A header's value on one line, decoded; as it stands where it is malformed; empty when there is none."""
    try:
        value = str(message.get(name, ""))
    except _HEADER_FAULTS:
        value = next((str(raw) for key, raw in message.raw_items() if key.lower() == name), "")
        with suppress(*_HEADER_FAULTS):  # then it stays as it stands
            value = str(make_header(decode_header(value)))
    return " ".join(value.encode("utf-8", "ignore").decode().split())[:1000]


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """The parts without parts of their own, in order; a message in the message counts as one."""
    waiting = [message]
    for _ in range(PARTS):
        if not waiting:
            return
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting.extend(reversed(cast("list[EmailMessage]", part.get_payload())))
        else:
            yield part


def _file_name(part: EmailMessage) -> str:
    try:
        name = part.get_filename() or ""
    except _HEADER_FAULTS:
        name = "attachment"
    return PurePath(" ".join(name.replace("\\", "/").split())).name[:200]


def _bytes(part: EmailMessage) -> bytes:
    if part.is_multipart():  # a message in the message
        inner = part.get_payload()
        return inner[0].as_bytes() if isinstance(inner, list) and inner and isinstance(inner[0], Message) else b""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage) -> str:
    """The text in its declared character set, else in the likeliest."""
    data = _bytes(part)
    try:
        text = data.decode(part.get_content_charset() or "ascii")
    except (*_HEADER_FAULTS, UnicodeError):
        text = decode(data)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _as_markdown(part: EmailMessage) -> str:
    return parse_html(b"\xef\xbb\xbf" + _text(part).encode("utf-8", "replace")).pages[0]


def body_of(plain: str, html: str) -> str:
    """The plain text, unless it is a remnant such as "your program shows no HTML"; headings one level lower."""
    if len(plain.split()) * 3 >= len(html.split()) and plain.strip():
        return plain
    return _HEADING.sub(r"#\1", html)


def _iso(date: str) -> str:
    try:
        return parsedate_to_datetime(date).isoformat()
    except _HEADER_FAULTS:
        return date


def _attached(attachment: Attachment, depth: int) -> str:
    """The text of an attachment; empty when it is not read: its kind, its size, what is wrong with it."""
    if len(attachment.data) > ATTACHMENT_BYTES:
        return ""
    try:
        kind = identify(PurePath(attachment.name), attachment.data, "loading", attachment.name)
        if kind in _NOT_READ:
            return ""
        if kind is EML:
            return _HEADING.sub(r"#\1", written(read(attachment.data), depth + 1)[0]) if depth < DEPTH else ""
        if kind.name in ("mbox", "msg") and depth:
            return ""
        pages = importlib.import_module(f"rag.load.{kind.name}").parse(attachment.data).pages
    except (UnsupportedFormat, DocumentError):
        return ""
    text = "\n\n".join(pages).strip("\n")
    return _fenced(text, kind.media_type) if kind.name == "code" else _HEADING.sub(r"#\1", text)


def _fenced(text: str, media_type: str) -> str:
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    return f"{fence}{media_type.removeprefix('text/x-')}\n{text}\n{fence}"
