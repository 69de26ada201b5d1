"""Which stage takes rows of which format, and what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from alignment.data_formats import Row
from alignment.data_report import STEP
from alignment.errors import DataError

PROMPTING = ("prompt", "messages", "prompt_completion")
# Stage -> the formats that it takes -> the format that it trains on.
TAKES: dict[str, dict[str, str]] = {
    "pretrain": {"text": "text"},
    "sft": {"messages": "messages", "prompt_completion": "prompt_completion"},
    "reward": {"preference": "preference", "ranking": "ranking"},
    "dpo": {"preference": "preference", "ranking": "preference"},
    "kto": {"kto": "kto", "preference": "kto"},
    **dict.fromkeys(("ppo", "grpo", "rloo", "constitution"), dict.fromkeys(PROMPTING, "prompt")),
}


def check_takes(stage: str, form: str, source: str) -> None:
    """Refuse rows that the stage cannot train on, naming the stages that can. Raises DataError."""
    if stage not in TAKES:
        raise DataError(STEP, f"there is no stage {stage!r}", f"Stages: {', '.join(TAKES)}")
    if form not in TAKES[stage]:
        others = [name for name, formats in TAKES.items() if form in formats]
        cause = f"{source} holds {form} rows, and {stage} takes {' or '.join(TAKES[stage])}"
        raise DataError(STEP, cause, f"Such rows go to {', '.join(others)}")


def read_as(stage: str, form: str) -> str:
    """The format that rows are converted to as they are read: for stages that generate, their prompts."""
    return "prompt" if TAKES[stage][form] == "prompt" else form


def for_stage(rows: Sequence[Row], stage: str, form: str) -> list[Row]:
    """Rows as the stage trains on them: DPO's rankings become pairs, KTO's pairs become votes."""
    if stage == "dpo" and form == "ranking":
        return [pair for row in rows for pair in pairs(row)]
    if stage == "kto" and form == "preference":
        return [vote for row in rows for vote in votes(row)]
    return list(rows)


def note_of(stage: str, form: str) -> str:
    """What `for_stage` does beyond passing rows on, in a sentence; empty for nothing."""
    if stage == "dpo" and form == "ranking":
        return "each ranking became a pair for every two responses of different rank"
    if stage == "kto" and form == "preference":
        return "each pair became two votes, one up and one down"
    return ""


def pairs(row: Row) -> list[Row]:
    """The pairs of a ranking, C(K, 2) less the ties (Ouyang et al. 2022, section 3.5), best responses first."""
    prompt = row["prompt"]
    ranked = sorted(zip(row["ranks"], row["responses"], strict=True), key=lambda item: item[0])
    return [
        {"prompt": prompt, "chosen": _answer(prompt, better), "rejected": _answer(prompt, worse)}
        for (rank, better), (other, worse) in combinations(ranked, 2)
        if rank < other
    ]


def votes(row: Row) -> list[Row]:
    """Two votes of a pair, as TRL's `unpair_preference_dataset` has them."""
    return [
        {"prompt": row["prompt"], "completion": row[field], "label": field == "chosen"}
        for field in ("chosen", "rejected")
    ]


def _answer(prompt: object, response: str) -> object:
    return [{"role": "assistant", "content": response}] if isinstance(prompt, list) else response
