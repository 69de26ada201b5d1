"""reStructuredText to Markdown, line by line, so that line numbers are the file's own.

Nothing is included, substituted from files or run. A light reading was chosen over docutils after trying it: docutils
takes directives and roles that it does not know, such as all of Sphinx's, for errors and keeps their text out of the
document, and it loses the lines. Here every word stays where it is; what has a meaning in Markdown is rewritten.
"""

from __future__ import annotations

import re

from rag.load.formats import Parsed
from rag.load.rst_tables import without_grid
from rag.load.text import decode

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_SHORT = re.compile(r"([=\-~^\"'`#*+.:_])\1*[ \t]*$")
_CODE = re.compile(r"[ \t]*\.\.[ \t]+(?:code-block|code|sourcecode|parsed-literal)::[ \t]*([\w+#.-]*)[ \t]*$")
_OPTION = re.compile(r"[ \t]+:[\w-]+:")
_DIRECTIVE = re.compile(r"([ \t]*)\.\.[ \t]+(?:([\w:+-]+)::)[ \t]*(.*)$")
_COMMENT = re.compile(r"[ \t]*\.\.(?:[ \t]|$)(?![ \t]*(?:\[|_|\|))")
_TARGET = re.compile(r"[ \t]*\.\.[ \t]+_[^:\n]*:[ \t]*(.*)$")
_ROLE_TITLED = re.compile(r":[\w:+.-]{1,60}:`([^`<\n]{1,300}?)[ \t]*<[^`>\n]{0,300}>`")
_ROLE = re.compile(r":[\w:+.-]{1,60}:`[~!]?([^`\n]{1,300})`")
_LINK = re.compile(r"`([^`<\n]{1,300}?)[ \t]*<((?:https?://|mailto:)[^`>\s]{1,300})>`__?")
_REFERENCE = re.compile(r"`([^`\n]{1,300})`__?(?!\w)")
_LITERAL = re.compile(r"``([^`\n]{1,300}(?:`[^`\n]{1,300})*)``")
_CAPTIONS = {"note", "warning", "tip", "hint", "important", "caution", "danger", "attention", "error", "admonition"}
_HIDDEN = {
    "contents",
    "toctree",
    "include",
    "raw",
    "image",
    "index",
    "meta",
    "highlight",
    "default-role",
    "role",
    "module",
}
"""Directives whose line says nothing to a reader; of `figure` and the like the caption stays."""


def parse(data: bytes) -> Parsed:
    """The text with Markdown's headings, fences, tables and links; the title is the first heading."""
    text, title = to_markdown(decode(data))
    return Parsed((text,), title)


def to_markdown(text: str) -> tuple[str, str]:
    """The text, as many lines as before, and its first heading."""
    lines = [line.expandtabs(8) for line in text.split("\n")]
    result: list[str] = []
    styles: list[str] = []
    title, at = "", 0
    while at < len(lines):
        if heading := _heading(lines, at):
            style, words, height = heading
            styles += [] if style in styles else [style]
            level = min(styles.index(style) + 1, 6)
            title = title or words
            result += [""] * (height == 3) + [f"{'#' * level} {_inline(words)}", ""]
            at += height
        elif (end := _block_end(lines, at)) > at:
            result += _block(lines, at, end)
            at = end
        else:
            result.append(_line(lines[at]))
            at += 1
    return "\n".join(without_grid(result)), title


def _heading(lines: list[str], at: int) -> tuple[str, str, int] | None:
    """Style (its mark, and whether it stands above too), words and height in lines of the heading that starts here."""
    line = lines[at].rstrip()
    if at + 2 < len(lines) and _ADORNMENT.match(line):
        words, below = lines[at + 1].strip(), lines[at + 2].rstrip()
        if words and below == line and len(words) <= len(line) and not _ADORNMENT.match(words):
            return line[0] * 2, words, 3
    if at + 1 < len(lines) and line and not line[0].isspace() and not _ADORNMENT.match(line):
        below = lines[at + 1].rstrip()
        is_alone = at == 0 or not lines[at - 1].strip() or _COMMENT.match(lines[at - 1]) is not None
        if is_alone and _SHORT.match(below) and len(below) >= min(len(line), 4) and len(below) + 4 >= len(line):
            return below[0], line, 2
    return None


def _block_end(lines: list[str], at: int) -> int:
    """The line after the literal block that line `at` introduces by `::` or a directive; `at` when it does not."""
    line = lines[at]
    is_directive = _CODE.match(line) is not None
    if not is_directive and (not line.rstrip().endswith("::") or _COMMENT.match(line)):
        return at
    indent, end = _indent(line), at + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
    while end > at + 1 and not lines[end - 1].strip():
        end -= 1
    return end + (end < len(lines)) if end > at + 1 else at


def _block(lines: list[str], at: int, end: int) -> list[str]:
    """A literal block in a fence. Its end takes the blank line behind it; an opening needs a line of its own."""
    body_end = end if lines[end - 1].strip() else end - 1
    directive = _CODE.match(lines[at])
    result = ["" if lines[at].strip() == "::" else _line(re.sub(r"::$", ":", lines[at].rstrip()))]
    body = lines[at + 1 : body_end]
    first = 0
    while first < len(body) and (not body[first].strip() or (directive and _OPTION.match(body[first]))):
        first += 1
    blanks, code = [""] * first, body[first:]
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", "\n".join(code)))])
    if directive:
        result = [fence + directive.group(1)]
    elif not blanks:
        return [_line(line) for line in lines[at:end]]
    else:
        blanks[-1] = fence
    closing = [fence] if end > body_end else []  # where the file ends with it, so does an open fence
    return [*result, *blanks, *code, *closing]


def _line(line: str) -> str:
    if target := _TARGET.match(line):
        return target.group(1) if "://" in target.group(1) else ""
    if directive := _DIRECTIVE.match(line):
        indent, name, words = directive.groups()
        if name in _HIDDEN or name in ("figure", "literalinclude"):
            return ""
        label = f"{name.capitalize()}:" if name in _CAPTIONS else ""
        return f"{indent}{label} {_inline(words)}".rstrip() if label else f"{indent}{_inline(words)}".rstrip()
    if _COMMENT.match(line):
        return ""
    return _inline(line)


def _inline(text: str) -> str:
    if "`" not in text:
        return text.replace("\\ ", "") if "\\" in text else text
    text = _LITERAL.sub(lambda found: f"`{found.group(1)}`" if "`" not in found.group(1) else found.group(0), text)
    text = _ROLE.sub(r"\1", _ROLE_TITLED.sub(r"\1", text))
    return _REFERENCE.sub(r"\1", _LINK.sub(r"[\1](\2)", text))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
