"""Untrusted text made safe to show: documents, file names and models must not steer the terminal or the page.

Escape sequences, other control characters and the invisible characters that reorder text are taken out. Markup of
rich's own (`[bold]`) is not touched here: the house prints such text as plain `Text` or with markup switched off.
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\r\n"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS: titles
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """The text without anything that a terminal would act on; line feeds and tabs stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub(_newline, text))


def clean_line(text: str) -> str:
    """As `clean`, on one line, with white space collapsed."""
    return " ".join(clean(text.replace("\r", " ")).split())


def _newline(match: re.Match[str]) -> str:
    return "\n" if match.group() == "\r\n" else ""
