"""The few prompts that a run is asked again and again, as the model reads them; and the tokenizer that is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
COUNT = 3
OPENING = 6
"""Words of a plain text that are asked to be gone on with."""
COMPARED = 8
"""Rows that are rendered by both templates before the original one is trusted to be the same."""


def sampling_prompts(tokenizer: Any, rows: Rows, count: int = COUNT) -> tuple[str, ...]:
    """The first `count` different prompts of the rows, the chat template applied; of plain text the first words."""
    found: dict[str, None] = {}
    for row in rows:
        if len(found) == count:
            break
        if prompt := _prompt(tokenizer, row):
            found[prompt] = None
    return tuple(found)


def inference_tokenizer(original: Any, training: Any, rows: Rows) -> Any:
    """The tokenizer to save with the result: the original, unless training rendered conversations otherwise.

    Markers of what the assistant says (`{% generation %}`) leave no trace in the text, and some servers cannot read
    them; a template that renders otherwise is what was taught, and must be kept.
    """
    talks = [messages for row in rows[:COMPARED] if (messages := _messages(row))]
    if original.chat_template == training.chat_template or not talks:
        return original
    same = original.chat_template is not None and all(
        _render(original, talk) == _render(training, talk) for talk in talks
    )
    return original if same else training


def _prompt(tokenizer: Any, row: Mapping[str, Any]) -> str:
    prompt = " ".join(row["text"].split()[:OPENING]) if "text" in row else row.get("prompt")
    if isinstance(prompt, str):
        begins = tokenizer(prompt)["input_ids"][:1] == [tokenizer.bos_token_id]
        return (tokenizer.bos_token if begins else "") + prompt
    messages = list(prompt if prompt is not None else row.get("messages", []))
    while messages and prompt is None and messages[-1]["role"] != "user":
        messages.pop()
    return _render(tokenizer, messages, begin=True) if messages else ""


def _messages(row: Mapping[str, Any]) -> list[Any]:
    if "messages" in row:
        return list(row["messages"])
    talk = [row.get("prompt"), row.get("completion", row.get("chosen"))]
    return [message for part in talk if isinstance(part, list) for message in part]


def _render(tokenizer: Any, messages: list[Any], begin: bool = False) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=begin)
    return text
