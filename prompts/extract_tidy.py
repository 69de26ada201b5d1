"""Numbers as models write them, LaTeX and Unicode, made plain ASCII mathematics for the reader of numbers."""

from __future__ import annotations

import re
import unicodedata

_PLAIN = str.maketrans(
    {"−": "-", "－": "-", "‐": "-", "‑": "-", "﹣": "-", "，": ",", "．": ".", "⁄": "/", "∕": "/", "％": "%", "＄": "$"}
    | dict.fromkeys("\u00a0\u202f\u2009\u2007", "\u202f")
    | dict.fromkeys("\u200b\u2060\ufeff", "")
)
_SUPERSCRIPT = re.compile(r"(?<=\d)([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{\s*([^{}]{1,40}?)\s*\}\s*\{\s*([^{}]{1,40}?)\s*\}|(\d)\s*(\d))")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox)\s*\{([^{}]*)\}")
_INLINE = re.compile(r"(?<!\\)\$(?=\S)([^$\n]{1,200}?)(?<=[^\s\\])\$(?!\d)")
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_EMPHASIS = re.compile(r"\*{2,}|`+|(?<!\w)_+|_+(?!\w)|(?<![\w*)\s])\*(?=\S)|(?<=\S)\*(?![\w*(\s$])")
_LATEX = (
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)\\[,!;:](?=\d)"), "\u202f"),
    (re.compile(r"\\[,!;: ]|~|\\quad"), " "),
    (re.compile(r"\\([$%#&])"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle)\b"), ""),
    (re.compile(r"\\(?:times|cdot)\b|·"), "×"),
    (re.compile(r"\\div\b"), "÷"),
    (re.compile(r"\\approx\b|≈|≅"), "="),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°"), " degrees "),
    (re.compile(r"\\[()\[\]]|\$\$"), " "),
    (re.compile(r"\^\{([-+]?\d+)\}"), r"^\1"),
)


def unwrap(text: str) -> str:
    """`text` without LaTeX's commands for words and fonts."""
    return _WRAPPED.sub(r" \1 ", text)


def tidy(text: str) -> str:
    """`text` with one way to write minus, digits, fractions and powers; emphasis and calculator marks left out.

    A narrow space that stood between groups of digits stays as U+202F, which no other space becomes.
    """
    text = _INLINE.sub(r" \1 ", _CALCULATOR.sub("", text).translate(_PLAIN))
    text = _SUPERSCRIPT.sub(lambda match: "^" + match[1].translate(_SUPERSCRIPTS), text)
    text = _NOT_ASCII.sub(_ascii, text)
    text = unwrap(text)
    text = _FRACTION.sub(_plain_fraction, text)
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return _EMPHASIS.sub("", text)


def _ascii(match: re.Match[str]) -> str:
    """Digits of other scripts, and ½ and its kin with a space before, so that 2½ is not 21/2."""
    character = match[0]
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if unicodedata.numeric(character, None) is not None:
        plain = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
        if "/" in plain:
            return f" {plain}"
    return character


def _plain_fraction(match: re.Match[str]) -> str:
    """A minus sign before a fraction stays with it; a whole number before it makes it a mixed one."""
    above, below = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    start = match.start()
    space = " " if start and match.string[start - 1].isdigit() else ""
    return f"{space}{above}/{below}"
