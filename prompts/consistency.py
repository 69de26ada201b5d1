"""Self-consistency: many samples of one conversation, and the answer that most of them come to.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models". Samples are asked for in
windows, each one request whose samples share the prefill, and no more of them than the answer needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from decoder.base import Decoder, run_sync
from decoder.errors import DecoderError, DecoderTimeout, UsageError
from decoder.types import Constraint, Prompt, Sampling, Usage, as_messages
from prompts import voting
from prompts.confidence import Confidence, p_true
from prompts.drawing import Drawing, Sample, Task
from prompts.extract import Extractor, extractor
from prompts.extract_found import Found
from prompts.stopping import Reason, Stopping, leads, verdict
from prompts.voting import Ballot, Method, Vote

STEP = "self-consistency"
TEMPERATURE = 0.7
"""Where the caller names none; the paper's for its largest models."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """An answer with its evidence.

    Attributes:
        answer: the answer with most votes; None when no sample could be read.
        votes: every answer's votes, best first.
        confidence: the answer's share of all weight, from 0 to 1. How often such an answer is right is another matter.
        lead: the probability that it leads the second answer, by the Beta rule.
        samples: everything drawn, in order; those without an answer are told by `unread` and `failed`.
        asked: samples that were allowed.
        usage: tokens spent, confidences included.
        requests: requests that brought samples.
        tokens_saved: estimate: the samples not drawn, at the mean length of those drawn.
        prefill_saved: prompt tokens that were not computed again because samples shared a request.
        stopped: why no more were drawn.
        seconds: how long it took.
    """

    answer: Found | None
    votes: tuple[Vote, ...]
    confidence: float
    lead: float
    samples: tuple[Sample, ...]
    asked: int
    usage: Usage
    requests: int
    tokens_saved: int
    prefill_saved: int
    stopped: Reason
    seconds: float

    @property
    def text(self) -> str:
        """The first sample that came to the answer, whole; empty without an answer."""
        if self.answer is None:
            return ""
        key = self.answer.key
        return next(sample.text for sample in self.samples if sample.answer and sample.answer.key == key)

    @property
    def unread(self) -> int:
        """Samples in which no answer could be read, those cut off among them."""
        return sum(sample.answer is None and not sample.error for sample in self.samples)

    @property
    def failed(self) -> int:
        """Samples that the decoder failed to bring."""
        return sum(bool(sample.error) for sample in self.samples)


async def aself_consistency(
    decoder: Decoder,
    prompt: Prompt,
    *,
    extract: str | Extractor = "number",
    samples: int = 40,
    vote: Method = "majority",
    stopping: Stopping | None = None,
    sampling: Sampling | None = None,
    constraint: Constraint | None = None,
    confidence: Confidence = p_true,
    temperature: float = voting.TEMPERATURE,
    on_window: Callable[[tuple[Vote, ...], int], None] | None = None,
) -> Consensus:
    """Draw up to `samples` samples and vote.

    The same seed (0 when `sampling` has none) gives the same samples wherever the decoder repeats itself; give
    another for others. A decoder without `n` is asked for one sample at a time, a window at once.

    Args:
        prompt: a text, or the conversation, such as `Prompt.render` gives.
        extract: how answers are read, as in `prompts.extract.extractor`.
        vote: majority, logprob or confidence; see `prompts.voting`.
        stopping: when fewer samples are enough, and budgets; `prompts.stopping.NEVER` draws all.
        confidence: how sure a sample is, for `vote="confidence"`.
        temperature: of the softmax over confidences.
        on_window: called with the votes and the number of samples so far.

    Raises:
        UsageError: sampling that makes all samples alike, a vote that needs log-probabilities the decoder does not
            give, or other arguments that cannot be used.
        DecoderError: not one sample could be drawn.
    """
    rules, sampling = stopping or Stopping(), _sampling(sampling, samples, vote)
    reader = extractor(extract) if isinstance(extract, str) else extract
    await decoder.aready()
    asking = confidence if vote == "confidence" else None
    task = Task(decoder, as_messages(prompt), sampling, constraint, reader, asking)
    run = _Run(Drawing(task), task, rules, samples, vote, temperature, on_window)
    started = time.monotonic()
    try:
        async with asyncio.timeout(rules.seconds):
            stopped = await run.draw()
    except TimeoutError:
        stopped = "seconds"
    return run.consensus(stopped, time.monotonic() - started)


def self_consistency(
    decoder: Decoder,
    prompt: Prompt,
    *,
    extract: str | Extractor = "number",
    samples: int = 40,
    vote: Method = "majority",
    stopping: Stopping | None = None,
    sampling: Sampling | None = None,
    constraint: Constraint | None = None,
    confidence: Confidence = p_true,
    temperature: float = voting.TEMPERATURE,
    on_window: Callable[[tuple[Vote, ...], int], None] | None = None,
) -> Consensus:
    """`aself_consistency` for code without an event loop."""
    return run_sync(
        aself_consistency(
            decoder,
            prompt,
            extract=extract,
            samples=samples,
            vote=vote,
            stopping=stopping,
            sampling=sampling,
            constraint=constraint,
            confidence=confidence,
            temperature=temperature,
            on_window=on_window,
        )
    )


def _sampling(given: Sampling | None, samples: int, vote: Method) -> Sampling:
    """What every sample is drawn with. Raises UsageError."""
    sampling = given or Sampling()
    if samples < 1:
        raise UsageError(STEP, f"samples={samples} is below 1", "Ask for at least one")
    if vote not in voting.METHODS:
        raise UsageError(STEP, f"no vote is called {vote!r}", f"Choose one of {', '.join(voting.METHODS)}")
    if sampling.n != 1:
        raise UsageError(STEP, f"sampling has n={sampling.n}", "Say how many with `samples`")
    if sampling.temperature == 0 and samples > 1:
        raise UsageError(STEP, "at temperature 0 all samples are alike", f"Choose one such as {TEMPERATURE}")
    if sampling.temperature is None:
        sampling = replace(sampling, temperature=TEMPERATURE)
    return replace(sampling, logprobs=sampling.logprobs or 0) if vote == "logprob" else sampling


@dataclass(slots=True)
class _Run:
    """One question at work."""

    drawing: Drawing
    task: Task
    rules: Stopping
    asked: int
    vote: Method
    temperature: float
    on_window: Callable[[tuple[Vote, ...], int], None] | None
    votes: tuple[Vote, ...] = ()

    async def draw(self) -> Reason:
        """Window after window, until a rule says why to stop."""
        first = 0
        prompt_tokens = await self.task.decoder.acount_tokens(self.task.messages) if self.rules.tokens else 0
        while True:
            wanted = min(self.rules.window if first == 0 else self.rules.step, self.asked - first)
            count, max_tokens = self._affordable(wanted, prompt_tokens)
            if count == 0:
                return "tokens"
            await self.drawing.draw(first, count, max_tokens)
            window = [self.drawing.samples[index] for index in range(first, first + count)]
            first += count
            self._count_votes()
            if self.on_window is not None:
                self.on_window(self.votes, first)
            if all(sample.finish_reason is None for sample in window):
                return "failing"
            # A weight of the softmax over all samples says nothing of the next sample's.
            most = None if self.vote == "confidence" else 1.0
            keys = [sample.answer.key if sample.answer else None for sample in window]
            if reason := verdict(self.rules, self.votes, keys, self.asked - first, most):
                return reason

    def _affordable(self, wanted: int, prompt_tokens: int) -> tuple[int, int | None]:
        """How many samples of the next window the budget allows, and the most tokens of each."""
        limit, budget = self.task.sampling.max_tokens, self.rules.tokens
        if budget is None:
            return wanted, limit
        left = budget - self.drawing.usage.total_tokens - prompt_tokens
        drawn = len(self.drawing.samples)
        expected = self.drawing.drawn_tokens / drawn if drawn else limit or 1
        count = min(wanted, int(left // max(1, expected)))
        return (0, None) if count < 1 else (count, min(limit or left, left // count))

    def _count_votes(self) -> None:
        samples = [self.drawing.samples[index] for index in sorted(self.drawing.samples)]
        ballots = [
            Ballot(each.answer.key, each.answer.text, each.logprob, each.confidence) for each in samples if each.answer
        ]
        self.votes = voting.tally(ballots, self.vote, self.temperature)

    def consensus(self, stopped: Reason, seconds: float) -> Consensus:
        """What came of it. Raises DecoderError when nothing did."""
        self._count_votes()
        drawing = self.drawing
        samples = tuple(drawing.samples[index] for index in sorted(drawing.samples))
        brought = [sample for sample in samples if sample.finish_reason is not None]
        if not brought:
            self._nothing(stopped)
        first = next((s.answer for s in samples if s.answer and s.answer.key == self.votes[0].key), None)
        second = max((vote.count for vote in self.votes[1:]), default=0)
        mean = drawing.drawn_tokens / len(brought)
        shared = drawing.usage.prompt_tokens // max(1, drawing.requests) if self.vote != "confidence" else 0
        return Consensus(
            answer=first,
            votes=self.votes,
            confidence=self.votes[0].share if self.votes else 0.0,
            lead=leads(self.votes[0].count, second) if self.votes else 0.0,
            samples=samples,
            asked=self.asked,
            usage=drawing.usage,
            requests=drawing.requests,
            tokens_saved=round(mean * (self.asked - len(brought))),
            prefill_saved=shared * (len(brought) - drawing.requests),
            stopped=stopped,
            seconds=seconds,
        )

    def _nothing(self, stopped: Reason) -> None:
        failure: DecoderError | None = self.drawing.failure
        if failure is not None:
            raise failure
        if stopped == "tokens":
            cause = f"{self.rules.tokens} tokens do not hold the prompt and one sample"
            raise UsageError(STEP, cause, "Allow more tokens, or lower max_tokens")
        cause = f"no sample came within {self.rules.seconds:g} s" if self.rules.seconds else "no sample came"
        raise DecoderTimeout(STEP, cause, "Allow more seconds, or lower max_tokens")
