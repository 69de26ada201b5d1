"""MBOX: a mailbox of many messages in one file, each under its own subject."""

from __future__ import annotations

import re

from rag.errors import DamagedDocument, DocumentLimit
from rag.load import mail
from rag.load.formats import Parsed

MESSAGES = 20_000
_FROM = re.compile(rb"(?:\A\s*|(?<=\n)(?:\r?\n))From [^\r\n]*\r?\n")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def parse(data: bytes) -> Parsed:
    """All messages in order; of a longer mailbox than MESSAGES nothing.

    Raises:
        DamagedDocument: no line begins with "From " as a message's first does.
        DocumentLimit: it holds too many messages.
    """
    starts = list(_FROM.finditer(data))
    if not starts or starts[0].start() > 0:
        raise DamagedDocument("loading", "it does not begin as a mailbox does", "Export it again")
    if len(starts) > MESSAGES:
        raise DocumentLimit("loading", f"it holds more than {MESSAGES} messages", "Split it")
    ends = [*(following.start() for following in starts[1:]), len(data)]
    letters = [mail.read(_QUOTED.sub(rb"\1", data[a.end() : b])) for a, b in zip(starts, ends, strict=True)]
    texts = [mail.written(_titled(letter, number))[0] for number, letter in enumerate(letters, 1)]
    return Parsed(("\n".join(texts),), "", {"messages": len(letters)})


def _titled(letter: mail.Letter, number: int) -> mail.Letter:
    """With a subject, so that every message has a heading."""
    if letter.headers.get("subject"):
        return letter
    return mail.Letter({"subject": f"Message {number}", **letter.headers}, letter.body, letter.attachments)
