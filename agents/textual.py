"""Reads a thought and an action from free text, for decoders that cannot be constrained.

It is tolerant of form and never of meaning: what could be read in two ways is Unreadable, with a message that helps
the decoder to mend it. An observation that the decoder made up is cut off. Values are read by `literal.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.literal import Malformed, read_keywords, read_value, skip
from agents.tool import FINAL_ANSWER

FORM = 'Write one line: Action: {"name": "…", "arguments": {…}}'
NAME_KEYS = frozenset({"name", "tool", "tool_name", "action"})
ARGUMENT_KEYS = frozenset({"arguments", "args", "parameters", "action_input", "tool_input", "input"})
BEGIN, END = "<tool_call>", "</tool_call>"
_MARKER = re.compile(
    r"^[ \t]*(?:\*\*|#{1,4}[ \t])?(thought|action[ \t]input|action|observation|final[ \t]answer|answer)"
    r"(?:\*\*)?[ \t]{0,3}\d{0,3}:(?:\*\*)?",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*```[^\n`]*$", re.MULTILINE)
_OPENING = re.compile(r"```\w*\s*")
_BARE = re.compile(r"^[ \t]*(?=\{|<tool_call>)", re.MULTILINE)
_NAME = re.compile(r"([`\"'*]{0,2})([A-Za-z_][\w.-]{0,63})\1(?![\w.-])", re.ASCII)
# Words that hold none of these cannot hold another call.
_STRUCTURE = re.compile(r"[{}()\[\]<>=:`]")


class Unreadable(ValueError):
    """The text holds no action that can be read; the message is for the decoder."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was read. `tool` may be final_answer; `text` is what was written, without what was made up after it."""

    thought: str
    tool: str
    arguments: Mapping[str, Any]
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: str
    begin: int
    end: int


def read_turn(text: str, *, typed_answer: bool = False, cut_off: bool = False) -> Turn:
    """The thought and the action of a text. Raises Unreadable.

    Args:
        typed_answer: the answer has a type, so `Final Answer:` is followed by JSON: the answer's arguments when it is
            an object, its value otherwise.
        cut_off: the text ends because its tokens were at their end, so an answer in plain text is not whole.
    """
    text = _unwrapped(text)
    start = _after_thinking(text)
    marks = _marks(text, start)
    first = next((mark for mark in marks if _acts(mark, text, start)), None)
    seen = next((m.begin for m in marks if m.kind == "observation" and (first is None or m.begin > first.begin)), None)
    text, marks = text[:seen], [mark for mark in marks if seen is None or mark.begin < seen]
    try:
        if first is None:
            return _unmarked(text, start)
        if first.kind == "action":
            return _action(text, first, marks)
        return _answer(text, first, marks, typed_answer, cut_off)
    except Malformed as error:
        raise Unreadable(f"{error}. {FORM}") from error


def _unwrapped(text: str) -> str:
    """Without a fence around the whole."""
    lines = text.strip().split("\n")
    whole = len(lines) > 2 and _FENCE.fullmatch(lines[0]) and lines[-1].strip() == "```"
    inside = "\n".join(lines[1:-1])
    return inside if whole and "```" not in inside and _MARKER.search(inside) else text


def _after_thinking(text: str) -> int:
    """Where the text begins behind a `<think>` block. Raises Unreadable when that is not closed."""
    at = skip(text, 0)
    if not text.startswith("<think>", at):
        return at
    end = text.find("</think>", at)
    if end < 0:
        raise Unreadable(f"the thought is not closed by </think>. {FORM}")
    return skip(text, end + len("</think>"))


def _marks(text: str, start: int) -> list[_Mark]:
    """The markers at the starts of lines, those inside fences left out, by one pass over both."""
    fences = [found.start() for found in _FENCE.finditer(text, start)]
    marks, inside, position = [], False, 0
    for found in _MARKER.finditer(text, start):
        while position < len(fences) and fences[position] < found.start():
            inside, position = not inside, position + 1
        if not inside:
            kind = " ".join(found.group(1).lower().split())
            marks.append(_Mark(kind, found.start(), found.end()))
    return marks


def _acts(mark: _Mark, text: str, start: int) -> bool:
    """An action or an answer. A bare "Answer:" is one only where nothing was thought before it."""
    if mark.kind == "answer":
        return not text[start : mark.begin].strip()
    return mark.kind in ("action", "final answer")


def _answer(text: str, mark: _Mark, marks: list[_Mark], typed: bool, cut_off: bool) -> Turn:
    later = [each.kind for each in marks if each.begin > mark.begin and each.kind != "answer"]
    if later:
        raise Unreadable(f"an answer and after it {later[0].title()!r}: write either an action or the final answer")
    said = text[mark.end :].strip()
    if cut_off or not said:
        raise Unreadable("the final answer is not whole" if cut_off else "the final answer is empty")
    if not typed:
        return Turn(_thought(text[: mark.begin]), FINAL_ANSWER, {"answer": said}, text.strip())
    at = skip(text, mark.end)
    value, end = read_value(text, at)
    _nothing_after(text, end)
    arguments = value if isinstance(value, dict) else {"answer": value}
    return Turn(_thought(text[: mark.begin]), FINAL_ANSWER, arguments, text[:end].strip())


def _action(text: str, mark: _Mark, marks: list[_Mark]) -> Turn:
    later = [each for each in marks if each.begin > mark.begin]
    inputs = [each for each in later if each.kind == "action input"]
    if wrong := [each.kind for each in later if each.kind != "action input"]:
        raise Unreadable(f"after the action comes {wrong[0].title()!r}: write one action and nothing after it")
    if len(inputs) > 1:
        raise Unreadable(f"there is more than one Action Input. {FORM}")
    if inputs:
        name, arguments, end = _with_input(text, mark, inputs[0])
    else:
        name, arguments, end = _call(text, skip(text, mark.end))
    _nothing_after(text, end)
    return Turn(_thought(text[: mark.begin]), name, arguments, text[:end].strip())


def _unmarked(text: str, start: int) -> Turn:
    """A call that nothing announces: a line begins with its fence, its tag or its brace."""
    begins = [found.start() for found in (_FENCE.search(text, start), _BARE.search(text, start)) if found]
    if not begins:
        raise Unreadable(f"there is no action. {FORM}, or: Final Answer: …")
    begin = min(begins)
    name, arguments, end = _call(text, skip(text, begin))
    _nothing_after(text, end)
    return Turn(_thought(text[:begin]), name, arguments, text[:end].strip())


def _with_input(text: str, mark: _Mark, given: _Mark) -> tuple[str, Mapping[str, Any], int]:
    """LangChain's form: the name on one line, the arguments on the next."""
    found = _NAME.fullmatch(text[mark.end : given.begin].strip())
    if found is None:
        raise Unreadable(f"the line Action holds no name of a tool alone. {FORM}")
    at = skip(text, given.end)
    at, closing = _opened(text, at)
    value, end = read_value(text, at)
    if not isinstance(value, dict):
        raise Unreadable(f"Action Input must be an object with the names of the arguments. {FORM}")
    return found.group(2), value, _closed(text, end, closing)


def _call(text: str, at: int) -> tuple[str, Mapping[str, Any], int]:
    """A call in any of its forms, and where it ends."""
    at, closing = _opened(text, at)
    if text[at : at + 1] == "{":
        value, end = read_value(text, at)
        name, arguments = _named(value)
        return name, arguments, _closed(text, end, closing)
    found = _NAME.match(text, at)
    if found is None:
        raise Unreadable(f"no name of a tool can be read. {FORM}")
    after = skip(text, found.end())
    if text[after : after + 1] == "(":
        value, end = _bracketed(text, skip(text, after + 1))
    elif text[after : after + 1] == "{":
        value, end = read_value(text, after)
    else:
        raise Unreadable(f"{found.group(2)} has no arguments that can be read. {FORM}")
    return found.group(2), value, _closed(text, end, closing)


def _bracketed(text: str, at: int) -> tuple[dict[str, Any], int]:
    """What stands between the brackets of a call: an object, or name=value."""
    if text[at : at + 1] != "{":
        return read_keywords(text, at)
    value, end = read_value(text, at)
    end = skip(text, end)
    if text[end : end + 1] != ")":
        raise Unreadable(f"the bracket is not closed after the arguments. {FORM}")
    return value, end + 1


def _named(value: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name and the arguments of an object that is a call, whatever common names its keys have."""
    names, arguments = set(NAME_KEYS & value.keys()), set(ARGUMENT_KEYS & value.keys())
    if len(names) != 1 or len(arguments) != 1 or len(value) != 2:
        raise Unreadable(f"an action has exactly the keys name and arguments. {FORM}")
    name, given = value[names.pop()], value[arguments.pop()]
    if isinstance(given, str) and given.lstrip().startswith("{"):  # an object as text, as OpenAI writes it
        given = _whole_value(given.strip())
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or not isinstance(given, dict):
        raise Unreadable(f"the name must be text and the arguments an object. {FORM}")
    return name, given


def _whole_value(text: str) -> Any:
    value, end = read_value(text, 0)
    if end != len(text):
        raise Malformed("the arguments are more than one object")
    return value


def _opened(text: str, at: int) -> tuple[int, str]:
    """Past a fence or a tag that opens here, and what closes it."""
    if text.startswith(BEGIN, at):
        return skip(text, at + len(BEGIN)), END
    fence = _OPENING.match(text, at)
    return (fence.end(), "```") if fence else (at, "")


def _closed(text: str, at: int, closing: str) -> int:
    if not closing:
        return at
    end = skip(text, at)
    if text.startswith(closing, end):
        return end + len(closing)
    if end == len(text):  # its stop string, or its end, was cut off
        return at
    raise Unreadable(f"{closing} is expected after the action. {FORM}")


def _nothing_after(text: str, end: int) -> None:
    """Raise Unreadable when what follows may be more than words."""
    if _STRUCTURE.search(text, end):
        raise Unreadable(f"more follows after the action: {text[end:].strip()[:40]!r}. Write one and nothing after it")


def _thought(text: str) -> str:
    """What was thought, without its markers."""
    text = text.strip()
    for tag in ("<think>", "</think>"):
        text = text.replace(tag, "")
    found = _MARKER.match(text)
    return (text[found.end() :] if found and found.group(1).lower() == "thought" else text).strip()
