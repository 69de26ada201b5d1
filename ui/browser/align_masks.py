"""Which tokens are trained, as Markdown that can do no harm: trained ones between brackets on green, all else plain.

The brackets are those of `hearth align --dry-run`; colour is never the only sign.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from alignment.preview import CLOSE, OPEN, visible
from ui.browser.safe_text import plain

_SPACE = "\ue000"
"""Stands for a blank while the text is made safe, which folds blanks."""
_KEPT = re.compile(f"(?<=[^{_SPACE}]){_SPACE}(?=[^{_SPACE}])")


def shown(pieces: Sequence[str], live: Sequence[bool]) -> str:
    """A row's tokens as Markdown: each line of a trained stretch is ⟦in brackets⟧ on green."""
    parts = [
        _stretch("".join(piece for piece, _ in tokens), trained)
        for trained, tokens in groupby(zip(pieces, live, strict=True), key=lambda token: token[1])
    ]
    return "".join(parts)


def as_text(pieces: Sequence[str], live: Sequence[bool]) -> str:
    """The same as plain text, to be copied."""
    parts = []
    for trained, tokens in groupby(zip(pieces, live, strict=True), key=lambda token: token[1]):
        words = visible("".join(piece for piece, _ in tokens))
        parts.append(f"{OPEN}{words}{CLOSE}" if trained else words)
    return "".join(parts)


def _stretch(text: str, trained: bool) -> str:
    lines = visible(text).split("\n")
    made = [f":green-background[{OPEN}{_line(line)}{CLOSE}]" if trained and line else _line(line) for line in lines]
    return "  \n".join(made)


def _line(text: str) -> str:
    """Every letter as it is, blanks too."""
    safe = plain(text.replace(_SPACE, "").replace("\t", " ").replace(" ", _SPACE))
    return _KEPT.sub(" ", safe).replace(_SPACE, "\u00a0")
