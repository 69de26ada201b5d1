"""What a reward model was found to be worth: reward_eval.json in the run's folder, which its report shows.

Prompts and responses are other people's words: they are quoted on one line, cut short.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alignment.reward_metrics import Pair, Scored, ambiguous, contradicted, figures, pairs_of
from alignment.reward_rows import Ranking, as_ranking, encode
from decoder.runs.folder import RunFolder

FILE = "reward_eval.json"
LISTED = 10
QUOTED = 240

Scorer = Callable[[Sequence[Sequence[int]]], list[float]]
"""Token ids of sequences to their scores."""


def score_rows(tokenizer: Any, rows: Sequence[Mapping[str, Any]], scorer: Scorer) -> tuple[list[Ranking], list[Scored]]:
    """Rows of format `preference` or `ranking`, and their scores. Raises DataError."""
    rankings = [as_ranking(row, index) for index, row in enumerate(rows)]
    ids = [encode(tokenizer, r.prompt, response, r.tools) for r in rankings for response in r.responses]
    scores = iter(scorer(ids))
    scored = [
        Scored(tuple(next(scores) for _ in r.responses), r.ranks, tuple(_length(tokenizer, t) for t in r.responses))
        for r in rankings
    ]
    return rankings, scored


def evaluation(rankings: Sequence[Ranking], scored: Sequence[Scored], split: str) -> dict[str, Any]:
    """Everything that reward_eval.json holds; `split` says which rows they are, "eval" or "train"."""
    found = figures(scored)
    pairs = pairs_of(scored)
    return {
        "split": split,
        **found.plain(),
        "scores": dict(zip(("mean", "std", "count"), moments([s for row in scored for s in row.scores]), strict=True)),
        "ambiguous": [_quoted_pair(pair, rankings) for pair in ambiguous(pairs, LISTED)],
        "contradicted": [_quoted_pair(pair, rankings) for pair in contradicted(pairs, LISTED)],
    }


def moments(scores: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation of the population, and count."""
    return statistics.fmean(scores), statistics.pstdev(scores), len(scores)


def write_evaluation(folder: RunFolder, found: Mapping[str, Any]) -> None:
    """reward_eval.json, replaced whole."""
    aside = folder.path / f".{FILE}"
    aside.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(folder.path / FILE)


def final_metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """The figures that go into run.json and the registry."""
    accuracy = found["accuracy"]
    return {
        "accuracy": accuracy["value"],
        "accuracy_low": accuracy["low"],
        "accuracy_high": accuracy["high"],
        **{name: found[name] for name in ("margin", "log_loss", "ece", "prompts", "pairs")},
    }


def _quoted_pair(pair: Pair, rankings: Sequence[Ranking]) -> dict[str, Any]:
    ranking = rankings[pair.prompt]
    return {
        "row": pair.prompt,
        "margin": pair.margin,
        "prompt": _short(ranking.prompt, tail=True),
        "better": _short(ranking.responses[pair.better]),
        "worse": _short(ranking.responses[pair.worse]),
    }


def _short(said: Any, tail: bool = False) -> str:
    """One line of at most QUOTED characters: the beginning, or of a conversation the end."""
    text = " ".join(_text(said).split()) or "(empty)"
    if len(text) <= QUOTED:
        return text
    return f"… {text[-QUOTED:]}" if tail else f"{text[:QUOTED]} …"


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    return "\n".join(f"{message.get('role')}: {message.get('content') or ''}" for message in said)


def _length(tokenizer: Any, response: Any) -> int:
    text = response if isinstance(response, str) else "\n".join(str(m.get("content") or "") for m in response)
    return len(tokenizer(text=text, add_special_tokens=False)["input_ids"])
