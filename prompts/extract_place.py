"""Where in an output the answer stands: behind an announcement, and never in hidden thoughts or a made-up next turn."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from prompts.extract_found import UNCLEAR, Found, Seek
from prompts.extract_tidy import unwrap

LONGEST = 200_000
"""Characters of an output that are looked at, from its end."""
SEGMENT = 400
"""Characters after an announcement that are looked at."""
MOST_ANNOUNCEMENTS = 20
"""Announcements that are looked at, from the last back."""
_THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning)>", re.I)
_THOUGHT_START = re.compile(r"<(?:think|thinking|reasoning)>", re.I)
_END_TOKEN = re.compile(r"<\|?(?:im_end|eot_id|end_of_text|endoftext|end|/s|eos)\|?>", re.I)
_NEXT_TURN = re.compile(r"\n[ \t#*]*(?:Q|Question|Human|User|Problem|Exercise)[ \t]*\d*[*]*[ \t]*[:：]", re.I)
_BE = r"(?:is|are|was|equals?|can(?:no|\s?no|')t\s+be|would\s+be|will\s+be|should\s+be|must\s+be|comes?\s+to|becomes)\b"
_ANNOUNCEMENT = re.compile(
    r"\\(?:boxed|fbox)\s*(?=\{)"
    r"|(?<!\#)\#{4}(?!\#)[ \t]*(?!\W{0,10}(?:step|part|problem|question|solution|explanation|calculation|answer)\b)"
    r"|<answer>"
    r"|(?:^|\n)[ \t]*[#*][#* \t]*(?:final\s+)?answer\**[ \t]*\n"
    r"|(?<!to )\b(?:answers?|ans)\b(?:\s*\([^)\n]{0,40}\))?"
    r"(?:[\"'`*_]{0,3}\s{0,2}[:=：]|(?:,\s*\w+,|\s+(?:to|for|of|in)\b[^.,\n:=]{0,60}?)?\s+" + _BE + r")"
    r"|(?:^|\n)[ \t>*]*A\*{0,2}[ \t]*[:：]",
    re.I,
)
_GIVES_UP = re.compile(
    r"\b(?:unknown|undefined|undetermined|impossible|cannot|can't|can not"
    r"|not\s+(?:enough|sufficient|possible|known))\b",
    re.I,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_WORD = re.compile(r"\w")


def find(output: str, seek: Seek) -> Found | None:
    """The answer in an output, or None."""
    text = settle(output[-LONGEST:])
    if not seek.places:
        return seek.loose(text)
    for segments in announced(text):
        read = [seek.announced(segment) for segment in segments]
        if found := next((each for each in read if each and each is not UNCLEAR), None):
            return replace(found, announced=True)
        if UNCLEAR in read or _GIVES_UP.search(segments[0]):
            return None  # the last word is that there is no answer, or no one answer
    return seek.loose(text)


def settle(output: str) -> str:
    """The output without its hidden thoughts, and without what a base model goes on to make up after its answer."""
    text = _THOUGHT_END.split(output)[-1]
    if start := _THOUGHT_START.search(text):
        text = text[: start.start()]  # it never stopped thinking
    if end := _END_TOKEN.search(text):
        text = text[: end.start()]
    for turn in _NEXT_TURN.finditer(text):
        if _ANNOUNCEMENT.search(text, 0, turn.start()):
            return text[: turn.start()]
    return text


def announced(text: str) -> Iterator[tuple[str, ...]]:
    """What stands after each announcement, last first: its first sentence, then its whole line; a box has one part."""
    for mark in reversed(deque(_ANNOUNCEMENT.finditer(text), MOST_ANNOUNCEMENTS)):
        denied = _GIVES_UP.search(mark.group())
        rest = text[denied.start() + mark.start() if denied else mark.end() : mark.end() + SEGMENT]
        if mark.group().startswith("\\"):
            yield (unwrap(_box(rest)),)
            continue
        line = _line(rest.split("</answer>")[0])
        end = _SENTENCE_END.search(line)
        first = line[: end.start()] if end else line
        yield (first, line) if _WORD.search(first) and first != line else (line,)


def _line(text: str) -> str:
    """The first line that says anything."""
    return next((line.strip() for line in text.split("\n") if _WORD.search(line)), "")


def _box(text: str) -> str:
    """What stands between the brace at the start of `text` and its partner; what was cut off has no partner."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:at]
    return ""
