"""Which of two answers is better, asked in both orders: a judge favours a place (Zheng et al. 2023, section 3.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from decoder.base import run_sync
from prompts.asking import Reply, aask

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.template import Prompt

Verdict: TypeAlias = Literal["first", "second", "tie"]
_SWAPPED: dict[str, Verdict] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What both orders say.

    Attributes:
        verdict: "first" or "second" only where both orders agree, else "tie".
        consistent: whether they agree.
        replies: as asked, and with the answers swapped.
    """

    verdict: Verdict
    consistent: bool
    replies: tuple[Reply, Reply]


async def ajudge(decoder: Decoder, question: str, first: str, second: str, prompt: Prompt | None = None) -> Judgement:
    """Compare two answers to a question; exchanging them exchanges the verdict, whatever the judge's bias.

    Args:
        prompt: another judge with the variables and the schema of the library's pairwise-judge.

    Raises what `prompts.ask` raises.
    """
    from prompts.folders import load

    judge_prompt = prompt or load("pairwise-judge")
    there, back = await asyncio.gather(
        aask(decoder, judge_prompt, {"question": question, "first": first, "second": second}),
        aask(decoder, judge_prompt, {"question": question, "first": second, "second": first}),
    )
    verdict: Verdict = there.value["verdict"]
    consistent = verdict == _SWAPPED[back.value["verdict"]]
    return Judgement(verdict if consistent else "tie", consistent, (there, back))


def judge(decoder: Decoder, question: str, first: str, second: str, prompt: Prompt | None = None) -> Judgement:
    """`ajudge` for code without an event loop."""
    return run_sync(ajudge(decoder, question, first, second, prompt))
