"""Rows put to the decoder under a prompt of the house by `prompts.evaluate`, one at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from decoder.types import Sampling
from prompts.evaluate import Evaluation, Way, evaluate
from prompts.extract import extractor
from prompts.items import parse_item
from prompts.stopping import NEVER, Stopping
from ui.tiny.data import Row
from ui.tiny.scores import MAX_TOKENS, Tell

if TYPE_CHECKING:
    from decoder.base import Decoder
    from prompts.template import Prompt

SAMPLING = Sampling(max_tokens=MAX_TOKENS, seed=0)


def evaluated(
    decoder: Decoder,
    prompt: Prompt,
    rows: Sequence[Row],
    answer: str,
    tell: Tell,
    samples: int = 1,
    sampling: Sampling = SAMPLING,
) -> Evaluation:
    """The rows asked with a prompt. Samples come in one request, and all of them are drawn.

    Args:
        answer: how answers are read, as in `prompts.extract.extractor`.
    """
    reader = extractor(answer)
    items = [
        parse_item(json.dumps(row, ensure_ascii=False).encode(), number, [prompt], reader)
        for number, row in enumerate(rows, 1)
    ]
    way = Way(reader, sampling, samples, stopping=_all_at_once(samples))
    return evaluate(decoder, prompt, items, way, concurrency=1, on_progress=tell)


def right(evaluation: Evaluation) -> list[bool]:
    """Whether each row was answered rightly."""
    return [row.metrics.get("accuracy") == 1.0 for row in evaluation.rows]


def written(*evaluations: Evaluation) -> int:
    """Tokens that the decoder wrote."""
    return round(sum(row.metrics.get("completion_tokens") or 0 for each in evaluations for row in each.rows))


def failures(**evaluations: Evaluation) -> dict[str, str]:
    """What the decoder failed on, with the reason."""
    return {f"{way} {at}": reason for way, each in evaluations.items() for at, reason in each.failed.items()}


def _all_at_once(samples: int) -> Stopping:
    return replace(NEVER, window=samples)
