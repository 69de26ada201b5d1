"""Subtitles (SubRip and WebVTT) as paragraphs that can be read, each after the time at which it begins."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag.errors import DamagedDocument
from rag.load.formats import Parsed
from rag.load.text import decode

PAUSE = 4.0
"""Seconds of silence that end a paragraph."""
LONG = 600
"""A paragraph of so many characters ends with its sentence, one of twice as many in any case."""
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^<>]{1,100})>")
_TAG = re.compile(r"</?[A-Za-z0-9][^<>\n]{0,200}>|\{\\[^{}\n]{0,100}\}")
_SOUND = re.compile(r"\[[^\[\]\n]{0,200}\]|[\u266a\u266b#]+(?=\s|$)")
_SOUND_ALONE = re.compile(r"-?\s*\([^()\n]{0,200}\)")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")
_SKIPPED_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)\b")
_TITLE = re.compile(r"\ufeff?WEBVTT[ \t]*-?[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: seconds from the beginning, and its lines joined."""

    start: float
    end: float
    text: str


def parse(data: bytes) -> Parsed:
    """The spoken text. Markup and descriptions of sounds (`[door closes]`) stay out; `<v Ann>` becomes `Ann:`.

    Raises:
        DamagedDocument: there is no time code in it.
    """
    text = decode(data)
    cues = list(_cues(text))
    if not cues and text.strip():
        raise DamagedDocument("loading", "it holds no subtitles", "Check its file name")
    heading = _TITLE.match(text)
    return Parsed(("\n\n".join(_paragraphs(cues)) + "\n",), heading.group(1).strip() if heading else "")


def _cues(text: str) -> Iterator[Cue]:
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        at = next((i for i, line in enumerate(lines[:3]) if _TIMES.match(line)), None)
        if at is None or _SKIPPED_BLOCK.match(lines[0]):
            continue
        times = _TIMES.match(lines[at])
        assert times is not None  # noqa: S101  # it was just found
        parts = times.groups()
        yield Cue(_seconds(*parts[:4]), _seconds(*parts[4:]), _plain(lines[at + 1 :]))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _plain(lines: list[str]) -> str:
    kept = []
    for line in lines:
        line = _TAG.sub("", _VOICE.sub(lambda voice: f"{voice.group(1).strip()}: ", line))
        line = " ".join(_SOUND.sub("", html.unescape(line)).split())
        if line and not _SOUND_ALONE.fullmatch(line) and not re.fullmatch(r"[-\s:]*", line):
            kept.append(line)
    return "\n".join(kept)


def _paragraphs(cues: list[Cue]) -> Iterator[str]:
    words: list[str] = []
    begin, last_end, last_line = 0.0, 0.0, ""
    for cue in cues:
        lines = cue.text.split("\n") if cue.text else []
        if lines and lines[0] == last_line:
            lines = lines[1:]  # captions that roll up repeat the line before
        if not lines:
            continue
        if words and (cue.start - last_end > PAUSE or _is_full(words)):
            yield _paragraph(begin, words)
            words = []
        begin = begin if words else cue.start
        words += lines
        last_end, last_line = cue.end, lines[-1]
    if words:
        yield _paragraph(begin, words)


def _is_full(words: list[str]) -> bool:
    length = sum(map(len, words)) + len(words)
    return length >= 2 * LONG or (length >= LONG and bool(_SENTENCE_END.search(words[-1])))


def _paragraph(begin: float, words: list[str]) -> str:
    minutes, seconds = divmod(int(begin), 60)
    return f"[{minutes // 60:02}:{minutes % 60:02}:{seconds:02}] {' '.join(words)}"
