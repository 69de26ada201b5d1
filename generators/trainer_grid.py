"""The sample grids of a run: the same conditions and the same noise each time, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generators.grids import save_grid
from generators.model import DataShape, GenerativeModel
from generators.pictures import Pictures, as_floats
from generators.sample import sample

ACROSS = 8
MOST_CLASSES = 16
"""Rows of a grid with a row a class; further classes are not shown."""


@dataclass(frozen=True, slots=True)
class GridPlan:
    """What a grid shows.

    Attributes:
        count: pictures to draw.
        labels, captions, images: their conditions.
        targets: what the translations of `images` should look like; None where nothing says so.
    """

    count: int
    labels: Tensor | None = None
    captions: tuple[str, ...] = ()
    images: Tensor | None = None
    targets: Tensor | None = None


def plan_grid(shape: DataShape, test: Pictures, hears: Sequence[str] = ("labels", "captions")) -> GridPlan:
    """Held-out pictures to translate, held-out captions, or eight of each class: what the data has and a model
    `hears`.
    """
    if shape.target_channels:
        few = min(ACROSS, len(test))
        paired = test.targets is not None and test.paired
        return GridPlan(
            few,
            images=as_floats(test.images[:few]),
            targets=as_floats(test.targets[:few]) if paired and test.targets is not None else None,
        )
    if test.captions and "captions" in hears:
        captions = test.captions[: ACROSS * ACROSS]
        return GridPlan(len(captions), captions=captions)
    if shape.classes and "labels" in hears:
        rows = min(shape.classes, MOST_CLASSES)
        return GridPlan(rows * ACROSS, labels=torch.arange(rows).repeat_interleave(ACROSS))
    return GridPlan(ACROSS * ACROSS)


def draw_grid(model: GenerativeModel, plan: GridPlan, seed: int, options: Mapping[str, Any], path: Path) -> Path:
    """Draw and write one. Raises RecipeError for options that the family does not know, OSError."""
    drawn = sample(
        model, plan.count, labels=plan.labels, captions=plan.captions, images=plan.images, seed=seed, **options
    )
    if plan.images is not None:
        rows = [plan.images, drawn] + ([plan.targets] if plan.targets is not None else [])
        drawn = torch.cat(same_channels(rows))
    return save_grid(drawn, path, ACROSS)


def same_channels(images: list[Tensor]) -> list[Tensor]:
    """Grey pictures as colour where others are in colour."""
    most = max(each.shape[1] for each in images)
    return [each.expand(-1, most, -1, -1) for each in images]
