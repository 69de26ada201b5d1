"""Formulas of Office Open XML (ECMA-376 Part 1, 22.1) as LaTeX, so that fractions, sums and powers keep their shape."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from rag.load.safe_xml import attribute, local

SYMBOLS = {
    **{"×": r"\times", "÷": r"\div", "⋅": r"\cdot", "·": r"\cdot", "±": r"\pm", "∓": r"\mp", "∞": r"\infty"},
    **{"≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "≡": r"\equiv", "∼": r"\sim", "∝": r"\propto"},
    **{"∈": r"\in", "∉": r"\notin", "⊂": r"\subset", "⊆": r"\subseteq", "∩": r"\cap", "∪": r"\cup", "∅": r"\emptyset"},
    **{"→": r"\to", "←": r"\leftarrow", "⇒": r"\Rightarrow", "⇔": r"\Leftrightarrow", "∂": r"\partial", "∇": r"\nabla"},
    **{"∀": r"\forall", "∃": r"\exists", "¬": r"\neg", "∧": r"\wedge", "∨": r"\vee", "…": r"\dots", "⋯": r"\cdots"},
    **{
        "|": r"\vert",
        "‖": r"\Vert",
        "⟨": r"\langle",
        "⟩": r"\rangle",
        "{": r"\{",
        "}": r"\}",
        "−": "-",
        "\\": r"\backslash",
    },
}
LARGE = {
    **{
        "∑": r"\sum",
        "∏": r"\prod",
        "∐": r"\coprod",
        "⋃": r"\bigcup",
        "⋂": r"\bigcap",
        "⋀": r"\bigwedge",
        "⋁": r"\bigvee",
    },
    **{"∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint", "∯": r"\oiint", "∰": r"\oiiint"},
}
NAMED = frozenset(
    {"arccos", "arcsin", "arctan", "cos", "cosh", "cot", "csc", "det", "exp", "gcd", "inf"}
    | {"lim", "ln", "log", "max", "min", "sec", "sin", "sinh", "sup", "tan", "tanh"}
)
ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "overline", "\u0307": "dot", "\u20d7": "vec"}


def latex(element: Any) -> str:
    """The LaTeX of a formula or a part of one, on one line; what is unknown is what stands in it, in order."""
    return " ".join(_inner(element).split())


def _inner(element: Any) -> str:
    return "".join(_one(child) for child in element)


def _one(element: Any) -> str:
    name = local(element)
    if name.endswith("Pr"):
        return ""
    if name == "t":
        return _symbols(element.text or "")
    written = WRITERS.get(name)
    return written(element) if written else _inner(element)


def _symbols(text: str) -> str:
    return "".join(_symbol(letter) for letter in text)


def _symbol(letter: str) -> str:
    known = SYMBOLS.get(letter) or LARGE.get(letter, "")
    if not known and "\u0391" <= letter <= "\u03c9":
        size, _, name = unicodedata.name(letter, "").removeprefix("GREEK ").partition(" LETTER ")
        if name.isalpha() and size in ("SMALL", "CAPITAL"):
            known = "\\" + (name.lower() if size == "SMALL" else name.capitalize())
    return f"{known} " if known[:1] == "\\" else known or letter


def _part(element: Any, name: str) -> str:
    """What stands in a part of an element; nothing where it lacks the part."""
    found = element.find("{*}" + name)
    return "" if found is None else _inner(found).strip()


def _property(element: Any, name: str, default: str) -> str:
    """A property that is a character: absent means the default, present without a value means none."""
    found = element.find(f"{{*}}{local(element)}Pr/{{*}}{name}")
    return default if found is None else attribute(found, "val")


def _scripts(element: Any, base: str) -> str:
    below, above = _part(element, "sub"), _part(element, "sup")
    return base + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _fraction(element: Any) -> str:
    above, below = _part(element, "num"), _part(element, "den")
    if _property(element, "type", "bar") == "noBar":  # as in a binomial coefficient
        return f"{{{above} \\atop {below}}}"
    return f"\\frac{{{above}}}{{{below}}}"


def _root(element: Any) -> str:
    degree = _part(element, "deg")
    return f"\\sqrt{f'[{degree}]' if degree else ''}{{{_part(element, 'e')}}}"


def _large(element: Any) -> str:
    sign = _property(element, "chr", "∫")
    return f"{_scripts(element, LARGE.get(sign, sign))} {_part(element, 'e')}"


def _delimited(element: Any) -> str:
    opening, closing = (
        _symbols(_property(element, *each)).strip() or "." for each in (("begChr", "("), ("endChr", ")"))
    )
    between = _symbols(_property(element, "sepChr", "|"))
    items = between.join(_inner(each).strip() for each in element.iterfind("{*}e"))
    return f"\\left{opening} {items} \\right{closing} "


def _function(element: Any) -> str:
    return f"{_part(element, 'fName')} {_part(element, 'e')}"


def _run(element: Any) -> str:
    text = _inner(element)
    return f"\\{text.strip()} " if text.strip() in NAMED else text


def _accent(element: Any) -> str:
    return f"\\{ACCENTS.get(_property(element, 'chr', chr(0x302)), 'hat')}{{{_part(element, 'e')}}}"


def _brace(element: Any) -> str:
    over = _property(element, "pos", "bot") == "top"
    return f"\\{'over' if over else 'under'}brace{{{_part(element, 'e')}}}"


def _bar(element: Any) -> str:
    over = _property(element, "pos", "bot") == "top"
    return f"\\{'over' if over else 'under'}line{{{_part(element, 'e')}}}"


def _rows(element: Any) -> str:
    """A matrix, or equations one below the other."""
    rows = [" & ".join(_inner(each).strip() for each in row.iterfind("{*}e")) for row in element.iterfind("{*}mr")]
    rows = rows or [_inner(each).strip() for each in element.iterfind("{*}e")]
    lines = r" \\ ".join(rows)
    if len(rows) == 1 and local(element) == "eqArr":
        return lines
    return f"\\begin{{matrix}} {lines} \\end{{matrix}}"


WRITERS: dict[str, Callable[[Any], str]] = {
    "r": _run,
    "f": _fraction,
    "rad": _root,
    "nary": _large,
    "d": _delimited,
    "func": _function,
    "sSup": lambda each: _scripts(each, _part(each, "e")),
    "sSub": lambda each: _scripts(each, _part(each, "e")),
    "sSubSup": lambda each: _scripts(each, _part(each, "e")),
    "sPre": lambda each: _scripts(each, "{}") + _part(each, "e"),
    "limLow": lambda each: f"{_part(each, 'e')}_{{{_part(each, 'lim')}}}",
    "limUpp": lambda each: f"{_part(each, 'e')}^{{{_part(each, 'lim')}}}",
    "acc": _accent,
    "groupChr": _brace,
    "bar": _bar,
    "m": _rows,
    "eqArr": _rows,
}
