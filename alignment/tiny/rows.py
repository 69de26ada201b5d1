"""Cases as rows: plain text for pretraining, conversations under the house's own prompts for supervised training."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from alignment.tiny.arithmetic import Problem
from alignment.tiny.facts import Grounded
from alignment.tiny.records import SCHEMA, Order

if TYPE_CHECKING:
    from decoder.types import Message

Turn = dict[str, str]
Conversation = list[Turn]

STEPS, NUMBER = "Think step by step.", "Answer with the number alone."
FROM_PASSAGES, FIELDS = "Answer from the passages.", "Answer with one JSON object."


def direct_task() -> dict[str, str]:
    """What the library's prompt `zero-shot` is given for a word problem."""
    return {"task": "Solve the problem. The result is one number."}


def text(conversation: Sequence[Turn]) -> dict[str, str]:
    """A conversation as plain text, as the chat template writes it, without the begin token."""
    from alignment.tokenizer_training import END

    return {"text": "\n".join(f"<|{turn['role']}|>\n{turn['content']}{END}" for turn in conversation)}


def turns(*contents: str, system: str = "") -> Conversation:
    """User and assistant in turns."""
    said = [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]
    return [{"role": "system", "content": system}, *said] if system else said


def short_grounded(case: Grounded, answer: str) -> Conversation:
    """Passages and question in few tokens."""
    numbered = "\n".join(f"[{number}] {told}" for number, told in enumerate(case.passages, 1))
    return turns(f"{numbered}\n\nQuestion: {case.question}", answer, system=FROM_PASSAGES)


def house_grounded(case: Grounded, answer: str, random: Random) -> Conversation:
    """As the knowledge base asks."""
    from prompts.grounded import grounded_answer

    labels = [f"notes.txt, line {random.randint(1, 99)}" for _ in case.passages]
    return said(grounded_answer(case.question, case.passages, labels), answer)


def house_solved(problem: Problem) -> Conversation:
    """As the library's `zero-shot-cot` asks."""
    return said(_library("zero-shot-cot").render(question=problem.question), problem.solution)


def house_direct(problem: Problem) -> Conversation:
    """As the library's `zero-shot` asks."""
    return said(_library("zero-shot").render(**direct_task(), input=problem.question), str(problem.answer))


def house_order(order: Order) -> Conversation:
    """As `zero-shot` asks with an output schema."""
    return said(order_prompt().render(input=order.text), order.json)


def order_prompt() -> Any:
    """The library's `zero-shot` with the schema of orders."""
    from prompts.techniques import output_format

    return output_format(_library("zero-shot").bind(task="Read the order."), SCHEMA)


def said(messages: Sequence[Message], answer: str) -> Conversation:
    """A rendered prompt and what the assistant answers."""
    return [*({"role": each.role, "content": each.text} for each in messages), {"role": "assistant", "content": answer}]


def _library(name: str) -> Any:
    from prompts.folders import load

    return load(name)
