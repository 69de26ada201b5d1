"""The samples that a model is judged by: for labels or captions as the held-out pictures have them, or translations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from generators.pictures import Pictures, Split
from generators.sample import sample

if TYPE_CHECKING:
    from generators.model import GenerativeModel
    from generators.sections import EvaluationSection


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn.

    Attributes:
        images: [n, c, h, w] in [-1, 1].
        labels: [n] classes that were asked for; None where the model takes none.
        seconds: CPU seconds it took; on a GPU, wall seconds.
        asked: "labels", "captions", "images" or "".
    """

    images: Tensor
    labels: Tensor | None
    seconds: float
    asked: str


def draw(model: GenerativeModel, split: Split, section: EvaluationSection) -> Drawn:
    """Draw `section.samples` pictures; translations at most as many as there are pictures held out.

    Raises:
        RecipeError: an option of sampling is unknown.
    """
    test = split.test
    count = min(section.samples, len(test)) if split.train.targets is not None else section.samples
    index = torch.arange(count) % len(test)
    asks = _what_it_hears(model, test, index)
    began_cpu, began = time.process_time(), time.perf_counter()
    images = sample(model, count, seed=section.seed, **asks, **section.sampling)
    on_gpu = any(p.is_cuda for p in model.parameters())
    seconds = time.perf_counter() - began if on_gpu else time.process_time() - began_cpu
    labels = test.labels[index] if test.labels is not None and asks else None
    return Drawn(images, labels, seconds, next(iter(asks), ""))


def judged_split(split: Split) -> Split:
    """The pictures that samples are compared with: the targets, where there are any."""
    if split.train.targets is None:
        return split
    return Split(_targets(split.train), _targets(split.test))


def _targets(pictures: Pictures) -> Pictures:
    if pictures.targets is None:
        return pictures
    labels = pictures.labels if pictures.paired else None
    names = pictures.class_names if pictures.paired else ()
    return Pictures(pictures.targets, labels, names, source=f"targets of {pictures.source}")


def _what_it_hears(model: GenerativeModel, test: Pictures, index: Tensor) -> dict[str, Any]:
    """Arguments of `sample` by which the held-out pictures are asked for, as far as the model takes note of them."""
    if model.shape.target_channels:
        return {"images": test.floats()[index]}
    if test.captions and "captions" in model.hears:
        return {"captions": tuple(test.captions[i] for i in index.tolist())}
    if test.labels is not None and "labels" in model.hears:
        return {"labels": test.labels[index]}
    return {}
