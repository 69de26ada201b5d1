"""A trained diffusion or flow model in many steps and few, and under guidance: quality, diversity and CPU seconds.

hearth generate train ddpm-digits && python -m benchmarks.diffusion_steps runs/ddpm-digits [--count 397] [--short]

Prints, for the run's own data, the floor of real test pictures, a table over schedulers and steps (to DDPM's 1,000,
which takes minutes; not with --short) and one over guidance scales, in the features of both judges.
"""

from __future__ import annotations

import argparse
import sys

from decoder.runs.folder import RunFolder


def main(arguments: list[str] | None = None) -> int:
    import torch
    import yaml

    from generators.data import load_pictures
    from generators.diffusion_study import FLOW_STEPS, STEPS, guidance_table, steps_table, study_guidance, study_steps
    from generators.judge import judge_for
    from generators.metrics import floor
    from generators.model import load_model
    from generators.recipe import make_recipe

    asked = _parse(arguments)
    torch.set_num_threads(1)
    folder = RunFolder(asked.run)
    recipe = make_recipe(yaml.safe_load((folder.path / "recipe.yaml").read_text(encoding="utf-8")))
    split, model = load_pictures(recipe.data), load_model(folder.model)
    ways = FLOW_STEPS if model.family == "flow_matching" else STEPS
    ways = tuple(way for way in ways if way[1] < 1000 or not asked.short)
    for variant in asked.judges:
        judge = judge_for(split.train, variant)
        real = floor(split, judge, asked.count)
        print(f"\n{judge.name}; n={asked.count}; floor: FID {real.fid}, recall {real.recall}, coverage {real.coverage}")
        print(steps_table(study_steps(model, split, judge, ways, asked.count, asked.seed)), flush=True)
        if "labels" in model.hears and not asked.short:
            print("\n" + guidance_table(study_guidance(model, split, judge, count=asked.count, seed=asked.seed)))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="python -m benchmarks.diffusion_steps")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--count", type=int, default=397, help="pictures a row")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures")
    parser.add_argument("--short", action="store_true", help="neither DDPM's 1,000 steps nor guidance")
    parser.add_argument("--judges", nargs="+", default=["first"], choices=["first", "second"])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
