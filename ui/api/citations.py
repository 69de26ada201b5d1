"""An answer's evidence in three forms: a list in the message, OpenAI's annotations, and everything under `hearth`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rag.types import Answer, Citation

SOURCES = "\n\nSources:\n\n"
LONGEST = 200
_MARKER = re.compile(r"\[(\d{1,4})\]")
_PICTURE = re.compile(r"!(?=\[)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|!~])")


def message_text(answer: Answer) -> str:
    """The answer, and the places that it cites.

    Front ends show it as Markdown: a document that holds a picture's address must not make a reader's browser ask
    for it, so that pictures become links.
    """
    text = without_pictures(answer.text)
    if not answer.citations:
        return text
    return text + SOURCES + "\n".join(f"- [{each.marker}] {_plain(each.location)}" for each in answer.citations)


def without_sources(text: str) -> str:
    """An earlier answer as it was before its sources were listed."""
    return text.split(SOURCES, 1)[0]


def without_pictures(text: str) -> str:
    """Markdown's pictures as links, which nobody's browser follows by itself."""
    return _PICTURE.sub("", text)


def annotate(answer: Answer, offset: int = 0) -> list[dict[str, Any]]:
    """One for each marker in the text; places are characters of the message, the end exclusive.

    Args:
        offset: where in the message the answer begins.
    """
    cited = {each.marker: each for each in answer.citations}
    text = without_pictures(answer.text)
    return [
        _annotation(cited[int(match.group(1))], offset + match.start(), offset + match.end())
        for match in _MARKER.finditer(text)
        if int(match.group(1)) in cited
    ]


def evidence(answer: Answer) -> dict[str, Any]:
    """The extension field `hearth`: what was found, how sure it is, and each citation with its words and place."""
    return {
        "refused": answer.refused,
        "confidence": round(answer.confidence, 4),
        "generated": answer.generated,
        "text": answer.text,
        "timings": {step: round(seconds, 4) for step, seconds in answer.timings.items()},
        "citations": [_citation(each) for each in answer.citations],
    }


def _annotation(citation: Citation, start: int, end: int) -> dict[str, Any]:
    place = {"start_index": start, "end_index": end, "quote": citation.quote}
    if citation.source.startswith(("http://", "https://")):
        return {"type": "url_citation", "url_citation": {**place, "url": citation.source, "title": citation.title}}
    file = {**place, "file_id": citation.source, "filename": citation.source.rsplit("/", 1)[-1]}
    return {"type": "file_citation", "file_citation": {**file, "page": citation.page, "location": citation.location}}


def _citation(citation: Citation) -> Mapping[str, Any]:
    names = ("marker", "quote", "source", "title", "location", "page", "line_start", "line_end", "start", "end")
    return {name: getattr(citation, name) for name in names}


def _plain(text: str) -> str:
    """A place as one line that Markdown leaves as it is."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]
    return line if line.startswith(("http://", "https://")) else _MARKDOWN.sub(r"\\\1", line)
