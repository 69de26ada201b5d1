"""Held-out rows as text to measure a loss on: of a conversation, the assistant's last turn after all that came before.

The chat template is the model's own, so that what is measured reads as what was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.errors import DataError
from alignment.evaluate_answers import Ask
from alignment.evaluate_loss import Text
from alignment.sections import DataSection

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STEP = "reading held-out rows"


def held_out_texts(source: str | Path, model: str | Path, limit: int = 0) -> tuple[Text, ...]:
    """The rows of a data set as texts; rows that cannot be used are passed over.

    Args:
        model: a folder with the tokenizer, of an adapter too; opened for conversations alone.
        limit: use the first so many; 0 means all.

    Raises:
        DataError: there are no rows, or rows that hold no text to measure (votes, prompts).
        ModelError: the tokenizer cannot be loaded, or has no chat template.
    """
    rows, form = _rows(str(source))
    rows = rows[: limit or None]
    if form == "text":
        return tuple(Text(str(n), row["text"]) for n, row in enumerate(rows, 1))
    pairs = [_pair(row, form) for row in rows]
    tokenizer = _tokenizer(model) if any(not isinstance(before, str) for before, _ in pairs) else None
    return tuple(Text(str(n), *_spoken(tokenizer, *pair)) for n, pair in enumerate(pairs, 1))


def _rows(source: str) -> tuple[list[dict[str, Any]], str]:
    from alignment.data import load_data

    refusal: DataError | None = None
    for stage in ("sft", "dpo", "pretrain"):
        try:
            data = load_data(DataSection(train=source, skip_bad=True, deduplicate=False), stage)
        except DataError as error:
            refusal = refusal or error
        else:
            return data.train, data.format
    assert refusal is not None  # noqa: S101  # there is one a stage
    raise DataError(STEP, refusal.cause, "Give conversations, prompts with answers, pairs or text") from refusal


def _pair(row: Mapping[str, Any], form: str) -> tuple[Any, Any]:
    """What comes before, and the answer that is measured."""
    if form == "messages":
        return row["messages"][:-1], row["messages"][-1:]
    if form == "preference":
        return row["prompt"], row["chosen"]
    return row["prompt"], row["completion"]


def _spoken(tokenizer: PreTrainedTokenizerBase | None, before: Any, said: Any) -> tuple[str, str]:
    """The answer, and what comes before it."""
    if isinstance(before, str) or tokenizer is None:
        return str(said), str(before)
    turns = [{"role": "assistant", "content": said}] if isinstance(said, str) else list(said)
    prompt = str(tokenizer.apply_chat_template(list(before), tokenize=False, add_generation_prompt=True))
    whole = str(tokenizer.apply_chat_template([*before, *turns], tokenize=False))
    answer = whole[len(prompt) :] if whole.startswith(prompt) else str(turns[-1].get("content") or "")
    return answer, prompt


def _tokenizer(model: str | Path) -> Any:
    from alignment.errors import ModelError
    from alignment.models import load_tokenizer
    from alignment.sections import ModelSection

    tokenizer = load_tokenizer(ModelSection(path=str(model)))
    if not tokenizer.chat_template:
        raise ModelError(STEP, f"{model} has no chat template", "Give rows of prompt and completion, or of text")
    return tokenizer


def asked_prompts(source: str | Path, limit: int = 0) -> tuple[Ask, ...]:
    """The prompts of a data set, for answers to be compared; of conversations, all but the last answer.

    Raises DataError: there are none.
    """
    from alignment.data import load_data
    from decoder.types import Message

    data = load_data(DataSection(train=str(source), skip_bad=True), "grpo")
    found = []
    for number, row in enumerate(data.train[: limit or None], 1):
        said = row["prompt"]
        turns: list[dict[str, Any]] = [{"role": "user", "content": said}] if isinstance(said, str) else said
        found.append(Ask(str(number), tuple(Message(turn["role"], turn["content"]) for turn in turns)))
    return tuple(found)
