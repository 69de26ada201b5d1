"""How well a small reward model tells right solutions of school problems from wrong ones, on problems it never saw.

    python -m benchmarks.reward_gsm8k ../shared/data/gsm8k [--output runs/reward-gsm8k] [--held-out 250] [--json]

A decoder of about a million parameters is made from nothing on GSM8K's worked solutions (Cobbe et al. 2021), then a
reward model from it, on rankings of four models' solutions: right ones first, wrong ones second. Problems are split,
not solutions. Its accuracy stands beside what needs no model: chance, the longer one, the shorter one, and the one of
the model that is right more often on the training problems, which says how far a judge of style alone would come.

Takes some fifteen CPU minutes; when it is interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from alignment.recipe import make_recipe
from alignment.stages import train
from benchmarks.gsm8k_rows import CALCULATOR, MODELS, ranking, read_problems
from prompts.intervals import mean

SEED = 0


def main() -> None:
    """Make both models where they are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with train.jsonl.gz and example_model_solutions.jsonl.gz")
    parser.add_argument("--output", type=Path, default=Path("runs/reward-gsm8k"))
    parser.add_argument("--held-out", type=int, default=250, help="problems")
    parser.add_argument("--teach", type=int, default=0, help="problems to train on; 0 means all others")
    parser.add_argument("--pretrain-steps", type=int, default=0, help="0 means one pass over the worked solutions")
    parser.add_argument("--epochs", type=float, default=2, help="of the reward model")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    teach, held_out = split(list(read_problems(given.data / "example_model_solutions.jsonl.gz")), given.held_out)
    teach = teach[: given.teach or len(teach)]
    decoder = pretrained(given)
    figures = rewarded(given, decoder, rows_of(teach), rows_of(held_out))
    found = {"model": figures, **baselines(teach, held_out)}
    print(json.dumps(found, indent=1) if given.json else table(found))


def split(problems: list[dict[str, Any]], held_out: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Problems that have right and wrong solutions: to teach by, and to hold out."""
    told = [problem for problem in problems if ranking(problem) is not None]
    random.Random(SEED).shuffle(told)
    return told[held_out:], told[:held_out]


def rows_of(problems: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rankings, each prompt ended by a line break."""
    made = [ranking(problem) for problem in problems]
    return [{**row, "prompt": row["prompt"] + "\n"} for row in made if row is not None]


def pretrained(given: argparse.Namespace) -> Path:
    """A decoder that has read GSM8K's worked solutions, which are not those of the problems here."""
    file = given.output / "text.jsonl"
    file.write_text("".join(json.dumps({"text": text(p)}) + "\n" for p in read_problems(given.data / "train.jsonl.gz")))
    training = {
        "max_length": 256,
        "per_device_train_batch_size": 16,
        "logging_steps": 20,
        "save_steps": 100,
        **({"max_steps": given.pretrain_steps} if given.pretrain_steps else {"num_train_epochs": 1}),
    }
    return stage("pretrain", given.output / "decoder", {"data": {"train": str(file)}, "training": training})


def text(problem: dict[str, Any]) -> str:
    """A problem with its solution, written as the example solutions are."""
    return f"{problem['question']}\n{CALCULATOR.sub('', problem['answer']).replace('#### ', 'A: ')}"


def rewarded(given: argparse.Namespace, decoder: Path, teach: list[Any], held_out: list[Any]) -> dict[str, Any]:
    """The reward stage's own figures on the problems held out."""
    data = {}
    for name, rows in (("train", teach), ("eval", held_out)):
        file = given.output / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data[name] = str(file)
    training = {
        "max_length": 768,
        "per_device_train_batch_size": 4,
        "num_train_epochs": given.epochs,
        "learning_rate": 3e-4,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "logging_steps": 10,
        "eval_strategy": "no",  # the stage evaluates when it ends
        "save_strategy": "epoch",
    }
    model = stage(
        "reward", given.output / "reward", {"model": {"path": str(decoder)}, "data": data, "training": training}
    )
    found: dict[str, Any] = json.loads((model.parent / "reward_eval.json").read_text(encoding="utf-8"))
    return {key: found[key] for key in ("accuracy", "log_loss", "ece", "margin", "prompts", "pairs", "length")}


def stage(name: str, output: Path, sections: dict[str, Any]) -> Path:
    """Run a stage, or go on with it, and return its result's folder."""
    recipe = {"stage": name, "name": f"gsm8k-{name}", "output": str(output), "seed": SEED, "register": False}
    return train(make_recipe({**recipe, **sections}), resume=(output / "run.json").exists()).model


def baselines(teach: Sequence[dict[str, Any]], held_out: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy of rules over the same pairs, a tie being half right."""
    shares = {name: sum(problem[name]["is_correct"] for problem in teach) / len(teach) for name in MODELS}
    rules: dict[str, Callable[[dict[str, Any], str], float]] = {
        "longer": lambda problem, name: len(CALCULATOR.sub("", problem[name]["solution"])),
        "shorter": lambda problem, name: -len(CALCULATOR.sub("", problem[name]["solution"])),
        "by the better model": lambda problem, name: shares[name],
    }
    return {
        name: {"accuracy": asdict(mean([accuracy(problem, rule) for problem in held_out]))}
        for name, rule in rules.items()
    }


def accuracy(problem: dict[str, Any], rule: Callable[[dict[str, Any], str], float]) -> float:
    """Share of a problem's pairs, of one right and one wrong solution, in which the right one has more."""
    right = [rule(problem, name) for name in MODELS if problem[name]["is_correct"]]
    wrong = [rule(problem, name) for name in MODELS if not problem[name]["is_correct"]]
    pairs = [(r > w) + 0.5 * (r == w) for r in right for w in wrong]
    return sum(pairs) / len(pairs)


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| judge | accuracy on held-out problems |", "|---|---|", "| chance | .500 |"]
    for name, figures in found.items():
        share = figures["accuracy"]
        lines.append(f"| {name} | {share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] |")
    model = found["model"]
    lines += ["", f"{model['pairs']} pairs of {model['prompts']} problems; log-loss {model['log_loss']:.3f} nats "]
    lines[-1] += f"(chance 0.693), calibration error {model['ece']:.3f}, Spearman of score and length "
    lines[-1] += f"{model['length']['spearman']:.3f}"
    return "\n".join(lines)


if __name__ == "__main__":
    main()
