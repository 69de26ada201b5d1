"""evaluate("runs/ddpm-digits"): samples of a run's model, measured with both judges beside the floors of real pictures.

It is written to evaluation.json in the run's folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from decoder.runs.markdown import table
from decoder.runs.record import read_object, write_whole
from generators.metrics import FIGURES, Measures

if TYPE_CHECKING:
    from generators.evaluate_draw import Drawn
    from generators.pictures import Split
    from generators.sections import EvaluationSection

FILE = "evaluation.json"
STEP = "evaluating"


@dataclass(frozen=True, slots=True)
class Judged:
    """One judge's figures.

    Attributes:
        judge: what its features are.
        test_accuracy: its share of held-out pictures told right.
        measures: of the samples.
        floor: of as many held-out pictures, or of all where there are fewer; its `n` says how many.
    """

    judge: str
    test_accuracy: float
    measures: Measures
    floor: Measures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run's model, measured.

    Attributes:
        family, name, seed: of the recipe.
        samples: drawn, with the options `sampling` and the seed `sampling_seed`.
        sampling_seconds: CPU seconds that drawing took; on a GPU, wall seconds.
        training_seconds: as run.json has it.
        asked: what the samples were drawn for: "labels", "captions", "images", or "" where the model takes none.
        first, second: the judges' figures.
        figures: of the family alone, on held-out pictures.
    """

    family: str
    name: str
    seed: int
    samples: int
    sampling: Mapping[str, Any]
    sampling_seed: int
    sampling_seconds: float
    training_seconds: float
    asked: str
    first: Judged
    second: Judged
    figures: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return dataclasses.asdict(self)


def evaluate(
    run: str | Path | RunFolder, samples: int | None = None, sampling: Mapping[str, Any] | None = None
) -> Evaluation:
    """Draw from a run's model, measure, write evaluation.json in its folder, and its report anew.

    Args:
        samples: in place of the recipe's `evaluation.samples`.
        sampling: in place of the recipe's `evaluation.sampling`.

    Raises:
        ModelError: the run holds no model that can be loaded.
        RecipeError: its recipe cannot be read, or an option of sampling is unknown.
        FeaturesMissing: the recipe asks for Inception's features, and they cannot be had.
        CheckpointFailed: evaluation.json or the report cannot be written.
    """
    import torch

    from generators.data import load_pictures
    from generators.evaluate_draw import draw, judged_split
    from generators.recipe import load_recipe
    from generators.report import renew_report
    from generators.sample import drawing, open_model

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run).expanduser())
    if not (folder.path / "recipe.yaml").is_file():
        raise RecipeError(STEP, f"{folder.path} holds no recipe.yaml", "Name the folder of a finished run")
    recipe = load_recipe(folder.path / "recipe.yaml")
    section = dataclasses.replace(
        recipe.evaluation,
        samples=recipe.evaluation.samples if samples is None else samples,
        sampling=dict(recipe.evaluation.sampling if sampling is None else sampling),
    )
    model, split = open_model(folder), load_pictures(recipe.data)
    drawn = draw(model, split, section)
    with drawing(model):
        figures = model.evaluate(split.test, torch.Generator().manual_seed(section.seed))
    judged = judged_split(split)
    found = Evaluation(
        family=recipe.family,
        name=recipe.name,
        seed=recipe.seed,
        samples=len(drawn.images),
        sampling=section.sampling,
        sampling_seed=section.seed,
        sampling_seconds=drawn.seconds,
        training_seconds=float(folder.state.get("seconds") or 0.0),
        asked=drawn.asked,
        first=_judged("first", drawn, judged, section),
        second=_judged("second", drawn, judged, section),
        figures=figures,
    )
    write_whole(folder.path / FILE, json.dumps(found.plain(), indent=1) + "\n", "writing the evaluation")
    renew_report(folder)
    return found


def read_evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """evaluation.json; None where there is none, or a damaged one."""
    return read_object(folder.path / FILE) or None


def to_markdown(found: Evaluation) -> str:
    """Both judges' figures beside their floors, and what the family itself says, as a table."""
    judges = (found.first, found.second)
    sides = [each for judge in judges for each in (judge.measures, judge.floor)]
    head = [text for i, j in enumerate(judges, 1) for text in (f"judge {i}, n={j.measures.n}", f"real, n={j.floor.n}")]
    rows = [
        [title, *("" if (cell := getattr(side, name)) is None else str(cell) for side in sides)]
        for name, title in FIGURES.items()
        if getattr(sides[0], name) is not None
    ]
    told = [
        f"- judge {i}: {j.judge}, {j.test_accuracy:.3f} right on held-out pictures" for i, j in enumerate(judges, 1)
    ]
    told += [f"- {name}: {value:.4g}" for name, value in found.figures.items()]
    told += [f"- {found.sampling_seconds:.1f} s to draw {found.samples} pictures ({_options(found)})"]
    return "\n".join([table(["", *head], rows), "", *told]) + "\n"


def _judged(variant: Any, drawn: Drawn, split: Split, section: EvaluationSection) -> Judged:
    from generators.judge import judge_for
    from generators.metrics import Reference, floor_against, measure_against

    judge = judge_for(split.train, variant)
    accuracy = judge.accuracy_on(split.test)
    if section.features == "inception" and variant == "first":
        from generators.judge_inception import with_inception

        judge = with_inception(judge)
    known = Reference.of(split, judge)
    measures = measure_against(drawn.images, known, drawn.labels)
    return Judged(judge.name, accuracy, measures, floor_against(split, known, len(drawn.images)))


def _options(found: Evaluation) -> str:
    options = ", ".join(f"{key}={value}" for key, value in found.sampling.items())
    return f"{options or 'default options'}, seed {found.sampling_seed}"
