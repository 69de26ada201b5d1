"""A ladder of small models, and the law that their losses follow: which size is best for so much compute.

Every size is trained by the stage `pretrain` on every token budget, each with its own learning-rate schedule, as it
must be for the losses to be compared (Hoffmann et al. 2022, section 3.1). Each rung is a run's folder; a ladder that
was interrupted goes on with those that are missing.

python -m alignment.scaling --config scaling-small
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.recipe import make_recipe
from alignment.scaling_fit import Measured, ScalingLaw, fit_law
from alignment.sections import ArchitectureSection, DataSection
from decoder.errors import RecipeError
from decoder.runs.recipe import NAME, convert

if TYPE_CHECKING:
    from alignment.sections import Recipe

STEP = "reading the ladder"
UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class ScalingRecipe:
    """A ladder, wholly described.

    Attributes:
        output: the folder of its rungs and its report.
        sizes: name -> keys of `architecture` in which that size differs, and its `learning_rate`, which wants to fall
            with the width (Yang et al. 2022).
        tokens: budgets, as in 64k or 1.5M; each is rounded up to whole steps.
        compute: budgets in FLOPs for which the best size is worked out.
        data: with an evaluation part; the same for all rungs.
        training: keys of TRL's SFTConfig for all rungs, but for the number of steps.
        bootstrap: resamples for the intervals.
    """

    name: str
    output: str
    sizes: Mapping[str, Any]
    tokens: tuple[str, ...]
    compute: tuple[str, ...] = ()
    seed: int = 0
    architecture: ArchitectureSection = field(default_factory=ArchitectureSection)
    data: DataSection = field(default_factory=DataSection)
    training: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: int = 200


@dataclass(frozen=True, slots=True)
class Rung:
    """One model of the ladder: its size's name, its tokens, and the recipe that trains it."""

    size: str
    tokens: int
    recipe: Recipe


def load_ladder(path: str | Path, overrides: Sequence[str] = ()) -> ScalingRecipe:
    """Read a ladder's YAML, or one that ships by its name. Raises RecipeError."""
    from alignment.recipe import read_values

    values = read_values(path, overrides)
    for key in ("tokens", "compute"):  # 64 is a number in YAML, 64k is text
        if isinstance(values.get(key), list):
            values[key] = [str(each) for each in values[key]]
    ladder: ScalingRecipe = convert(values, ScalingRecipe, "ladder")
    if not all(NAME.fullmatch(name) for name in (ladder.name, *ladder.sizes)):
        raise RecipeError(STEP, "a name of the ladder is no name", "Use letters, digits, '-', '_' and '.'")
    if not ladder.output:
        raise RecipeError(STEP, "output is empty", "Name the folder of the ladder")
    if not ladder.data.eval and not ladder.data.eval_fraction:
        raise RecipeError(STEP, "the ladder has no evaluation rows to compare losses on", "Set data.eval_fraction")
    return ladder


def rungs(ladder: ScalingRecipe) -> list[Rung]:
    """What the ladder trains, the cheap ones first. Raises RecipeError when one could not be trained."""
    from alignment.pretrain import check

    found = [_rung(ladder, size, text) for text in ladder.tokens for size in ladder.sizes]
    for rung in found:
        check(rung.recipe)
    return found


def climb(ladder: ScalingRecipe) -> Iterator[Measured]:
    """Train each rung that is not there yet, and tell what each came to.

    Raises what `pretrain.run` raises; what is finished stays, and the next call goes on.
    """
    for rung in rungs(ladder):
        yield measure(rung)


def measure(rung: Rung) -> Measured:
    """One rung's parameters, tokens and evaluation loss; it is trained when it is not finished."""
    from alignment.pretrain import run
    from alignment.run_folder import folder_of

    folder = run(rung.recipe, resume=bool(folder_of(rung.recipe).state))
    state = folder.state
    tokens = int(state["metrics"].get("eval_num_tokens", rung.tokens))
    return Measured(rung.size, state["parameters"], tokens, float(state["metrics"]["eval_loss"]))


def study(ladder: ScalingRecipe, say: Any = None) -> ScalingLaw:
    """Climb the ladder, fit the law, and write report.md and report.html into the ladder's folder.

    Args:
        say: is called with each rung's Measured as it comes.

    Raises:
        DataError: the rungs are too few or too much alike for a fit.
    """
    from alignment.scaling_report import write_scaling_report

    measured = []
    for one in climb(ladder):
        measured.append(one)
        if say is not None:
            say(one)
    law = fit_law(measured, [_number(text) for text in ladder.compute], ladder.bootstrap, ladder.seed)
    write_scaling_report(Path(ladder.output).expanduser(), ladder.name, law, _unique_tokens(ladder))
    return law


def count(text: str) -> int:
    """Tokens of "64k", "1.5M" or "1000". Raises RecipeError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise RecipeError(STEP, f"{text!r} is no number of tokens", "Write 64k or 1.5M")
    return round(float(found[1]) * UNITS[found[2]])


def _rung(ladder: ScalingRecipe, size: str, text: str) -> Rung:
    differs = dict(convert(ladder.sizes[size], Mapping[str, Any], f"sizes.{size}"))
    tokens = count(text)
    training = dict(ladder.training) | {key: differs.pop(key) for key in ("learning_rate",) if key in differs}
    step = _whole(training, "max_length", 512) * _whole(training, "per_device_train_batch_size", 8)
    steps = -(-tokens // (step * _whole(training, "gradient_accumulation_steps", 1)))
    shape = dataclasses.asdict(ladder.architecture) | differs
    always = {"eval_strategy": "no", "save_strategy": "no", "num_train_epochs": 1, "max_steps": steps}
    recipe = make_recipe(
        {
            "stage": "pretrain",
            "name": f"{ladder.name}-{size}-{text}",
            "output": str(Path(ladder.output).expanduser() / "rungs" / f"{size}-{text}"),
            "seed": ladder.seed,
            "architecture": shape,
            "data": dataclasses.asdict(ladder.data),
            "training": {"logging_steps": max(1, steps // 20), **training, **always},
            "register": False,
        }
    )
    return Rung(size, tokens, recipe)


def _whole(training: Mapping[str, Any], key: str, default: int) -> int:
    value = training.get(key, default)
    if type(value) is not int or value < 1:
        raise RecipeError(STEP, f"training.{key} is {value!r}, no whole number from 1", "Give one")
    return value


def _unique_tokens(ladder: ScalingRecipe) -> int:
    """Tokens of the training text, each counted once: beyond, a rung has read text again."""
    from alignment.run_folder import folder_of

    first = rungs(ladder)[0].recipe
    return int(folder_of(first).state.get("rows_packed", 0)) * int(first.training.get("max_length", 512))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecipeError(STEP, f"compute: {text!r} is no number of FLOPs", "Write 1e15") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    import argparse
    import sys

    from decoder.errors import HearthError

    parser = argparse.ArgumentParser(prog="python -m alignment.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, help="a ladder's file, or the name of one that ships")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set a key; may be repeated")
    given = parser.parse_args(arguments)
    try:
        ladder = load_ladder(given.config, given.set)
        law = study(ladder, lambda one: print(f"{one.size}: N={one.parameters} D={one.tokens} loss={one.loss:.4f}"))
    except HearthError as error:
        print(f"scaling: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    print(f"{law}\nThe report is {Path(ladder.output) / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
