"""The metadata of a picture, put together from what was asked and what was run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from generators.draw_request import DrawRequest
from generators.input_pictures import picture_digest
from generators.lora_weights import lora_digest
from generators.memory_plan import MemoryPlan
from generators.picture_metadata import Picture, PictureMetadata
from generators.pipelines_loading import ModelIdentity

if TYPE_CHECKING:
    from PIL import Image

LIBRARIES = ("hearth", "diffusers", "transformers", "torch", "pillow")
MAX_LIST = 1000


def describe(
    asked: DrawRequest,
    original: str,
    pipeline: Any,
    identity: ModelIdentity,
    plan: MemoryPlan,
    notes: tuple[str, ...],
) -> Callable[[Image.Image, int, int, int, tuple[str, ...]], Picture]:
    """A function from a picture, its batch's first seed and size, its number in it and its notes, to a Picture."""
    loras = tuple(
        {"name": lora.path.name, "sha256": lora_digest(lora), "scale": float(lora.scale)} for lora in asked.loras
    )
    scheduler = type(pipeline.scheduler).__name__
    settings = _plain(dict(pipeline.scheduler.config))
    image, mask = (picture_digest(part) if part is not None else "" for part in (asked.image, asked.mask))  # type: ignore[arg-type]
    versions = library_versions()

    def about(drawn: Image.Image, first: int, size: int, number: int, more: tuple[str, ...]) -> Picture:
        metadata = PictureMetadata(
            asked.prompt, original, asked.negative_prompt, first + number, (first, size, number), asked.width,
            asked.height, asked.steps, asked.guidance_scale, asked.strength, scheduler, asked.scheduler, settings,
            type(pipeline).__name__, identity.name, identity.revision, identity.sha256, plan.dtype, plan.device,
            loras, image, mask, versions, (*notes, *more),
        )  # fmt: skip
        return Picture(drawn, metadata)

    return about


def library_versions() -> dict[str, str]:
    """Versions of what a picture's bits depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's settings that JSON can say, without diffusers' own notes."""
    kinds = (str, int, float, bool, type(None))
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in settings.items()
        if not key.startswith("_")
        and (isinstance(value, kinds) or (isinstance(value, (list, tuple)) and len(value) <= MAX_LIST))
    }
