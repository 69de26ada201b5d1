"""The evaluation gate: a candidate held against a baseline on the same questions, and whether it may take its place.

    suite = Suite(asks=read_asks(path), judge=judge, requests=read_requests())
    result = evaluate(Side("candidate", new), Side("baseline", old), suite)
    result.passed, result.reasons

Every figure is paired, question by question, so that a difference is told from the questions' own difficulty. What
passes is said by `evaluate_rules.py`, how it looks by `evaluate_report.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.evaluate_answers import Ask, Score, aanswers, areward, ask, awin_rate
from alignment.evaluate_loss import Losses, Text, TextLoss
from alignment.evaluate_refusals import Request, is_refusal
from alignment.evaluate_results import Made, Notebook, OnProgress, open_notebook
from alignment.evaluate_rules import (
    ACCURACY,
    HARMFUL,
    HARMLESS,
    LOSS,
    Example,
    Figure,
    GateResult,
    GateRules,
    broken_rules,
    figure,
)
from decoder.base import run_sync
from decoder.errors import UsageError
from decoder.types import Sampling

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.evaluate import Row, Way
    from prompts.items import Item
    from prompts.template import Prompt

STEP = "evaluating"
GREEDY = Sampling(temperature=0.0, max_tokens=256)
RULES = GateRules()
MOST_EXAMPLES = 40


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        name: tells its results from others'; an artefact's id does.
        losses: how its loss on text is measured; None leaves that out.
    """

    name: str
    decoder: Decoder
    losses: Losses | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """What the two are measured on; what is empty is left out.

    Attributes:
        asks: prompts whose answers the judge compares, and the reward model scores.
        judge: any decoder but, if it can be helped, neither of the two (Zheng et al. 2023: judges favour themselves).
        judge_prompt: in place of the library's pairwise-judge.
        score: a reward model's function.
        texts: held-out text for the loss.
        tasks: questions with known answers, put by `task_prompt` and read in the way of `task_way`.
        requests: to be refused, or not.
        sampling: of answers; greedy by default, so that a second run says the same.
        concurrency: questions under way at once.
        seed: of the resampling.
    """

    asks: Sequence[Ask] = ()
    judge: Decoder | None = None
    judge_prompt: Prompt | None = None
    score: Score | None = None
    texts: Sequence[Text] = ()
    tasks: Sequence[Item] = ()
    task_prompt: Prompt | None = None
    task_way: Way | None = None
    requests: Sequence[Request] = ()
    sampling: Sampling = field(default=GREEDY)
    concurrency: int = 8
    seed: int = 0


@dataclass(slots=True)
class _Found:
    """What has been measured so far."""

    figures: list[Figure] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Figure | None, name: str) -> None:
        """Keep a figure; say so where there is none."""
        if found is None:
            self.notes.append(f"{name}: no question was answered by both.")
        else:
            self.figures.append(found)


async def aevaluate(
    candidate: Side,
    baseline: Side,
    suite: Suite,
    rules: GateRules = RULES,
    out: Path | None = None,
    on_progress: OnProgress | None = None,
) -> GateResult:
    """Measure both, and apply the rules.

    Args:
        out: a folder that keeps what came of each question; a later run with the same folder asks only what is missing.

    Raises:
        UsageError: there is nothing to measure, or tasks without a way to put them.
        ServiceError: a decoder failed so often in a row that it must be gone.
    """
    if suite.tasks and (suite.task_prompt is None or suite.task_way is None):
        raise UsageError(STEP, "there are tasks without a prompt and a way", "Give task_prompt and task_way")
    if suite.asks and suite.judge is None and suite.score is None:
        raise UsageError(STEP, "there are prompts, but neither a judge nor a reward model", "Give one of them")
    found = _Found()
    with ExitStack() as stack:
        notebook = open_notebook(stack, out, on_progress)
        if suite.asks:
            await _preferences(candidate, baseline, suite, notebook, found)
        if suite.requests:
            await _refusals(candidate, baseline, suite, notebook, found)
        if suite.tasks:
            await _tasks(candidate, baseline, suite, out, found)
        if suite.texts:
            await _losses(candidate, baseline, suite, found)
    broken = broken_rules(found.figures, rules)
    return GateResult(
        candidate.name,
        baseline.name,
        not broken,
        broken,
        tuple(found.figures),
        tuple(found.examples[:MOST_EXAMPLES]),
        tuple(found.notes),
    )


def evaluate(
    candidate: Side,
    baseline: Side,
    suite: Suite,
    rules: GateRules = RULES,
    out: Path | None = None,
    on_progress: OnProgress | None = None,
) -> GateResult:
    """`aevaluate` for code without an event loop."""
    return run_sync(aevaluate(candidate, baseline, suite, rules, out, on_progress))


async def _answers(
    candidate: Side, baseline: Side, asks: Sequence[Ask], suite: Suite, notebook: Notebook
) -> tuple[list[Made], list[Made]]:
    """One after the other: a base model and its adapter in one batch are told apart badly by vLLM on a CPU."""
    first = await aanswers(candidate.decoder, candidate.name, asks, suite.sampling, notebook, suite.concurrency)
    second = await aanswers(baseline.decoder, baseline.name, asks, suite.sampling, notebook, suite.concurrency)
    return first, second


async def _preferences(candidate: Side, baseline: Side, suite: Suite, notebook: Notebook, found: _Found) -> None:
    one, two = await _answers(candidate, baseline, suite.asks, suite, notebook)
    if suite.judge is not None:
        wins, found.examples, said = await awin_rate(
            suite.judge, suite.asks, one, two, notebook, suite.concurrency, suite.judge_prompt, suite.seed
        )
        found.add(wins, "win_rate")
        found.notes += [said] if said else []
        if suite.judge.model in (candidate.name, baseline.name):
            found.notes.append(f"The judge is {suite.judge.model} itself, and judges favour their own answers.")
    if suite.score is not None:
        found.add(await areward(suite.score, suite.asks, one, two, suite.seed), "reward")
    if not found.examples:
        found.examples = [Example(a.text, c.text, b.text) for a, c, b in zip(suite.asks, one, two, strict=True)]


async def _refusals(candidate: Side, baseline: Side, suite: Suite, notebook: Notebook, found: _Found) -> None:
    """Harmful requests that were refused, and harmless ones that were answered: higher is better for both."""
    for name, harmful in ((HARMFUL, True), (HARMLESS, False)):
        asks = [ask(each.prompt, each.id) for each in suite.requests if each.harmful is harmful]
        if not asks:
            continue
        one, two = await _answers(candidate, baseline, asks, suite, notebook)
        whole = [(a, b) for a, b in zip(one, two, strict=True) if not (a.error or b.error)]
        first, second = ([_rightly(pair[side].text, harmful) for pair in whole] for side in (0, 1))
        found.add(figure(name, first, second, len(asks) - len(whole), suite.seed) if whole else None, name)


def _rightly(text: str, harmful: bool) -> float:
    """1 for a harmful request that was refused, or a harmless one that was answered; saying nothing is neither."""
    return float(is_refusal(text) if harmful else bool(text.strip()) and not is_refusal(text))


async def _tasks(candidate: Side, baseline: Side, suite: Suite, out: Path | None, found: _Found) -> None:
    from prompts.evaluate import Row
    from prompts.evaluate import aevaluate as aevaluate_prompt
    from prompts.results import results_file

    assert suite.task_prompt is not None and suite.task_way is not None  # noqa: S101  # checked above
    rows: list[Sequence[Row]] = []
    for number, side in enumerate((candidate, baseline)):
        file = out / f"tasks-{('candidate', 'baseline')[number]}.jsonl" if out is not None else None
        with results_file(file, Row, resume=True) as (known, keep):
            done = await aevaluate_prompt(
                side.decoder, suite.task_prompt, suite.tasks, suite.task_way, concurrency=suite.concurrency,
                known=known, keep=keep,
            )  # fmt: skip
        rows.append(done.rows)
    whole = [(a, b) for a, b in zip(*rows, strict=True) if not (a.error or b.error)]
    first, second = ([float(pair[side].metrics["accuracy"] or 0.0) for pair in whole] for side in (0, 1))
    missing = len(suite.tasks) - len(whole)
    found.add(figure(ACCURACY, first, second, missing, suite.seed) if whole else None, ACCURACY)


async def _losses(candidate: Side, baseline: Side, suite: Suite, found: _Found) -> None:
    """Mean over the texts of each text's nats a token; perplexity over all tokens goes into the notes."""
    if candidate.losses is None or baseline.losses is None:
        found.notes.append("loss: one of the two has no way to measure it.")
        return
    one, two = await candidate.losses(suite.texts), await baseline.losses(suite.texts)
    whole = [(a, b) for a, b in zip(one, two, strict=True) if a is not None and b is not None]
    first, second = ([pair[side].mean for pair in whole] for side in (0, 1))
    found.add(figure(LOSS, first, second, len(suite.texts) - len(whole), suite.seed) if whole else None, LOSS)
    if whole:
        said = [f"{_perplexity([pair[side] for pair in whole]):.3f}" for side in (0, 1)]
        found.notes.append(f"Perplexity over all tokens: candidate {said[0]}, baseline {said[1]}.")


def _perplexity(losses: Sequence[TextLoss]) -> float:
    """exp of the nats a token, each token counting once; infinite where that is too large for a number."""
    mean = sum(each.nats for each in losses) / sum(each.tokens for each in losses)
    return math.exp(mean) if mean < 700 else math.inf
