"""Draws samples of one conversation: several in one request where the decoder can, singly where it cannot.

What one request costs the others is kept small: a request for several that fails is asked again one by one, and a
sample that fails is kept with its error. Every sample has a seed of its own, so no two requests draw the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from decoder.base import Decoder
from decoder.errors import (
    ConnectFailed,
    ConstraintRefused,
    ContextOverflow,
    DecoderError,
    MalformedResponse,
    RateLimited,
    RequestRefused,
    UnknownModel,
)
from decoder.types import Choice, Constraint, FinishReason, Message, Sampling, Usage
from prompts.concurrency import run_bounded
from prompts.confidence import Confidence, mean_logprob
from prompts.extract import Extractor
from prompts.extract_found import Found

ASKING_AGAIN_IS_VAIN = (ConnectFailed, ConstraintRefused, ContextOverflow, RateLimited, UnknownModel)
LARGEST_SEED = 2**31 - 1
"""Some servers keep seeds in 32 bits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion and what was read in it.

    Attributes:
        index: its place, from 0.
        answer: None when there is none that can be read.
        finish_reason: None when it failed.
        logprob: mean natural-log probability of its tokens, where the decoder told.
        confidence: how sure the model is of it, where that was asked.
        error: why there is no text; empty when there is one.
    """

    index: int
    text: str = ""
    answer: Found | None = None
    finish_reason: FinishReason | None = None
    logprob: float | None = None
    confidence: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be drawn, and how it is read."""

    decoder: Decoder
    messages: tuple[Message, ...]
    sampling: Sampling
    constraint: Constraint | None
    extractor: Extractor
    confidence: Confidence | None = None


class Drawing:
    """Samples as they come.

    Attributes:
        samples: those drawn so far, by index.
        usage: tokens of everything that was asked.
        drawn_tokens: completion tokens of the samples alone.
        requests: how many brought samples.
        failure: the last error, if any.
    """

    def __init__(self, task: Task) -> None:
        self.samples: dict[int, Sample] = {}
        self.usage, self.drawn_tokens, self.requests = Usage(), 0, 0
        self.failure: DecoderError | None = None
        self._task, self._singly = task, False

    async def draw(self, first: int, count: int, max_tokens: int | None) -> None:
        """Add the samples from `first` on. Those that fail are added with their error; UsageError is raised."""
        if count > 1 and not self._singly:
            try:
                await self._ask(range(first, first + count), max_tokens)
                return
            except ASKING_AGAIN_IS_VAIN as error:
                self._failed(range(first, first + count), error)
                return
            except DecoderError as error:
                self.failure = error
                # Asked n times for one each from now on, when it is n itself that the server cannot do.
                self._singly = isinstance(error, (MalformedResponse, RequestRefused))
        missing = [index for index in range(first, first + count) if index not in self.samples]
        await run_bounded([partial(self._single, index, max_tokens) for index in missing], count)

    async def _single(self, index: int, max_tokens: int | None) -> None:
        try:
            await self._ask(range(index, index + 1), max_tokens)
        except DecoderError as error:
            self._failed([index], error)

    async def _ask(self, indices: range, max_tokens: int | None) -> None:
        task = self._task
        seed = ((task.sampling.seed or 0) + indices.start) % LARGEST_SEED
        sampling = replace(task.sampling, n=len(indices), seed=seed, max_tokens=max_tokens)
        completion = await task.decoder.acomplete(task.messages, sampling=sampling, constraint=task.constraint)
        self._count(completion.usage)
        self.drawn_tokens += completion.usage.completion_tokens
        self.requests += 1
        for index, choice in zip(indices, completion.choices, strict=False):
            self.samples[index] = await self._sample(index, choice)
        if len(completion.choices) < len(indices):
            cause = f"the decoder made {len(completion.choices)} of {len(indices)} choices"
            raise MalformedResponse("drawing samples", cause, "Ask one by one")

    async def _sample(self, index: int, choice: Choice) -> Sample:
        answer = self._task.extractor.find(choice.text)
        if answer is not None and choice.finish_reason == "length" and not answer.announced:
            answer = None  # a number in a chain that was cut off is no answer
        sample = Sample(index, choice.text, answer, choice.finish_reason, mean_logprob(choice))
        if answer is None or self._task.confidence is None:
            return sample
        try:
            sure, usage = await self._task.confidence(self._task.decoder, self._task.messages, choice)
        except DecoderError as error:
            self.failure = error
            return replace(sample, answer=None, error=str(error))
        self._count(usage)
        return replace(sample, confidence=sure)

    def _failed(self, indices: Sequence[int], error: DecoderError) -> None:
        self.failure = error
        for index in indices:
            self.samples.setdefault(index, Sample(index, error=str(error)))

    def _count(self, usage: Usage) -> None:
        had = self.usage
        cached = None if usage.cached_tokens is None else (had.cached_tokens or 0) + usage.cached_tokens
        self.usage = Usage(
            had.prompt_tokens + usage.prompt_tokens,
            had.completion_tokens + usage.completion_tokens,
            had.cached_tokens if cached is None else cached,
        )
