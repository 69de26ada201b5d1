"""Which solved examples to show: at random, the nearest, diverse or balanced ones. All give the best first.

An embedder is handed in as a callable from texts to vectors; nothing is known here of models.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from operator import mul
from typing import TypeAlias

from prompts.errors import TechniqueError
from prompts.variables import Example

Vector: TypeAlias = Sequence[float]
Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Vector]]
STEP = "choosing examples"


def random_examples(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """`count` examples drawn without replacement; the same for the same seed."""
    return tuple(random.Random(seed).sample(list(examples), _most(count, examples)))  # noqa: S311  # no secret


def nearest(examples: Sequence[Example], query: str, count: int, embed: Embed) -> tuple[Example, ...]:
    """The examples whose inputs are most like `query`, by cosine (Liu et al. 2022).

    Raises TechniqueError when the embedder does not give one vector a text.
    """
    (asked, *vectors) = _unit_vectors([query, *map(input_text, examples)], embed)
    ranked = sorted(range(len(examples)), key=lambda at: (-_dot(asked, vectors[at]), at))
    return tuple(examples[at] for at in ranked[: _most(count, examples)])


def diverse(
    examples: Sequence[Example], query: str, count: int, embed: Embed, balance: float = 0.5
) -> tuple[Example, ...]:
    """Examples like `query` and unlike each other: maximal marginal relevance (Carbonell and Goldstein 1998).

    Args:
        balance: their lambda: 1 looks at likeness to the query alone, 0 at difference from what is chosen alone.

    Raises TechniqueError when the embedder does not give one vector a text, or balance is outside [0, 1].
    """
    if not 0 <= balance <= 1:
        raise TechniqueError(STEP, f"balance={balance} is outside [0, 1]", "Choose a value inside")
    (asked, *vectors) = _unit_vectors([query, *map(input_text, examples)], embed)
    likeness = [_dot(asked, vector) for vector in vectors]
    closest = [-1.0] * len(examples)  # to anything chosen so far
    chosen: list[int] = []
    while len(chosen) < _most(count, examples):
        left = [at for at in range(len(examples)) if at not in chosen]
        redundancy = [closest[at] if chosen else 0.0 for at in range(len(examples))]
        best = max(left, key=lambda at: (balance * likeness[at] - (1 - balance) * redundancy[at], -at))
        chosen.append(best)
        closest = [max(old, _dot(vectors[best], vector)) for old, vector in zip(closest, vectors, strict=True)]
    return tuple(examples[at] for at in chosen)


def balanced(examples: Sequence[Example], count: int, seed: int | None = None) -> tuple[Example, ...]:
    """Examples of every label in turn, so that none is shown more than one time oftener than another, while they last.

    Args:
        seed: draws them within a label; None keeps the order given.
    """
    given = list(examples) if seed is None else list(random_examples(examples, max(len(examples), 1), seed))
    by_label: dict[str, list[Example]] = {example.label: [] for example in examples}
    for example in given:
        by_label[example.label].append(example)
    rounds = max(map(len, by_label.values()), default=0)
    ordered = [group[turn] for turn in range(rounds) for group in by_label.values() if turn < len(group)]
    return tuple(ordered[: _most(count, examples)])


def input_text(example: Example) -> str:
    """What an example is compared by: its input, or the values of it in a line each."""
    return example.input if isinstance(example.input, str) else "\n".join(map(str, example.input.values()))


def _most(count: int, examples: Sequence[Example]) -> int:
    if count < 1:
        raise TechniqueError(STEP, f"{count} examples were asked for", "Ask for one at least")
    return min(count, len(examples))


def _unit_vectors(texts: Sequence[str], embed: Embed) -> list[Vector]:
    vectors = [[float(value) for value in vector] for vector in embed(texts)]
    if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
        cause = f"the embedder gave {len(vectors)} vectors for {len(texts)} texts, or of several lengths"
        raise TechniqueError(STEP, cause, "Give one vector a text, all of one length")
    lengths = [math.sqrt(_dot(vector, vector)) or 1.0 for vector in vectors]
    return [[value / length for value in vector] for vector, length in zip(vectors, lengths, strict=True)]


def _dot(one: Vector, other: Vector) -> float:
    return math.fsum(map(mul, one, other))
