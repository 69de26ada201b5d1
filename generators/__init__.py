"""Pictures: VAE, GANs, diffusion, latent text-to-image, hub pipelines and one set of metrics to compare them.

One recipe, one trainer, the same metrics for every family, so that they can be compared honestly on one budget.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Modules of the same names as what they hold: imported first, so that the name is the function. They are light.
from generators.compare import compare
from generators.evaluate import Evaluation, evaluate
from generators.sample import sample
from generators.train import Progress, train

if TYPE_CHECKING:
    from generators.data import load_pictures
    from generators.grids import save_grid
    from generators.judge import judge_for
    from generators.latent_space import arithmetic, interpolate, latent_of, traverse
    from generators.lora_weights import Lora
    from generators.metrics import measure
    from generators.model import load_model
    from generators.picture_metadata import read_metadata, reproduce
    from generators.picture_tool import picture_tool
    from generators.recipe import load_recipe, make_recipe
    from generators.report import write_report
    from generators.sections import DataSection, Recipe
    from generators.text_to_audio import TextToAudio
    from generators.text_to_image import TextToImage
    from generators.text_to_video import TextToVideo

# Each name and the module it is imported from when it is first asked for (PEP 562).
_LAZY = {
    "arithmetic": "generators.latent_space",
    "DataSection": "generators.sections",
    "interpolate": "generators.latent_space",
    "judge_for": "generators.judge",
    "latent_of": "generators.latent_space",
    "load_model": "generators.model",
    "load_pictures": "generators.data",
    "load_recipe": "generators.recipe",
    "Lora": "generators.lora_weights",
    "make_recipe": "generators.recipe",
    "measure": "generators.metrics",
    "picture_tool": "generators.picture_tool",
    "read_metadata": "generators.picture_metadata",
    "Recipe": "generators.sections",
    "reproduce": "generators.picture_metadata",
    "save_grid": "generators.grids",
    "TextToAudio": "generators.text_to_audio",
    "TextToImage": "generators.text_to_image",
    "TextToVideo": "generators.text_to_video",
    "traverse": "generators.latent_space",
    "write_report": "generators.report",
}

__all__ = [
    "DataSection",
    "Evaluation",
    "Lora",
    "Progress",
    "Recipe",
    "TextToAudio",
    "TextToImage",
    "TextToVideo",
    "arithmetic",
    "compare",
    "evaluate",
    "interpolate",
    "judge_for",
    "latent_of",
    "load_model",
    "load_pictures",
    "load_recipe",
    "make_recipe",
    "measure",
    "picture_tool",
    "read_metadata",
    "reproduce",
    "sample",
    "save_grid",
    "train",
    "traverse",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """The room's names, on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
