"""The core of benchmarks/self_consistency.py: it simulates what is drawn, and its bars hold on few questions."""

import random

import pytest

from benchmarks.self_consistency import LOST, MIXES, SAMPLES, SAVED, SAVED_EVEN, simulate, stopped_after
from decoder.scripted import ScriptedDecoder
from prompts.consistency import self_consistency
from prompts.stopping import NEVER, Stopping


@pytest.mark.parametrize(
    "rules", [Stopping(), NEVER, Stopping(window=5, step=5, worth=None), Stopping(unanimous=False, step=1)]
)
def test_the_simulation_stops_where_self_consistency_stops(rules):
    chance = random.Random(7)
    for mix in MIXES.values():
        for _ in range(10):
            answers = mix.question(chance)
            texts = ["I cannot say." if answer is None else f"The answer is {answer}." for answer in answers]
            found = self_consistency(ScriptedDecoder(texts), "?", extract=READ, stopping=rules)
            assert len(found.samples) == stopped_after(answers, rules)
            assert found.unread == sum(answer is None for answer in answers[: len(found.samples)])


READ = r"regex:answer is (.*)\."


@pytest.mark.parametrize("name", MIXES)
def test_the_bars_hold_on_a_small_seeded_run(name):
    every, (early,) = simulate(MIXES[name], [Stopping()], questions=1500, seed=1)
    assert early.saved >= (SAVED_EVEN if name == "even" else SAVED)
    assert every.accuracy - early.accuracy <= LOST


def test_without_rules_nothing_is_saved_and_nothing_lost():
    every, (never,) = simulate(MIXES["even"], [NEVER], questions=50, seed=2)
    assert never == every
    assert never.saved == 0
    assert set(every.drawn) == {SAMPLES}
