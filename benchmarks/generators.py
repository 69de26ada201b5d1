"""The recipes that ship, over three seeds, against the bars that they are to reach.

python -m benchmarks.generators [--only ddpm-digits] [--seeds 0,1,2] [--output FOLDER] [--full]

Each run is in a folder of `--output` and is not made again: interrupted, it goes on. Budgets are CPU seconds of
training. FID is in the features of the judge that `generators/judge.py` specifies, and again of a second one, beside
what as many real pictures come to. Exits with 1 when a bar is missed by any seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.compare_runs import Entry, run_all
from generators.compare_table import JUDGES
from generators.recipe import load_recipe

Read = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Bar:
    """A figure of a recipe that is to be at most or at least something; `limit` None is only reported.

    Without `--full`, those that need it are not measured, which is said; of any other, a figure that is not there is a
    bar missed.
    """

    recipe: str
    title: str
    read: Read
    limit: float | None = None
    most: bool = True
    needs_full: bool = False

    def reached(self, value: float) -> bool:
        return self.limit is None or (value <= self.limit if self.most else value >= self.limit)


def judged(name: str, judge: str = "first") -> Read:
    def read(evaluation: Mapping[str, Any]) -> float | None:
        found = evaluation[judge]["measures"].get(name)
        return None if found is None else float(found["value"])

    return read


def own(name: str) -> Read:
    return lambda evaluation: evaluation["figures"].get(name)


def at(options: str, name: str) -> Read:
    """A figure of the samples drawn with other options, see `WAYS`."""
    return lambda evaluation: evaluation.get("drawn", {}).get(options, {}).get(name)


BARS = (
    Bar("ddpm-digits", "FID, DDIM in 50 steps", at("ddim-50", "fid"), 1.5),
    Bar("ddpm-digits", "accuracy, DDIM in 50 steps", at("ddim-50", "accuracy"), 0.97, most=False),
    Bar("ddpm-digits", "FID, DDIM in 10 steps", at("ddim-10", "fid"), 1.5),
    Bar("ddpm-digits", "accuracy, DDIM in 10 steps", at("ddim-10", "accuracy"), 0.97, most=False),
    Bar("ddpm-digits", "FID of DDIM-50 by that of DDPM-1000", at("ratio", "fid"), 2.0, needs_full=True),
    Bar("flow_matching-digits", "FID", judged("fid")),
    Bar("flow_matching-digits", "accuracy", judged("accuracy")),
    Bar("vae-digits", "-ELBO, nats", own("bound"), 23.5),
    Bar("vae-digits-binarised", "-ELBO, nats", own("bound"), 17.8),
    Bar("dcgan-digits", "FID", judged("fid"), 3.0),
    Bar("dcgan-digits", "recall", judged("recall"), 0.95, most=False),
    Bar("dcgan-digits", "modes", judged("modes"), 10, most=False),
    Bar("wgan_gp-digits", "FID", judged("fid"), 4.0),
    Bar("wgan_gp-digits", "recall", judged("recall"), 0.95, most=False),
    Bar("wgan_gp-digits", "modes", judged("modes"), 10, most=False),
    Bar("biggan-digits", "FID", judged("fid")),
    Bar("biggan-digits", "accuracy", judged("accuracy")),
    Bar("stylegan-digits", "FID", judged("fid")),
    Bar("stylegan-digits", "recall", judged("recall")),
    Bar("text_to_image-digits", "prompt accuracy", judged("accuracy"), 0.95, most=False),
    Bar("text_to_image-digits", "FID", judged("fid"), 6.0),
)
WAYS = {"ddpm-digits": (("ddim", 50), ("ddim", 10))}
"""Other ways to draw from a recipe's model: scheduler and steps."""


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments(arguments)
    names = dict.fromkeys([*(bar.recipe for bar in BARS), "pix2pix-digits", "cyclegan-digits"])
    recipes = [load_recipe(name) for name in names if not asked.only or name in asked.only]
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    entries = list(run_all(recipes, seeds, Path(asked.output), lambda line: print(line, file=sys.stderr, flush=True)))
    found = [(entry, {**entry.evaluation, "drawn": _drawn(entry, asked.full)}) for entry in entries]
    missed = 0
    for name in [recipe.name for recipe in recipes]:
        of = [(entry, evaluation) for entry, evaluation in found if entry.recipe.name == name]
        print(f"\n## {name}, seeds {asked.seeds}")
        missed += sum(not reached for reached in _bars(name, of))
        _figures(of)
    return 1 if missed else 0


def _bars(name: str, of: Sequence[tuple[Entry, Mapping[str, Any]]]) -> Iterator[bool]:
    for bar in (bar for bar in BARS if bar.recipe == name):
        values = [value for _, evaluation in of if (value := bar.read(evaluation)) is not None]
        if len(values) < len(of):
            print(f"{bar.title}: not measured in {len(of) - len(values)} of {len(of)} runs")
            yield bar.limit is None or bar.needs_full
            continue
        reached = all(bar.reached(value) for value in values)
        limit = (
            "" if bar.limit is None else f"  bar {'<=' if bar.most else '>='} {bar.limit}: {'yes' if reached else 'NO'}"
        )
        print(f"{bar.title}: {', '.join(f'{value:.3f}' for value in values)}{limit}")
        yield reached


def _figures(of: Sequence[tuple[Entry, Mapping[str, Any]]]) -> None:
    """All figures, each judge beside its floor, and what the family says of itself."""
    for judge in JUDGES:
        for side in ("measures", "floor"):
            sides = [evaluation[judge][side] for _, evaluation in of]
            keys = [key for key, value in sides[0].items() if isinstance(value, Mapping)]
            said = [f"{key} {_numbers([each[key]['value'] for each in sides])}" for key in keys]
            print(f"{judge} judge, {side} (n={sides[0]['n']}): {'; '.join(said)}")
    for key in of[0][1]["figures"]:
        print(f"{key}: {_numbers([evaluation['figures'][key] for _, evaluation in of])}")
    for title, read in (("training, CPU s", "seconds"), ("steps", "steps")):
        print(f"{title}: {', '.join(f'{entry.folder.state.get(read, 0):.0f}' for entry, _ in of)}")
    rung = [alarm["kind"] for entry, _ in of for alarm in entry.folder.state.get("alarms") or ()]
    print(f"alarms: {', '.join(rung) or 'none'}")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _drawn(entry: Entry, full: bool) -> dict[str, dict[str, float]]:
    """Samples of a diffusion model with other numbers of steps; with `full` also by all 1,000."""
    if entry.recipe.name not in WAYS:
        return {}
    from generators.data import load_pictures
    from generators.diffusion_study import study_steps
    from generators.judge import judge_for
    from generators.model import load_model

    split = load_pictures(entry.recipe.data)
    ways = [*WAYS[entry.recipe.name], *([("ddpm", 1000)] if full else [])]
    rows = study_steps(load_model(entry.folder.model), split, judge_for(split.train), ways)
    found = {}
    for row in rows:
        plain = {"fid": row.measures.fid.value, "seconds": row.seconds}
        if row.measures.accuracy is not None:
            plain["accuracy"] = row.measures.accuracy.value
        found[f"{row.scheduler}-{row.steps}"] = plain
    if full:
        found["ratio"] = {"fid": found["ddim-50"]["fid"] / found["ddpm-1000"]["fid"]}
        print(f"{entry.recipe.name}, seed {entry.recipe.seed}: {found}")
    return found


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help="recipes, with commas between them")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", default="runs/bars")
    parser.add_argument("--full", action="store_true", help="also draw by DDPM in 1,000 steps")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
