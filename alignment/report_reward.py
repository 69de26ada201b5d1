"""What reward_eval.json says, as rows of text for either report; what it lacks is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NAMES = {
    "pairs": "pairs",
    "prompts": "prompts",
    "accuracy": "accuracy",
    "margin": "margin",
    "log_loss": "log-loss, nats (chance 0.693)",
    "ece": "expected calibration error",
}
LENGTH = {
    "pearson": "correlation of score and length (Pearson)",
    "spearman": "the same of ranks (Spearman)",
    "within_prompt": "the same within a prompt (Pearson)",
    "longer_scored_higher": "the longer one scores higher, share of pairs",
    "longer_is_better": "the longer one is better by its label, share of pairs",
}
LISTS = {"ambiguous": "cannot tell apart", "contradicted": "surest of the opposite"}


def figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, value); "measured on" says when it was the training rows."""
    rows = [("measured on", "held-out rows" if found.get("split") == "eval" else "TRAINING rows")] if found else []
    rows += [(text, _number(found[key])) for key, text in NAMES.items() if key in found]
    length = found.get("length")
    if isinstance(length, Mapping):
        rows += [(text, _number(length[key])) for key, text in LENGTH.items() if length.get(key) is not None]
    return rows


def bins(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(confidence, accuracy, pairs) of the reliability curve's bins."""
    return [(f"{x:.3f}", f"{y:.3f}", str(count)) for x, y, count in curve(found)]


def curve(found: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """The reliability curve: mean confidence, accuracy and pairs of each bin."""
    held = [each for each in _list(found.get("bins")) if isinstance(each, Mapping)]
    points: list[list[Any]] = [[each.get(key) for key in ("confidence", "accuracy", "count")] for each in held]
    return [(float(x), float(y), int(n)) for x, y, n in points if None not in (x, y, n)]


def ambiguous(found: Mapping[str, Any]) -> list[list[tuple[str, str]]]:
    """Each listed pair as (what, text): why it is listed, its margin, prompt and responses."""
    return [list(_pair(each, why)) for key, why in LISTS.items() for each in _list(found.get(key))]


def _pair(each: Any, why: str) -> Iterator[tuple[str, str]]:
    if not isinstance(each, Mapping):
        return
    margin = each.get("margin")
    yield "listed as", f"{why}, margin {margin:+.3f}" if isinstance(margin, (int, float)) else why
    for name in ("prompt", "better", "worse"):
        if name in each:
            yield name, str(each[name])


def _number(value: Any) -> str:
    if isinstance(value, Mapping) and all(key in value for key in ("value", "low", "high")):
        return f"{_number(value['value'])} [{_number(value['low'])}, {_number(value['high'])}]"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
