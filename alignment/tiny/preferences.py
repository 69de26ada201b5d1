"""A stated preference, and pairs that show it: the answer first, in at most 30 words, with its citation.

What is rejected says the same at length, leaves the citation out, refuses, or says something else that stands there;
where the passages do not tell, it makes an answer up. `preferred` is the preference itself, for judging what was
learnt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from alignment.reward_functions import Completion, text_of
from alignment.tiny.facts import Grounded, grounded
from alignment.tiny.grounding import brief, wordy
from alignment.tiny.rows import house_grounded
from alignment.tiny.words import Split, capitalised
from prompts.grounded import REFUSAL

MOST_WORDS = 30
MOST_PASSAGES = 2
"""Prompts are kept short: what is learnt is a form."""
_CITED = re.compile(r"\[\d+\]\.?$")


def preferred(answer: str, span: str) -> bool:
    """Whether an answer to a case with this span (empty: not answered) is as the preference says."""
    said = answer.strip()
    if not span:
        return said == REFUSAL
    return said.lower().startswith(span.lower()) and len(said.split()) <= MOST_WORDS and bool(_CITED.search(said))


def stated(completions: Sequence[Completion], span: Sequence[str], **_: Any) -> list[float]:
    """`preferred`, as a reward function over rows that name the span."""
    return [float(preferred(text_of(each), wanted)) for each, wanted in zip(completions, span, strict=True)]


def pair(random: Random, split: Split) -> dict[str, Any]:
    """A prompt with a chosen and a rejected answer."""
    case = grounded(random, split, most=MOST_PASSAGES)
    *prompt, chosen = house_grounded(case, brief(case), random)
    rejected = {"role": "assistant", "content": _rejected(case, random)}
    return {"prompt": prompt, "chosen": [chosen], "rejected": [rejected]}


def prompt(random: Random, split: Split) -> dict[str, Any]:
    """A prompt alone, and the span that its answer should begin with; empty where there is none."""
    case = grounded(random, split, most=MOST_PASSAGES)
    return {"prompt": house_grounded(case, "", random)[:-1], "span": case.span}


def _rejected(case: Grounded, random: Random) -> str:
    something = random.choice(case.passages).rstrip(".").split()[-1]
    if not case.answered:
        return f"{capitalised(something)} [{random.randint(1, len(case.passages))}]."
    if capitalised(something) == capitalised(case.span.split()[-1]):
        something = "Nothing"
    others = (wordy(case), wordy(case), f"{capitalised(case.span)}.", REFUSAL, REFUSAL)
    return random.choice((*others, f"{capitalised(something)} [{case.passage}]."))
