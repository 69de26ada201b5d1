"""A class-unconditional DDPM as a folder that plain diffusers draws from.

DDPMPipeline.from_pretrained(folder) or DDIMPipeline.from_pretrained(folder)

Those pipelines take no labels and know no patches, so only a model without either can be exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.errors import ModelError

if TYPE_CHECKING:
    from generators.ddpm import Ddpm


def exportable(model: Ddpm) -> bool:
    """Whether diffusers' unconditional pipelines can draw from this network."""
    return not model.classes and model.config.unet.patch == 1


def export_pipeline(model: Ddpm, folder: Path) -> None:
    """Write a DDPMPipeline: the U-Net as safetensors and the training schedule as a DDPMScheduler's configuration.

    DDIMPipeline reads the same folder; call it with `use_clipped_model_output=True`, which its scheduler needs with a
    cosine schedule, or put `named_scheduler("ddim", pipeline.scheduler.config)` in its place.

    Raises:
        ModelError: the model has classes or patches.
        OSError: the folder cannot be written.
    """
    from diffusers import DDPMPipeline

    from generators.schedulers import named_scheduler

    if not exportable(model):
        cause = "diffusers' unconditional pipelines take no labels and no patches"
        raise ModelError("exporting the model", cause, "Train with model.conditional=false and model.unet.patch=1")
    scheduler = named_scheduler("ddpm", model.training_schedule)
    pipeline: Any = DDPMPipeline(unet=model.network.unet, scheduler=scheduler)  # type: ignore[no-untyped-call]
    pipeline.save_pretrained(folder, safe_serialization=True)
