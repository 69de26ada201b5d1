"""What a row has to say before anything is trained on it. Each check raises BadField with the field and the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from alignment.data_report import BadField
from alignment.data_turns import Turns, kind

MOST_RESPONSES = 64


def check(row: Mapping[str, Any], form: str) -> None:
    """Check a row in the form of its format. Raises BadField."""
    CHECKS[form](row)
    for field, value in row.items():
        try:
            json.dumps({field: value}, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise BadField(ascii(field)[1:-1], "it holds half a surrogate pair, which is no character") from error


def check_alike(row: Mapping[str, Any], kinds: dict[str, str]) -> None:
    """Refuse a field that is of another kind than in earlier rows, as a table's column has one. Raises BadField.

    Args:
        kinds: of the fields so far; those of this row are added.
    """
    for field, value in row.items():
        if value is not None and kinds.setdefault(field, kind(value)) != kind(value):
            raise BadField(field, f"it is {kind(value)}, and in earlier rows {kinds[field]}")


def check_conversation(conversation: Turns, field: str, ends: tuple[str, ...]) -> None:
    """A whole conversation: a system message first at most, then people and assistant in turn, ending as it should."""
    _check_turns(conversation, field)
    heads = [index for index, turn in enumerate(conversation) if turn["role"] in ("system", "developer")]
    if heads not in ([], [0]):
        raise BadField(f"{field}[{heads[-1]}]", "a system message stands after the first turn")
    said = conversation[len(heads) :]
    if not said or said[0]["role"] != "user":
        raise BadField(field, f"it begins with {said[0]['role'] if said else 'nothing'} and not with the user")
    if said[-1]["role"] not in ends:
        raise BadField(field, f"it ends with {said[-1]['role']} and not with {' or '.join(ends)}")


def _check_turns(conversation: Turns, field: str) -> None:
    before: dict[str, Any] = {"role": ""}
    for index, turn in enumerate(conversation):
        place = f"{field}[{index}]"
        if not turn["content"].strip() and turn["role"] != "tool" and not turn.get("tool_calls"):
            raise BadField(f"{place}.content", "it is empty")
        after_tool = before["role"] == "tool" or bool(before.get("tool_calls"))
        if turn["role"] == "tool" and not after_tool:
            raise BadField(place, "a tool answers that was not called")
        if turn["role"] != "tool" and before.get("tool_calls"):
            raise BadField(place, f"{turn['role']} speaks where the tool's answer should stand")
        if turn["role"] == before["role"] != "tool":
            raise BadField(place, f"{turn['role']} speaks twice in a row")
        before = turn


def check_prompt(prompt: Any, field: str = "prompt") -> None:
    """A text that is not empty, or a conversation that waits for the assistant."""
    if isinstance(prompt, list):
        check_conversation(prompt, field, ("user", "tool"))
    else:
        check_text(prompt, field)


def check_answer(answer: Any, field: str) -> None:
    """A text that is not empty, or turns of the assistant and its tools."""
    if not isinstance(answer, list):
        check_text(answer, field)
        return
    if not answer:
        raise BadField(field, "it is empty")
    _check_turns(answer, field)
    other = next((turn["role"] for turn in answer if turn["role"] not in ("assistant", "tool")), "")
    if other:
        raise BadField(field, f"a turn of {other} stands in the answer: the prompts differ before the last turn")
    if answer[0]["role"] != "assistant" or answer[-1]["role"] != "assistant":
        raise BadField(field, "it does not begin and end with the assistant")


def check_text(value: Any, field: str) -> None:
    """A text with more than white space."""
    if not isinstance(value, str):
        raise BadField(field, "it is missing" if value is None else f"it is no text but {kind(value)}")
    if not value.strip():
        raise BadField(field, "it is empty")


def _check_messages(row: Mapping[str, Any]) -> None:
    check_conversation(row["messages"], "messages", ("assistant",))


def _check_prompt_completion(row: Mapping[str, Any]) -> None:
    check_prompt(row["prompt"])
    check_answer(row["completion"], "completion")


def _check_preference(row: Mapping[str, Any]) -> None:
    if row["chosen"] == row["rejected"]:
        raise BadField("rejected", "it is the same as chosen")
    for field in ("chosen", "rejected"):
        check_answer(row[field], field)
    check_prompt(row["prompt"])


def _check_ranking(row: Mapping[str, Any]) -> None:
    check_prompt(row["prompt"])
    responses, ranks = row["responses"], row["ranks"]
    if not 2 <= len(responses) <= MOST_RESPONSES:
        raise BadField("responses", f"there are {len(responses)}, not 2 to {MOST_RESPONSES}")
    for index, response in enumerate(responses):
        check_text(response, f"responses[{index}]")
    if len(ranks) != len(responses):
        raise BadField("ranks", f"there are {len(ranks)} for {len(responses)} responses")
    for index, rank in enumerate(ranks):
        if type(rank) is not int or not 1 <= rank <= MOST_RESPONSES:
            raise BadField(f"ranks[{index}]", f"{rank!r} is no whole number from 1 to {MOST_RESPONSES}"[:120])
    if len(set(ranks)) == 1:
        raise BadField("ranks", "no response is better than another")
    rank_of: dict[str, int] = {}
    for index, (response, rank) in enumerate(zip(responses, ranks, strict=True)):
        if rank_of.setdefault(response, rank) != rank:
            raise BadField(f"responses[{index}]", "it stands there twice with different ranks")


def _check_kto(row: Mapping[str, Any]) -> None:
    if not isinstance(row["label"], bool):
        said = "it is missing" if row["label"] is None else f"it is neither true nor false but {row['label']!r}"
        raise BadField("label", said[:120])
    _check_prompt_completion(row)


CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "messages": _check_messages,
    "prompt_completion": _check_prompt_completion,
    "preference": _check_preference,
    "ranking": _check_ranking,
    "kto": _check_kto,
    "prompt": lambda row: check_prompt(row["prompt"]),
    "text": lambda row: check_text(row["text"], "text"),
}
