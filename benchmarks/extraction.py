"""Answers found in real outputs of models: how often what is read says the same as the recorded right or wrong.

    python -m benchmarks.extraction

Four models' solutions to each of 1,319 problems of GSM8K (HEARTH_TEST_DATA/gsm8k), marked right or wrong by those who
published them. A solution counts as agreed when the number read from it is the problem's answer exactly where it was
marked right. Then the same with the line that hands in the answer taken off, so that it has to be found in the working;
there the mark is a weaker witness, because some workings do not say what they then hand in. Last, the answers of
MultiArith, AddSub and SingleEq, and the 7,473 worked answers of GSM8K's training half, read as they are written there.
Exits with 1 when the first share is below BAR or an answer of the collections is not read.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prompts.extract import extractor

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
COLLECTIONS = ("MultiArith/MultiArith.json", "AddSub/AddSub.json", "SingleEq/questions.json")
BAR = 0.995
NUMBER = extractor("number")
_LAST_LINE = re.compile(r"\n?A: [^\n]*\s*$")


def solutions() -> Iterator[tuple[str, str, bool]]:
    """Each solution with its problem's right answer and its mark."""
    for row in _lines("example_model_solutions.jsonl.gz"):
        for model in MODELS:
            yield row[model]["solution"], row["ground_truth"], row[model]["is_correct"]


def agreement(hide_last_line: bool) -> tuple[Counter[str], list[str]]:
    """Counts by outcome, and some of the solutions that disagree."""
    counts: Counter[str] = Counter()
    examples = []
    for solution, truth, marked in solutions():
        text = _LAST_LINE.sub("", solution) if hide_last_line else solution
        found, right = NUMBER.find(text), NUMBER.find(truth)
        counts["all"] += 1
        counts["unread"] += found is None
        judged = found is not None and right is not None and NUMBER.same(found, right)
        outcome = "agrees" if judged == marked else "read as wrong" if marked else "read as right"
        counts[outcome] += 1
        if outcome != "agrees":
            examples.append(f"{outcome}: {found.text if found else None!r} for {right.key if right else None}")
    return counts, examples


def collections() -> tuple[int, int]:
    """Answers of the collections that are read as the number they are, and all of them."""
    read = count = 0
    for name in COLLECTIONS:
        for row in json.loads((DATA / "reasoning" / name).read_text()):
            answer = row["lSolutions"][0]
            found = NUMBER.read(str(answer))
            read, count = read + (found is not None and abs(float(found.key) - float(answer)) < 1e-9), count + 1
    for row in _lines("train.jsonl.gz"):
        found = NUMBER.read(row["answer"])
        wanted = row["answer"].rsplit("####", 1)[1].replace(",", "")
        read, count = read + (found is not None and float(found.key) == float(wanted)), count + 1
    return read, count


def _lines(name: str) -> Iterator[Any]:
    with gzip.open(DATA / "gsm8k" / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def main() -> int:
    """Print the figures."""
    if not DATA.is_dir():
        print(f"{DATA} is absent; set HEARTH_TEST_DATA")
        return 0
    share = 0.0
    for hidden, name in ((False, "whole solutions"), (True, "without the line that hands the answer in")):
        counts, examples = agreement(hidden)
        found = counts["agrees"] / counts["all"]
        share = share or found
        parts = ", ".join(f"{kind} {counts[kind]}" for kind in ("read as wrong", "read as right", "unread"))
        print(f"{name}: {found:.2%} of {counts['all']} agree with their mark ({parts})")
        if "-v" in sys.argv:
            print("\n".join(f"  {example}" for example in examples[:40]))
    read, count = collections()
    print(f"answers of the collections: {read} of {count} read as they are")
    return 0 if share >= BAR and read == count else 1


if __name__ == "__main__":
    sys.exit(main())
