"""GSM8K's example solutions as rankings for a reward model: four models' solutions of a problem, right or wrong.

Cobbe et al. 2021 train a verifier on such labels. `python benchmarks/gsm8k_rows.py SOLUTIONS OUT.jsonl` writes one
ranking a problem, right solutions at rank 1 and wrong ones at 2; problems whose solutions are all right, or all
wrong, teach no order and are counted.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
CALCULATOR = re.compile(r"<<[^<>]*>>")


def read_problems(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of example_model_solutions.jsonl.gz."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def ranking(problem: dict[str, Any]) -> dict[str, Any] | None:
    """One problem's solutions, without calculator marks and repetitions; None when none is better than another."""
    labels = {CALCULATOR.sub("", problem[name]["solution"]): problem[name]["is_correct"] for name in MODELS}
    if len(set(labels.values())) < 2:
        return None
    return {
        "prompt": problem["question"],
        "responses": list(labels),
        "ranks": [1 if right else 2 for right in labels.values()],
    }


def rankings(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rankings, and how many problems give none."""
    made = [ranking(problem) for problem in read_problems(path)]
    found = [row for row in made if row is not None]
    return found, len(made) - len(found)


if __name__ == "__main__":
    rows, without = rankings(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} rankings, {without} problems whose solutions are all right or all wrong")
