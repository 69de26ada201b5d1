"""Word problems three ways: the number at once, a chain of thought, and a vote of many chains (self-consistency)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from alignment.tiny.arithmetic import Problem
from prompts.folders import load
from ui.tiny.evaluated import SAMPLING, evaluated, failures, right, written
from ui.tiny.held_out import MOST_STEPS, direct_rows, solved_rows
from ui.tiny.scores import Difference, Measure, Tell, changed, chosen, scores

if TYPE_CHECKING:
    from decoder.base import Decoder

SAMPLES, WARM = 16, 0.7
DIRECT, CHAIN, VOTE = "direct", "chain of thought", f"self-consistency of {SAMPLES}"


def arithmetic(decoder: Decoder, problems: Sequence[Problem], voted: int, tell: Tell) -> Measure:
    """All problems directly and by a chain; the first `voted` of them by a vote too."""
    started, some = perf_counter(), problems[:voted]
    chain, warm = load("zero-shot-cot"), replace(SAMPLING, temperature=WARM)
    direct = evaluated(decoder, load("zero-shot"), direct_rows(problems), "number", tell)
    thought = evaluated(decoder, chain, solved_rows(problems), "number", tell)
    vote = evaluated(decoder, chain, solved_rows(some), "number", tell, SAMPLES, warm)
    judged = {DIRECT: right(direct), CHAIN: right(thought), VOTE: right(vote)}
    return Measure(
        "arithmetic",
        scores({name: flags for way, each in judged.items() for name, flags in _by_steps(way, each, problems)}),
        tuple(_differences(judged)),
        written(direct, thought, vote),
        perf_counter() - started,
        failures(direct=direct, chain=thought, vote=vote),
    )


def _by_steps(way: str, flags: list[bool], problems: Sequence[Problem]) -> Iterator[tuple[str, list[bool]]]:
    yield way, flags
    for steps in range(1, MOST_STEPS + 1):
        wanted = [len(each.steps) == steps for each in problems[: len(flags)]]
        yield f"{way}, {steps} {'step' if steps == 1 else 'steps'}", chosen(flags, wanted)


def _differences(judged: dict[str, list[bool]]) -> Iterator[Difference]:
    """A chain against the number at once, and a vote against one chain, on the problems that both were asked."""
    for first, second in ((DIRECT, CHAIN), (CHAIN, VOTE)):
        count = len(judged[second])
        yield changed(f"{second} minus {first}", judged[first][:count], judged[second])
