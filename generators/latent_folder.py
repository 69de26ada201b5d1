"""A latent text-to-image model's folder: whole for plain `diffusers`, and for `load_model`.

model_index.json, vae/, unet/, text_encoder/, tokenizer/, scheduler/    a StableDiffusionPipeline, safetensors only
config.json                                                             what `load_model` needs besides
README.md                                                               what it is, for people
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from generators.latent_text import listed
from generators.model import CONFIG

if TYPE_CHECKING:
    from generators.latent import LatentTextToImage

README = """# A small text-to-image model, trained from scratch

Pictures of {size} x {size} pixels, {channels} channel(s), from captions. It knows the {count} words of the captions
that it was trained on and no others: plain `diffusers` reads any other word as `<unk>` and draws something all the
same; Hearth refuses it.

Words: {words}

Parts: AutoencoderKL ({vae:,} parameters, scaling_factor {scaling:.4f}), UNet2DConditionModel ({unet:,}),
CLIPTextModel ({text:,}); {prediction} prediction, {schedule} schedule of 1,000 steps.

    from diffusers import StableDiffusionPipeline
    pipeline = StableDiffusionPipeline.from_pretrained(FOLDER, safety_checker=None, requires_safety_checker=False)
    pipeline({example!r}, guidance_scale=2.0, num_inference_steps=25).images[0]

There is no safety checker: none can be trained from such data.
"""


def save_parts(model: LatentTextToImage, folder: Path) -> None:
    """Write the pipeline, config.json and README.md. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        model.pipeline().save_pretrained(str(folder), safe_serialization=True)
    about = {"family": model.family, "config": dataclasses.asdict(model.config)}
    about |= {"shape": dataclasses.asdict(model.shape), "extra": model.extra_config()}
    (folder / CONFIG).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_readme(model), encoding="utf-8")


def load_parts(model: LatentTextToImage, folder: Path) -> None:
    """Put the saved parts' weights into `model`. Raises OSError, RuntimeError for weights of other shapes."""
    kinds: dict[str, Any] = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel}
    for part, kind in kinds.items():
        with _quiet():
            saved = kind.from_pretrained(str(folder / part), use_safetensors=True, local_files_only=True)
        getattr(model, part).load_state_dict(saved.state_dict())
        if part == "vae":
            model.scaling_factor.fill_(saved.config.scaling_factor)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers for what takes a blink; as they were set, afterwards."""
    from transformers.utils import logging as said

    logging: Any = said
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _readme(model: LatentTextToImage) -> str:
    sizes = {
        name: sum(weight.numel() for weight in getattr(model, part).parameters())
        for name, part in (("vae", "vae"), ("unet", "unet"), ("text", "text_encoder"))
    }
    return README.format(
        size=model.shape.size,
        channels=model.shape.channels,
        count=len(model.words),
        words=listed(model.words, 400),
        scaling=float(model.scaling_factor),
        prediction=model.config.prediction,
        schedule=model.config.schedule,
        example=next(iter(model.captions.values()))[0],
        **sizes,
    )
