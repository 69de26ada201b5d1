"""The shapes of rows: told from their fields, and brought into the plain dicts that TRL's trainers take.

messages            {"messages": [{"role", "content"}, …]}, with "tools" where there are; ShareGPT; Alpaca
prompt_completion   {"prompt", "completion"}
preference          {"prompt", "chosen", "rejected"}; the prompt may stand in both answers instead
ranking             {"prompt", "responses": […], "ranks": [1, 2, 2]}, 1 being the best
kto                 {"prompt", "completion", "label": true}; or messages with a label
prompt              {"prompt"}, and whatever a reward function wants beside it
text                {"text"}

Prompts and answers are texts, or both lists of turns. Fields that a format does not name are left out, but beside a
prompt, where reward functions read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Any, TypeAlias

from alignment.data_report import BadField
from alignment.data_turns import (
    Turns,
    alpaca,
    is_transcript,
    kind,
    parse_json,
    plain,
    str_field,
    tools,
    transcript,
    turns,
)

Row: TypeAlias = dict[str, Any]

CONVERSED = ("messages", "conversations", "instruction")
ASKING = (*CONVERSED, "prompt", "input", "history", "system", "tools")
LOOKED_AT = 100
# The most telling first: a row of preferences has a prompt too, and one of votes has messages.
TOLD_BY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("preference", ("chosen", "rejected")),
    ("ranking", ("responses", "ranks")),
    ("kto", ("completion", "label")),
    ("kto", ("messages", "label")),
    ("kto", ("conversations", "label")),
    ("kto", ("instruction", "output", "label")),
    ("messages", ("messages",)),
    ("messages", ("conversations",)),
    ("messages", ("instruction", "output")),
    ("prompt_completion", ("prompt", "completion")),
    ("prompt", ("prompt",)),
    ("prompt", ("instruction",)),
    ("text", ("text",)),
)


def recognise(rows: Iterable[Mapping[str, Any]]) -> str:
    """The format of most of the first hundred rows; empty when no row is of any."""
    seen: Counter[str] = Counter()
    for row, _ in zip(rows, range(LOOKED_AT), strict=False):
        seen[_recognise_one(row)] += 1
    del seen[""]
    return seen.most_common(1)[0][0] if seen else ""


def _recognise_one(row: Mapping[str, Any]) -> str:
    has = {name for name, value in row.items() if value is not None}
    return next((name for name, fields in TOLD_BY if has.issuperset(fields)), "")


def convert(row: Mapping[str, Any], to: str) -> Row:
    """A row as it was read in the form of its format; what it says is checked by `data_checks`. Raises BadField."""
    return CONVERTERS[to](row)


def _messages(row: Mapping[str, Any]) -> Row:
    if row.get("messages") is None and row.get("conversations") is None and row.get("instruction") is not None:
        return {"messages": [*alpaca(row), {"role": "assistant", "content": str_field(row, "output")}]}
    return {"messages": _system_beside(row, _conversation(row)), **_tools(row)}


def _conversation(row: Mapping[str, Any]) -> Turns:
    field = "messages" if row.get("messages") is not None else "conversations"
    if row.get(field) is None:
        raise BadField("messages", "it is missing")
    value = row[field]
    return transcript(value, field) if is_transcript(value) else turns(parse_json(value, field), field)


def _system_beside(row: Mapping[str, Any], conversation: Turns) -> Turns:
    """ShareGPT files keep the system message in a column of its own."""
    system = row.get("system")
    if not isinstance(system, str) or not system.strip() or conversation[0]["role"] == "system":
        return conversation
    return [{"role": "system", "content": system}, *conversation]


def _tools(row: Mapping[str, Any]) -> Row:
    found = tools(row["tools"]) if row.get("tools") not in (None, "", []) else []
    return {"tools": found} if found else {}


def _prompt_completion(row: Mapping[str, Any]) -> Row:
    prompt, completion = _sides(row, ("completion",))
    return {"prompt": prompt, "completion": completion, **_tools(row)}


def _preference(row: Mapping[str, Any]) -> Row:
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if is_transcript(chosen) and is_transcript(rejected) and row.get("prompt") is None:
        row = {"chosen": transcript(str(chosen), "chosen"), "rejected": transcript(str(rejected), "rejected")}
        return _implicit(row["chosen"], row["rejected"])
    if _is_whole(chosen) and _is_whole(rejected):
        return {**_implicit(turns(chosen, "chosen"), turns(rejected, "rejected")), **_tools(row)}
    prompt, better, worse = _sides(row, ("chosen", "rejected"))
    return {"prompt": prompt, "chosen": better, "rejected": worse, **_tools(row)}


def _is_whole(value: Any) -> bool:
    """Whether an answer is a list of turns that begins with the prompt."""
    first = value[0] if isinstance(value, list) and value else None
    named = (first.get("role") or first.get("from")) if isinstance(first, Mapping) else None
    return isinstance(named, str) and named.lower() in ("system", "user", "human", "developer")


def _implicit(chosen: Turns, rejected: Turns) -> Row:
    """The turns that both share are the prompt; what follows are the answers."""
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))))
    return {"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}


def _ranking(row: Mapping[str, Any]) -> Row:
    responses, ranks = parse_json(row.get("responses"), "responses"), parse_json(row.get("ranks"), "ranks")
    for name, value in (("responses", responses), ("ranks", ranks)):
        if not isinstance(value, list):
            raise BadField(name, "it is missing" if value is None else f"it is no list but {kind(value)}")
    whole = [int(rank) if isinstance(rank, float) and rank.is_integer() else rank for rank in ranks]
    return {"prompt": _prompt(row), "responses": list(responses), "ranks": whole}


def _kto(row: Mapping[str, Any]) -> Row:
    label = row.get("label")
    if isinstance(label, str) and label.strip().lower() in ("true", "false"):
        label = label.strip().lower() == "true"  # as CSV writes it
    if row.get("completion") is not None or all(row.get(field) is None for field in CONVERSED):
        prompt, completion = _sides(row, ("completion",))
    else:
        conversation = _messages(row)["messages"]
        prompt, completion = conversation[:-1], conversation[-1:]
    return {"prompt": prompt, "completion": completion, "label": label, **_tools(row)}


def _prompt_alone(row: Mapping[str, Any]) -> Row:
    prompt = _prompt(row)
    while isinstance(prompt, list) and prompt and prompt[-1]["role"] == "assistant":
        prompt = prompt[:-1]
    beside = {name: plain(value, name) for name, value in row.items() if name not in ASKING}
    return {"prompt": prompt, **beside, **_tools(row)}


def _text(row: Mapping[str, Any]) -> Row:
    return {"text": str_field(row, "text")}


def _sides(row: Mapping[str, Any], fields: tuple[str, ...]) -> tuple[Any, ...]:
    """Prompt and answers: all texts, or all lists of turns when one of them is."""
    prompt, answers = _prompt(row), [row.get(field) for field in fields]
    if isinstance(prompt, str) and all(isinstance(answer, str) for answer in answers):
        return (prompt, *answers)
    for field, answer in zip(fields, answers, strict=True):
        if answer is None:
            raise BadField(field, "it is missing")
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    given = [
        [{"role": "assistant", "content": answer}] if isinstance(answer, str) else turns(answer, field)
        for field, answer in zip(fields, answers, strict=True)
    ]
    return (asked, *given)


def _prompt(row: Mapping[str, Any]) -> str | Turns:
    value = row.get("prompt")
    if value is None and (row.get("messages") is not None or row.get("conversations") is not None):
        return _system_beside(row, _conversation(row))
    if value is None and row.get("instruction") is not None:
        return alpaca(row)
    if isinstance(value, list):
        return _system_beside(row, turns(value, "prompt"))
    text = str_field(row, "prompt")
    return _system_beside(row, [{"role": "user", "content": text}]) if row.get("system") else text


CONVERTERS: dict[str, Callable[[Mapping[str, Any]], Row]] = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "preference": _preference,
    "ranking": _ranking,
    "kto": _kto,
    "prompt": _prompt_alone,
    "text": _text,
}
