"""An answer written by a decoder: a prompt that fits its context, a stream, and the check of what came out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from decoder.types import Finished, Message, Sampling, TextDelta
from prompts.grounded import REFUSAL, grounded_answer
from rag.citations import check
from rag.errors import QuestionTooLong
from rag.extract import extract, refusal
from rag.support import Support
from rag.types import Answer, AnswerDelta, Hit, Passage

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Event
    from prompts.template import Prompt

MOST_TOKENS = 512
"""Most tokens of an answer; a quarter of a small context."""
UNTOLD_CONTEXT = 4096
"""The context that is assumed of a decoder that does not tell its own."""
LEAST_CHARACTERS = 80
"""A passage is not cut shorter than this."""
TURNS = 6
"""Earlier messages that are sent along."""


async def written_or_quoted(
    question: str,
    hits: Sequence[Hit],
    support: Support,
    decoder: Decoder | None,
    history: Sequence[Message] = (),
    *,
    sampling: Sampling | None = None,
    prompt: Prompt | None = None,
) -> AsyncGenerator[AnswerDelta | Answer]:
    """`generate`, or without a decoder the answer that is quoted from the hits."""
    if decoder is None:
        answer = extract(support, hits)
        yield AnswerDelta(answer.text)
        yield answer
        return
    async with aclosing(generate(question, hits, support, decoder, history, sampling=sampling, prompt=prompt)) as parts:
        async for part in parts:
            yield part


async def generate(
    question: str,
    hits: Sequence[Hit],
    support: Support,
    decoder: Decoder,
    history: Sequence[Message] = (),
    *,
    sampling: Sampling | None = None,
    prompt: Prompt | None = None,
) -> AsyncGenerator[AnswerDelta | Answer]:
    """Yield the answer as it is written, then the checked Answer, which may say less.

    Args:
        sampling: how tokens are drawn; greedy when None, and at a temperature of 0 where it does not say. An answer
            of more than `MOST_TOKENS` has half of the context at most.
        prompt: one that `prompts.grounded.is_grounded`, in place of grounded-answer.

    Raises:
        QuestionTooLong: even the question alone does not fit the context.
        DecoderError: from the decoder.
    """
    if not support.enough:
        yield refusal(hits, support.confidence)
        return
    asked = sampling or Sampling()
    passages = [hit.passage for hit in hits]
    messages, shown, most = await fit(question, passages, decoder, history, prompt=prompt, max_tokens=asked.max_tokens)
    temperature = 0.0 if asked.temperature is None else asked.temperature
    written = ""
    events = decoder.astream(messages, sampling=replace(asked, temperature=temperature, max_tokens=most))
    async with aclosing(cast("AsyncGenerator[Event]", events)) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                written += event.text
                yield AnswerDelta(event.text)
            elif isinstance(event, Finished):
                written = event.completion.text
    yield judge(written, question, shown, hits, support)


def judge(written: str, question: str, shown: Sequence[Passage], hits: Sequence[Hit], support: Support) -> Answer:
    """What the documents bear out of what was written, or the refusal."""
    checked = check(written, shown, question)
    if not checked.citations:
        return replace(refusal(hits, 1 - support.confidence if _refuses(written) else 0.0), generated=True)
    confidence = support.confidence * checked.overlap
    return Answer(checked.text, checked.citations, confidence, tuple(hits), generated=True)


def _refuses(written: str) -> bool:
    return REFUSAL.rstrip(".").lower() in written.lower()


async def fit(
    question: str,
    passages: Sequence[Passage],
    decoder: Decoder,
    history: Sequence[Message] = (),
    *,
    prompt: Prompt | None = None,
    max_tokens: int | None = None,
) -> tuple[tuple[Message, ...], list[Passage], int]:
    """The prompt that leaves room for an answer, the passages as it shows them, and the answer's most tokens.

    Earlier turns go first, the lowest passages next, and the end of the last one last.

    Raises:
        QuestionTooLong: nothing of a passage would be left.
    """
    context = await decoder.acontext_length() or UNTOLD_CONTEXT
    most = max(1, min(MOST_TOKENS, context // 4) if max_tokens is None else min(max_tokens, context // 2))
    turns, shown = list(history)[-TURNS:], list(passages)

    async def fits() -> bool:
        return await decoder.acount_tokens(_prompt(question, shown, turns, prompt)) + most <= context

    while not await fits():
        if turns:
            del turns[:2]
        elif len(shown) > 1:
            shown.pop()
        else:
            shown = await _clipped(question, shown, decoder, context - most, prompt)
    return _prompt(question, shown, turns, prompt), shown, most


async def _clipped(
    question: str, shown: Sequence[Passage], decoder: Decoder, budget: int, chosen: Prompt | None
) -> list[Passage]:
    """The first passage cut after a word so that the prompt fits, by bisection over its length."""
    whole = shown[0]
    low, high = 0, len(whole.text) - 1
    while low < high:
        middle = (low + high + 1) // 2
        prompt = _prompt(question, [_cut(whole, middle)], (), chosen)
        if await decoder.acount_tokens(prompt) <= budget:
            low = middle
        else:
            high = middle - 1
    if low < min(LEAST_CHARACTERS, len(whole.text) // 2):
        cause = f"a question of {len(question)} characters leaves no room for documents in the decoder's context"
        raise QuestionTooLong("asking", cause, "Ask more briefly, or use a decoder with a longer context")
    return [_cut(whole, low)]


def _cut(passage: Passage, length: int) -> Passage:
    """The passage up to the last white space before `length` characters, its offsets kept right."""
    text = passage.text[:length]
    text = text[: max(text.rfind(" "), text.rfind("\n"), 0)].rstrip() or text
    return replace(passage, text=text, end=passage.start + len(text), line_end=passage.line_start + text.count("\n"))


def _prompt(
    question: str, shown: Sequence[Passage], turns: Sequence[Message], prompt: Prompt | None = None
) -> tuple[Message, ...]:
    labels = [" > ".join(dict.fromkeys((p.location, *p.heading))) for p in shown]
    texts = ["\n".join(part for part in (p.context, p.text) if part) for p in shown]
    return grounded_answer(question, texts, labels, turns, prompt)
