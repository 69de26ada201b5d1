"""Conversations as others write them, as lists of {"role", "content"}: what the transformers library takes.

Read: messages; ShareGPT's {"from", "value"}; Anthropic's "\\n\\nHuman: … \\n\\nAssistant: …" transcripts; Alpaca's
instruction, input and output, with LLaMA-Factory's history and system beside them.
"""

from __future__ import annotations

import datetime
import decimal
import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from alignment.data_report import BadField

Turns: TypeAlias = list[dict[str, Any]]

ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
}
MOST_DEPTH = 64
KEPT = ("tool_calls", "tool_call_id", "name", "reasoning_content")
TRANSCRIPT = re.compile(r"\n\n(Human|Assistant):")


def turns(value: Any, field: str) -> Turns:
    """A conversation, or one turn of one, as a list of turns. Raises BadField."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise BadField(field, f"it is no list of turns but {kind(value)}")
    if not value:
        raise BadField(field, "it is empty")
    return [_turn(item, f"{field}[{index}]") for index, item in enumerate(value)]


def _turn(item: Any, field: str) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise BadField(field, f"it is no turn but {kind(item)}")
    named = item.get("role") if item.get("role") is not None else item.get("from")
    role = ROLES.get(named.strip().lower()) if isinstance(named, str) else None
    if role is None:
        said = f"the role {named[:40]!r} is unknown" if isinstance(named, str) else "it has no role"
        raise BadField(field, f"{said}; known are {', '.join(sorted(set(ROLES)))}")
    content = item.get("content") if item.get("content") is not None else item.get("value")
    if isinstance(named, str) and named.strip().lower() == "function_call":
        return {"role": role, "content": "", "tool_calls": _calls(content, field)}
    kept = {name: plain(item[name], f"{field}.{name}") for name in KEPT if item.get(name) not in (None, "", [])}
    return {"role": role, "content": _content(content, field, "tool_calls" in kept), **kept}


def _content(content: Any, field: str, may_lack: bool) -> str:
    if content is None and may_lack:
        return ""
    if isinstance(content, list) and content and all(_is_text(part) for part in content):
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        said = "it is missing" if content is None else f"it is no text but {kind(content)}"
        raise BadField(f"{field}.content", said)
    return content


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _calls(content: Any, field: str) -> list[dict[str, Any]]:
    """ShareGPT's function_call: {"name", "arguments"}, or a list of them, as JSON in a text."""
    calls = parse_json(content, field)
    calls = calls if isinstance(calls, list) else [calls]
    for call in calls:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            raise BadField(field, "a call has no name")
    return [
        {"type": "function", "function": {"name": call["name"], "arguments": plain(call.get("arguments") or {}, field)}}
        for call in calls
    ]


def tools(value: Any) -> list[dict[str, Any]]:
    """Tools' schemas, given as a list or as JSON in a text, in the form that chat templates take. Raises BadField."""
    listed = plain(parse_json(value, "tools"), "tools")
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise BadField("tools", "it is no list of schemas")
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in listed]


def transcript(text: str, field: str) -> Turns:
    """The turns of "\\n\\nHuman: … \\n\\nAssistant: …" (Bai et al. 2022, the hh-rlhf files). Raises BadField."""
    before, *pieces = TRANSCRIPT.split(text)
    if before.strip() or not pieces:
        raise BadField(field, 'it does not begin with "\\n\\nHuman:"')
    return [
        {"role": ROLES[name.lower()], "content": said.strip()}
        for name, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def is_transcript(value: Any) -> bool:
    """Whether a text is such a transcript."""
    return isinstance(value, str) and value.startswith("\n\nHuman:")


def alpaca(row: Mapping[str, Any]) -> Turns:
    """The turns before the output: system, history, and the instruction with its input below it. Raises BadField."""
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise BadField("history", "it is no list of [instruction, output]")
    given = str_field(row, "input") if row.get("input") is not None else ""
    asked = str_field(row, "instruction") + (f"\n\n{given}" if given.strip() else "")
    system = [{"role": "system", "content": str_field(row, "system")}] if row.get("system") else []
    earlier = [
        {"role": role, "content": _content(said, f"history[{index}]", False)}
        for index, pair in enumerate(history)
        for role, said in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*system, *earlier, {"role": "user", "content": asked}]


def str_field(row: Mapping[str, Any], field: str) -> str:
    """A text. Raises BadField."""
    value = row.get(field)
    if not isinstance(value, str):
        raise BadField(field, "it is missing" if value is None else f"it is no text but {kind(value)}")
    return value


def parse_json(value: Any, field: str) -> Any:
    """What a text holds as JSON, as in CSV cells; anything else as it is. Raises BadField."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadField(field, "it is no JSON") from error


def kind(value: Any) -> str:
    """What a value is, in a word."""
    names = {type(None): "null", bool: "true or false", list: "a list", dict: "an object", str: "a text"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def plain(value: Any, field: str, depth: int = 0) -> Any:
    """A value as JSON has them, dates and decimals as texts. Raises BadField."""
    if depth > MOST_DEPTH:
        raise BadField(field, f"it is nested deeper than {MOST_DEPTH}")
    if isinstance(value, Mapping):
        return {str(key): plain(item, field, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, field, depth + 1) for item in value]
    if isinstance(value, (datetime.date, datetime.time, decimal.Decimal)):
        return str(value)
    if value is not None and not isinstance(value, (str, int, float)):
        raise BadField(field, f"it is of the kind {kind(value)}, which has no place in JSON")
    if isinstance(value, (int, float)) and not abs(value) < 2**63:  # neither is NaN
        raise BadField(field, f"{str(value)[:20]} is no number of 64 bits")
    return value
