"""What the constitution's work becomes: rows to imitate, rows of preference, and a count of everything left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from alignment.constitution import Judged, Worked
from prompts.intervals import Interval, share

Row = dict[str, Any]
SAME, EMPTY, CUT, TIE, UNSURE = (
    "both answers are the same",
    "an answer is empty",
    "max_tokens cut an answer off",
    "the judge says that they are equal",
    "the judge says something else in the other order",
)


@dataclass(slots=True)
class Made:
    """The rows and their count.

    Attributes:
        sft: {"messages"}: each prompt with its last revision.
        preferences: {"prompt", "chosen", "rejected"}.
        sft_left_out, pairs_left_out: by reason; failures under their error's first words.
        revisions_preferred: verdicts on revisions, True where the revision won.
    """

    sft: list[Row] = field(default_factory=list)
    preferences: list[Row] = field(default_factory=list)
    sft_left_out: Counter[str] = field(default_factory=Counter)
    pairs_left_out: Counter[str] = field(default_factory=Counter)
    revisions_preferred: list[bool] = field(default_factory=list)

    def metrics(self, worked: Sequence[Worked]) -> dict[str, Any]:
        """The figures of the run; the share of revisions preferred has Wilson's 95% interval."""
        wins = self.revisions_preferred
        preferred: Interval | None = share(sum(wins), len(wins)) if wins else None
        return {
            "prompts": len(worked),
            "failed": sum(bool(one.error) for one in worked),
            "sft_rows": len(self.sft),
            "preference_rows": len(self.preferences),
            "sft_left_out": dict(self.sft_left_out),
            "pairs_left_out": dict(self.pairs_left_out),
            "revision_preferred": None if preferred is None else asdict(preferred),
        }


def rows_of(worked: Iterable[Worked]) -> Made:
    """Every prompt and every pair, in a row or counted."""
    made = Made()
    for one in worked:
        prompt = [{"role": message.role, "content": message.text} for message in one.prompt]
        reason = _sft_reason(one)
        if reason:
            made.sft_left_out[reason] += 1
        else:
            made.sft.append({"messages": [*prompt, _turn(one.final.text)]})
        for judged in one.judged:
            _add_pair(made, prompt, judged)
    return made


def _sft_reason(one: Worked) -> str:
    if one.error:
        return f"it failed: {_first_words(one.error)}"
    return CUT if one.final.cut_off else "" if one.final.text else EMPTY


def _add_pair(made: Made, prompt: list[Row], judged: Judged) -> None:
    reason = _pair_reason(judged)
    if reason:
        made.pairs_left_out[reason] += 1
        return
    second_won = judged.verdict == "second"
    if judged.pairing == "revision":
        made.revisions_preferred.append(second_won)
    better, worse = (judged.second, judged.first) if second_won else (judged.first, judged.second)
    made.preferences.append({"prompt": prompt, "chosen": [_turn(better.text)], "rejected": [_turn(worse.text)]})


def _pair_reason(judged: Judged) -> str:
    if judged.error:
        return f"the judge failed: {_first_words(judged.error)}"
    if not judged.first.text or not judged.second.text:
        return EMPTY
    if judged.first.text == judged.second.text:
        return SAME
    if judged.first.cut_off or judged.second.cut_off:
        return CUT
    if not judged.consistent:
        return UNSURE
    return TIE if judged.verdict == "tie" else ""


def _turn(text: str) -> Row:
    return {"role": "assistant", "content": text}


def _first_words(error: str) -> str:
    """The kind of failure without its numbers, so that like ones are counted together."""
    return " ".join("".join(c for c in error if not c.isdigit()).split())[:80]
