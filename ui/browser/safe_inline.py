"""What stands in a paragraph, read and written anew: emphasis, code, links; pictures and HTML become text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from ui.browser.safe_letters import code_letters, letters, neutral
from ui.browser.safe_links import bare_addresses, link, shortened

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_MARKS = 500
MOST_BRACKETS = 100
"""Most marks of emphasis and code, and opening brackets, of a paragraph that is read: reading takes their square."""
_MARKS = {"em": "*", "strong": "**", "s": "~~"}
_SIMPLE = re.compile(r"[\w \t,.;?'\"()-]*")
_TICKS = re.compile("`+")


@dataclass(slots=True)
class Part:
    """A piece of a paragraph: text not yet escaped, Markdown of our own, or the mark of an emphasis."""

    kind: Literal["text", "ours", "open", "close"]
    content: str


def inline_written(content: str, references: MutableMapping[str, Any], *, in_table: bool = False) -> str:
    """The content of a paragraph, a heading or a cell as Markdown of our own; `references` are the text's."""
    if _SIMPLE.fullmatch(content):
        return letters(content)
    if content.count("[") > MOST_BRACKETS or sum(map(content.count, "*_~`<&\\]")) > MOST_MARKS:
        return letters(content)
    tokens: list[Token] = []
    reader = _reader()
    reader.inline.parse(content, reader, references, tokens)
    parts = list(_addresses_linked(_merged(_parts(tokens, in_table))))
    return "".join(letters(part.content) if part.kind == "text" else part.content for part in _merged(_sound(parts)))


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough")


def _parts(tokens: Sequence[Token], in_table: bool) -> Iterator[Part]:
    words: list[str] | None = None
    href = ""
    for token in tokens:
        if token.type == "link_open":
            words, href = [], str(token.attrs.get("href", ""))
        elif token.type == "link_close":
            yield from (Part(*part) for part in link("".join(words or ()), href))
            words = None
        elif words is not None:
            words.append(_words(token))
        elif token.type == "code_inline":
            yield _code(token.content, in_table)
        elif token.type == "hardbreak":
            yield Part("ours", "\\\n")
        elif token.nesting and token.tag in _MARKS:
            yield Part("open" if token.nesting == 1 else "close", _MARKS[token.tag])
        else:
            yield Part("text", _words(token))


def _words(token: Token) -> str:
    """What a token says, as text; a picture by its description and address."""
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "image":
        said = "".join(_words(child) for child in token.children or ())
        address = shortened(str(token.attrs.get("src", "")))
        return neutral(f"{said} ({address})" if said else address)
    return neutral(token.content).replace("\n", " ")


def _code(content: str, in_table: bool) -> Part:
    if in_table and ("|" in content or "\\" in content):
        return Part("text", content)
    fence = "`" * (max((len(run) for run in _TICKS.findall(content)), default=0) + 1)
    spaced = content.startswith("`") or content.endswith("`") or (content[:1] == content[-1:] == " ")
    inside = f" {content} " if spaced and content.strip() else content
    return Part("ours", f"{fence}{code_letters(inside)}{fence}")


def _merged(parts: Sequence[Part] | Iterator[Part]) -> list[Part]:
    """Neighbouring text as one, so that what is looked for in it is found across its seams."""
    merged: list[Part] = []
    for part in parts:
        if part.kind == "text" and merged and merged[-1].kind == "text":
            merged[-1] = Part("text", merged[-1].content + part.content)
        elif part.content:
            merged.append(part)
    return merged


def _addresses_linked(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        if part.kind == "text":
            yield from (Part(*piece) for piece in bare_addresses(part.content) if piece[1])
        else:
            yield part


def _sound(parts: Sequence[Part]) -> list[Part]:
    """Without marks that would be read otherwise, where they stand now, than they were meant."""
    opened: list[int] = []
    dropped: set[int] = set()
    for at, part in enumerate(parts):
        if part.kind == "open":
            opened.append(at)
        elif part.kind == "close" and opened:
            start = opened.pop()
            within = any(parts[each].content == part.content and each not in dropped for each in opened)
            if within or at == start + 1 or not (_opens(parts, start) and _closes(parts, at)):
                dropped |= {start, at}
    return [part for at, part in enumerate(parts) if at not in dropped and at not in opened]


def _opens(parts: Sequence[Part], at: int) -> bool:
    """Whether a mark here is read as opening: CommonMark's left-flanking, and no closing mark right before it."""
    before, after = _beside(parts, at, -1), _beside(parts, at, 1)
    return not (at and parts[at - 1].kind == "close") and _flanks(after, before)


def _closes(parts: Sequence[Part], at: int) -> bool:
    before, after = _beside(parts, at, -1), _beside(parts, at, 1)
    return not (at + 1 < len(parts) and parts[at + 1].kind == "open") and _flanks(before, after)


def _flanks(inner: str, outer: str) -> bool:
    return not inner.isspace() and (not _is_sign(inner) or outer.isspace() or _is_sign(outer))


def _beside(parts: Sequence[Part], at: int, step: int) -> str:
    """The character beside a run of marks of one sign."""
    sign = parts[at].content[0]
    at += step
    while 0 <= at < len(parts) and parts[at].kind in ("open", "close") and parts[at].content[0] == sign:
        at += step
    if not 0 <= at < len(parts):
        return " "
    return parts[at].content[0 if step == 1 else -1]


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
