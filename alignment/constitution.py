"""Constitutional AI: a decoder answers, criticises its answer by a principle, and revises it; then it judges pairs.

Bai et al. 2022, "Constitutional AI: Harmlessness from AI Feedback", sections 3 (critique and revision) and 4 (the
model as a judge). Prompts and answers are data throughout: they enter a prompt through the marking of untrusted text
alone. Keeps nothing itself: a `RecordedDecoder` remembers what was asked (`constitution_stage.py`).

`python -m alignment.constitution --config recipe.yaml` runs the stage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from alignment.constitution_principles import FOLDER, Principle, drawn, seed_of
from decoder.base import run_sync
from decoder.errors import ServiceError, UsageError
from decoder.types import Message, Sampling, as_messages
from prompts.asking import aask
from prompts.concurrency import run_bounded
from prompts.errors import RenderError
from prompts.pairwise import Verdict, ajudge

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.template import Prompt

Pairing: TypeAlias = Literal["revision", "samples"]
FAILURES = 20
"""So many failures with no success in between, beyond those under way, and the run ends: the decoder is gone."""


@dataclass(frozen=True, slots=True)
class Way:
    """How prompts are worked on.

    Attributes:
        rounds: of critique and revision, at least 1.
        pairs: what is judged: the first answer against the last revision, or against a second sample.
        reasons: let the judge reason before its verdict (section 4.2: it judges better, and costs more).
        sampling: temperature and max_tokens of answers, critiques and revisions; each gets a seed of its own.
        seed: of the principles that are drawn and of the sampling.
        concurrency: prompts under way at once.
    """

    principles: Sequence[Principle]
    rounds: int = 1
    pairs: tuple[Pairing, ...] = ("revision",)
    reasons: bool = False
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7, max_tokens=256))
    seed: int = 0
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Text:
    """What the decoder wrote, and whether max_tokens cut it off."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """A critique by a principle and the revision that followed."""

    principle: str
    critique: Text
    revision: Text


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair and what the judge said in both orders; `error` says why there is no verdict.

    Attributes:
        first, second: the texts.
        verdict: "first" or "second" only where both orders agree.
    """

    pairing: Pairing
    first: Text
    second: Text
    verdict: Verdict = "tie"
    consistent: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Worked:
    """What came of one prompt; `error` says why it was not finished.

    Attributes:
        seed: of the principles drawn for it.
    """

    index: int
    prompt: tuple[Message, ...]
    seed: int
    draft: Text = field(default_factory=lambda: Text(""))
    rounds: tuple[Round, ...] = ()
    judged: tuple[Judged, ...] = ()
    error: str = ""

    @property
    def final(self) -> Text:
        """The last revision."""
        return self.rounds[-1].revision if self.rounds else self.draft


async def awork(
    decoder: Decoder,
    prompts: Sequence[str | Sequence[Message]],
    way: Way,
    on_worked: Callable[[Worked], None] | None = None,
) -> list[Worked]:
    """Answer, criticise, revise and judge for every prompt; what fails is kept with its reason, the rest goes on.

    Args:
        on_worked: takes each as it is done.

    Raises:
        UsageError: there are no prompts, or numbers that cannot be used.
        ServiceError: the decoder failed so often in a row that it must be gone.
    """
    if not prompts or way.rounds < 1 or way.concurrency < 1 or not way.principles:
        raise UsageError("constitution", "there are no prompts or principles, or a number is below 1", "Give some")
    await decoder.aready()
    run = _Run(decoder, way, on_worked)
    jobs = [partial(run.work, index, as_messages(prompt)) for index, prompt in enumerate(prompts)]
    await run_bounded(jobs, way.concurrency)
    return [run.done[index] for index in range(len(prompts))]


def work(
    decoder: Decoder,
    prompts: Sequence[str | Sequence[Message]],
    way: Way,
    on_worked: Callable[[Worked], None] | None = None,
) -> list[Worked]:
    """`awork` for code without an event loop."""
    return run_sync(awork(decoder, prompts, way, on_worked))


class _Run:
    """All prompts at work."""

    def __init__(self, decoder: Decoder, way: Way, on_worked: Callable[[Worked], None] | None) -> None:
        self.decoder, self.way, self.on_worked = decoder, way, on_worked
        self.done: dict[int, Worked] = {}
        self.failures = 0
        self.critique, self.revise, self.judge = _prompts(way.reasons)

    async def work(self, index: int, prompt: tuple[Message, ...]) -> None:
        """One prompt. Raises ServiceError when the decoder must be gone."""
        asked = as_text(prompt)
        worked = Worked(index, prompt, seed_of(self.way.seed, asked))
        try:
            worked = await self._revised(worked, asked)
            worked = replace(worked, judged=await self._judged(worked, asked))
            self.failures = 0
        except (ServiceError, RenderError) as error:
            worked = replace(worked, error=str(error))
            self._count(error)
        self.done[index] = worked
        if self.on_worked is not None:
            self.on_worked(worked)

    async def _revised(self, worked: Worked, asked: str) -> Worked:
        draft = await self._answer(worked, "answer")
        text, rounds = draft.text, []
        for number, principle in enumerate(drawn(self.way.principles, self.way.rounds, worked.seed)):
            said = {"principle": principle.principle, "conversation": asked, "response": text}
            critique = await self._ask(self.critique, {**said, "critique": principle.critique}, worked, number)
            values = {**said, "revision": principle.revision, "critique": critique.text}
            revision = await self._ask(self.revise, values, worked, number)
            rounds.append(Round(principle.id, critique, revision))
            text = revision.text
        return replace(worked, draft=draft, rounds=tuple(rounds))

    async def _answer(self, worked: Worked, what: str) -> Text:
        completion = await self.decoder.acomplete(worked.prompt, sampling=self._sampling(worked, what))
        return Text(completion.text.strip(), completion.finish_reason == "length")

    async def _ask(self, prompt: Prompt, values: dict[str, str], worked: Worked, number: int) -> Text:
        reply = await aask(self.decoder, prompt, values, self._sampling(worked, prompt.name, number))
        return Text(reply.text.strip(), reply.truncated)

    def _sampling(self, worked: Worked, *what: object) -> Sampling:
        return replace(self.way.sampling, seed=seed_of(worked.seed, *what))

    async def _judged(self, worked: Worked, asked: str) -> tuple[Judged, ...]:
        by_id = {principle.id: principle.principle for principle in self.way.principles}
        judge = self.judge.bind(principles=list(dict.fromkeys(by_id[done.principle] for done in worked.rounds)))
        found = []
        for pairing in self.way.pairs:
            second = worked.final if pairing == "revision" else await self._answer(worked, "second answer")
            pair = Judged(pairing, worked.draft, second)
            if worked.draft.text != second.text and worked.draft.text and second.text:
                pair = await self._verdict(pair, asked, judge)
            found.append(pair)
        return tuple(found)

    async def _verdict(self, pair: Judged, asked: str, judge: Prompt) -> Judged:
        try:
            said = await ajudge(self.decoder, asked, pair.first.text, pair.second.text, judge)
        except (ServiceError, RenderError) as error:  # the revision is worth keeping all the same
            self._count(error)
            return replace(pair, error=str(error))
        return replace(pair, verdict=said.verdict, consistent=said.consistent)

    def _count(self, error: Exception) -> None:
        self.failures += 1
        if isinstance(error, ServiceError) and self.failures >= FAILURES + self.way.concurrency:
            raise error


def as_text(prompt: Sequence[Message]) -> str:
    """A conversation as one text, to be quoted: a lone question as it is, several turns under their roles."""
    if len(prompt) == 1:
        return prompt[0].text
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in prompt)


def _prompts(reasons: bool) -> tuple[Prompt, Prompt, Prompt]:
    from prompts.folders import load
    from prompts.techniques.chain_of_thought import chain_of_thought

    critique, revise, judge = (load(FOLDER / f"constitution-{name}.md") for name in ("critique", "revise", "judge"))
    return critique, revise, chain_of_thought(judge) if reasons else judge


if __name__ == "__main__":
    from alignment.script import main

    main("constitution")
