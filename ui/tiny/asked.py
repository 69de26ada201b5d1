"""Orders held to a schema, and conversations whose last turn needs an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from alignment.tiny import rows
from alignment.tiny.dialogue import Turns
from alignment.tiny.records import Order
from decoder.errors import ServiceError
from decoder.types import Message, assistant, user
from prompts.asking import ask
from prompts.results import EvalProgress
from ui.tiny.scores import GREEDY, Measure, Tell, scores

if TYPE_CHECKING:
    from decoder.base import Decoder

FIELDS = ("name", "thing", "count", "day")


def orders(decoder: Decoder, cases: Sequence[Order], tell: Tell) -> Measure:
    """Whether every field of the record is right, where the decoder is held to the schema."""
    started, tokens, failed = perf_counter(), 0, {}
    found: list[Any] = []
    prompt = rows.order_prompt()
    for at, case in enumerate(cases):
        tell(EvalProgress("asking", at, len(cases)))
        try:
            reply = ask(decoder, prompt, {"input": case.text}, GREEDY)
        except ServiceError as error:  # such as a name that goes on until max_tokens
            failed[str(at)] = str(error)
            found.append({})
            continue
        tokens += reply.usage.completion_tokens
        found.append(reply.value)
    pairs = list(zip(found, (case.record for case in cases), strict=True))
    judged = {"all fields": [value == record for value, record in pairs]}
    judged |= {field: [value.get(field) == record[field] for value, record in pairs] for field in FIELDS}
    return Measure("orders", scores(judged), (), tokens, perf_counter() - started, failed)


def dialogues(decoder: Decoder, cases: Sequence[Turns], tell: Tell) -> Measure:
    """Whether the last answer is the very one, after turns as they should have gone."""
    started, tokens, failed = perf_counter(), 0, {}
    right = []
    for at, turns in enumerate(cases):
        tell(EvalProgress("asking", at, len(cases)))
        try:
            said = decoder.complete(_before(turns), sampling=GREEDY)
        except ServiceError as error:
            failed[str(at)] = str(error)
            right.append(False)
            continue
        tokens += said.usage.completion_tokens
        right.append(said.text.strip() == turns[-1][1])
    return Measure("dialogues", scores({"last answer": right}), (), tokens, perf_counter() - started, failed)


def _before(turns: Turns) -> list[Message]:
    earlier = [message for question, answer in turns[:-1] for message in (user(question), assistant(answer))]
    return [*earlier, user(turns[-1][0])]
