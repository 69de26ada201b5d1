"""Evaluations on the way: held-out figures, watched samples, alarms, and the best weights so far.

All of it is done with the averaged weights, in eval mode, and leaves the training's own draws as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder
from decoder.runs.random_states import untouched_randomness
from generators.alarms import Watch
from generators.evaluate_draw import draw
from generators.model import GenerativeModel
from generators.pictures import Split
from generators.sample import drawing
from generators.sections import AlarmSection, Recipe
from generators.trainer_average import Averages
from generators.trainer_grid import draw_grid, plan_grid


def open_watch(recipe: Recipe, split: Split) -> Watch | None:
    """The alarms that the recipe asks for; None where it evaluates only at the end, or asks for none."""
    section: AlarmSection = recipe.alarms
    watched = (section.collapse, section.posterior_collapse, section.memorisation, section.overfitting)
    if not recipe.training.evaluate_every or not any(watched):
        return None
    from generators.judge import judge_for

    with untouched_randomness():
        judge = judge_for(split.train) if section.collapse or section.memorisation else None
    return Watch(section, split, judge)


@dataclass(slots=True)
class Best:
    """The lowest held-out bound so far.

    Attributes:
        bound, step: where it was; step -1 for nowhere.
        waited: evaluations since.
        figures: of that evaluation.
        weights: of the whole model then, averages applied; on the CPU.
    """

    bound: float = float("inf")
    step: int = -1
    waited: int = 0
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    weights: dict[str, Tensor] = dataclasses.field(default_factory=dict)


class Watching:
    """Looks at a model that is being trained, and remembers what it saw."""

    def __init__(
        self,
        recipe: Recipe,
        model: GenerativeModel,
        averages: Averages,
        split: Split,
        folder: RunFolder,
        alarms: Watch | None,
    ) -> None:
        self._recipe, self._model, self._averages = recipe, model, averages
        self._split, self._folder, self._watch = split, folder, alarms
        self._plan = plan_grid(model.shape, split.test, model.hears)
        self.best = Best()
        self.found: dict[str, float] = {}
        self.rung: list[dict[str, Any]] = []
        self.grid: Path | None = None

    @contextmanager
    def looking(self) -> Iterator[None]:
        """The averaged weights and eval mode inside; nothing of it is seen outside."""
        with untouched_randomness(), self._averages.applied(), drawing(self._model):
            yield

    def draw(self, step: int) -> Path:
        """Write samples/step-<step>.png. Raises OSError."""
        place = self._folder.path / "samples" / f"step-{step:06d}.png"
        section = self._recipe.evaluation
        with self.looking():
            self.grid = draw_grid(self._model, self._plan, section.seed, section.sampling, place)
        return self.grid

    def evaluate(self, step: int, progress: float, losses: Mapping[str, float]) -> dict[str, float]:
        """Held-out figures, alarms and the best weights; the figures come back.

        Raises:
            RecipeError: it should stop early by a bound, and the family has none.
        """
        with self.looking():
            generator = torch.Generator().manual_seed(self._recipe.evaluation.seed)
            figures = self._model.evaluate(self._split.test, generator)
            if self._recipe.training.early_stop:
                self._keep_best(step, figures)
            if self._watch is not None:
                seen = self._watch.look(step, progress, self._watched(), losses, figures)
                self.rung += [dataclasses.asdict(alarm) for alarm in seen.alarms]
                figures = {**figures, **seen.quality}
        self.found = dict(figures)
        return self.found

    @property
    def waited_long_enough(self) -> bool:
        """No better bound in as many evaluations as the recipe waits."""
        return 0 < self._recipe.training.early_stop <= self.best.waited

    def state(self) -> dict[str, Any]:
        """What `restore` goes on from, but the best weights."""
        return {
            "bound": self.best.bound,
            "step": self.best.step,
            "waited": self.best.waited,
            "figures": self.best.figures,
            "found": self.found,
            "rung": self.rung,
            "alarms": self._watch.state() if self._watch is not None else None,
        }

    def restore(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self.best = Best(state["bound"], state["step"], state["waited"], state["figures"], dict(weights))
        self.found = dict(state["found"])
        self.rung = list(state["rung"])
        if self._watch is not None:
            self._watch.restore(state["alarms"])

    def _watched(self) -> Tensor:
        """Samples for the alarms, [n, channels, size, size], asked for as at the end, of another seed."""
        section = self._recipe.evaluation
        watched = dataclasses.replace(section, samples=section.watched, seed=section.seed + 1)
        return draw(self._model, self._split, watched).images

    def _keep_best(self, step: int, figures: Mapping[str, float]) -> None:
        if "bound" not in figures:
            cause = f"training.early_stop waits for a better bound, and {self._recipe.family} has none"
            raise RecipeError("evaluating", cause, "Set training.early_stop to 0")
        if figures["bound"] < self.best.bound:
            weights = {name: value.detach().cpu().clone() for name, value in self._model.state_dict().items()}
            self.best = Best(figures["bound"], step, 0, dict(figures), weights)
        else:
            self.best.waited += 1
