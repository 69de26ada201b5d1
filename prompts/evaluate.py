"""Measure a prompt on questions with known answers: right or wrong, tokens and time, a row each.

Works with single answers and with self-consistency. A question that the decoder fails on is kept with its error,
counts as wrong and is asked again when the run is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any, TypeAlias

from decoder.base import Decoder, run_sync
from decoder.errors import ServiceError, UsageError
from decoder.types import Sampling, Usage
from prompts.asking import aask, merged
from prompts.concurrency import run_bounded
from prompts.consistency import aself_consistency
from prompts.extract import Extractor, is_right
from prompts.extract_found import Found
from prompts.figures import compare_rows, summarise
from prompts.intervals import Interval
from prompts.items import Item
from prompts.results import EvalProgress, Sink, key_of
from prompts.stopping import Stopping
from prompts.template import Prompt
from prompts.voting import Method

CONCURRENCY = 8
FAILURES = 20
"""So many failures with no answer in between, beyond those under way, and the run ends: the decoder is gone."""
Known: TypeAlias = Mapping[str, "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one item.

    Attributes:
        key: a hash of everything that the result depends on: conversation, sampling, model, how answers are read.
        prompt, version: which prompt.
        answer: what was read in the output; empty when nothing could be.
        right: the right answers as written.
        output: what the model wrote; with self-consistency, the first sample that came to the answer.
        metrics: accuracy and read (0 or 1), prompt_tokens, completion_tokens; with self-consistency also samples and
            confidence. None where an item has no such figure.
        timings: seconds: answer.
        error: why there is no answer; empty when there is one.
    """

    key: str
    prompt: str
    version: str
    id: str
    answer: str = ""
    right: Sequence[str] = ()
    output: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How a prompt is put to the decoder and read.

    Attributes:
        sampling: what it sets takes the place of the prompt's own.
        samples: 1 asks once; more is self-consistency, for which a prompt's own temperature of 0 does not count.
        vote, stopping: of self-consistency.
    """

    extractor: Extractor
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    vote: Method = "majority"
    stopping: Stopping = field(default_factory=Stopping)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of one prompt.

    Attributes:
        rows: one an item, in the order of the items.
        resumed: how many of them an earlier run had left.
    """

    prompt: Prompt
    rows: tuple[Row, ...]
    resumed: int = 0

    def summary(self, seed: int = 0) -> dict[str, Interval]:
        """Each figure's mean with its 95% interval: Wilson's for shares, a seeded bootstrap for others."""
        return summarise(self.rows, seed)

    @property
    def failed(self) -> dict[str, str]:
        """Items that the decoder failed on, by id, with the reason."""
        return {row.id: row.error for row in self.rows if row.error}

    @property
    def latency(self) -> dict[str, float]:
        """Median and 95th percentile of the seconds of an answer, under the concurrency of the run."""
        seconds = sorted(row.timings["answer"] for row in self.rows if "answer" in row.timings)
        if not seconds:
            return {}
        return {"median": median(seconds), "p95": seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]}


def compare(first: Evaluation, second: Evaluation, seed: int = 0) -> dict[str, Interval]:
    """Second minus first, figure by figure: paired differences with seeded bootstrap intervals."""
    return compare_rows(first.rows, second.rows, seed)


async def aevaluate(
    decoder: Decoder,
    prompt: Prompt,
    items: Sequence[Item],
    way: Way,
    *,
    concurrency: int = CONCURRENCY,
    known: Known | None = None,
    keep: Sink[Row] | None = None,
    on_progress: Callable[[EvalProgress], None] | None = None,
) -> Evaluation:
    """Put every item to the decoder and judge what comes back.

    Args:
        concurrency: items under way at once, at least 1.
        known: rows of an earlier run by key: those without an error are not asked again.
        keep: takes each new row at once, in the order they are done.

    Raises:
        UsageError: there are no items, or arguments that cannot be used.
        ServiceError: the decoder failed so often in a row that it must be gone; what was kept lets the run go on.
    """
    if not items or concurrency < 1:
        raise UsageError("evaluating", "there are no items, or concurrency is below 1", "Give some")
    await decoder.aready()
    run = _Run(decoder, prompt, way, len(items), concurrency, keep, on_progress)
    for item in items:
        row = (known or {}).get(run.key(item))
        if row is not None and not row.error:
            run.rows[item.id] = row
    resumed = len(run.rows)
    run.progress()
    await run_bounded([partial(run.ask, item) for item in items if item.id not in run.rows], concurrency)
    return Evaluation(prompt, tuple(run.rows[item.id] for item in items), resumed)


def evaluate(
    decoder: Decoder,
    prompt: Prompt,
    items: Sequence[Item],
    way: Way,
    *,
    concurrency: int = CONCURRENCY,
    known: Known | None = None,
    keep: Sink[Row] | None = None,
    on_progress: Callable[[EvalProgress], None] | None = None,
) -> Evaluation:
    """`aevaluate` for code without an event loop."""
    return run_sync(
        aevaluate(decoder, prompt, items, way, concurrency=concurrency, known=known, keep=keep, on_progress=on_progress)
    )


@dataclass(slots=True)
class _Run:
    """One prompt at work."""

    decoder: Decoder
    prompt: Prompt
    way: Way
    total: int
    concurrency: int
    keep: Sink[Row] | None
    on_progress: Callable[[EvalProgress], None] | None
    rows: dict[str, Row] = field(default_factory=dict)
    failures: int = 0

    def key(self, item: Item) -> str:
        """What the result of this item depends on."""
        way, prompt = self.way, self.prompt
        messages = [asdict(message) for message in prompt.render(**item.values_for(prompt))]
        drawn = merged(prompt.sampling, way.sampling)
        voting = (way.samples, way.vote, asdict(way.stopping)) if way.samples > 1 else ()
        who = (type(self.decoder).__name__, self.decoder.model)
        return key_of(
            prompt.name, prompt.version, item.id, messages, prompt.schema, asdict(drawn), voting, who,
            way.extractor.kind, item.answers,
        )  # fmt: skip

    def progress(self) -> None:
        """Say how far it is."""
        if self.on_progress is not None:
            self.on_progress(EvalProgress("asking", len(self.rows), self.total))

    async def ask(self, item: Item) -> None:
        """One item's row, kept. Raises ServiceError when the decoder must be gone."""
        started = time.perf_counter()
        try:
            found = await self._answer(item)
        except ServiceError as error:
            self.failures += 1
            if self.failures >= FAILURES + self.concurrency:
                raise
            found = {"metrics": {"accuracy": 0.0, "read": 0.0}, "error": str(error)}
        else:
            self.failures = 0
            found["timings"] = {"answer": time.perf_counter() - started}
        row = self._row(item, **found)
        self.rows[item.id] = row
        if self.keep is not None:
            self.keep(row)
        self.progress()

    async def _answer(self, item: Item) -> dict[str, Any]:
        values = item.values_for(self.prompt)
        if self.way.samples > 1:
            return await self._vote(item, values)
        reply = await aask(self.decoder, self.prompt, values, self.way.sampling)
        found = self.way.extractor.find(reply.text)
        if found is not None and reply.truncated and not found.announced:
            found = None  # what stands in a chain that was cut off is no answer
        return self._judged(item, found, reply.text, reply.usage)

    async def _vote(self, item: Item, values: Mapping[str, Any]) -> dict[str, Any]:
        prompt, way = self.prompt, self.way
        found = await aself_consistency(
            self.decoder,
            prompt.render(**values),
            extract=way.extractor,
            samples=way.samples,
            vote=way.vote,
            stopping=way.stopping,
            sampling=warm(prompt, way.sampling),
            constraint=prompt.constraint if "json" in self.decoder.constraints else None,
        )
        judged = self._judged(item, found.answer, found.text, found.usage)
        more = {"samples": float(len(found.samples)), "confidence": found.confidence}
        return {**judged, "metrics": {**judged["metrics"], **more}}

    def _judged(self, item: Item, found: Found | None, output: str, usage: Usage) -> dict[str, Any]:
        metrics = {
            "accuracy": float(is_right(found, item.right, self.way.extractor)),
            "read": float(found is not None),
            "prompt_tokens": float(usage.prompt_tokens),
            "completion_tokens": float(usage.completion_tokens),
        }
        return {"answer": found.text if found else "", "output": output, "metrics": metrics}

    def _row(self, item: Item, **found: Any) -> Row:
        return Row(self.key(item), self.prompt.name, self.prompt.version, item.id, right=item.answers, **found)


def warm(prompt: Prompt, wanted: Sampling) -> Sampling:
    """The sampling of samples that are to differ: a prompt that is greedy by itself leaves the temperature open."""
    greedy = prompt.sampling.temperature == 0 and wanted.temperature is None
    return merged(replace(prompt.sampling, temperature=None) if greedy else prompt.sampling, wanted)
