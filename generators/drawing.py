"""One call of a diffusers pipeline: seeds, steps told as they come, cancellation, errors of one kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from generators.draw_request import STEP, DrawRequest
from generators.errors import Cancelled, GeneratorError, ModelError
from generators.pipeline_tasks import parameters
from generators.pipelines_loading import BROKEN, first_line
from generators.previews import Step, decode_preview, to_pillow
from generators.quiet import libraries_quiet

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


@dataclass(slots=True)
class Watch:
    """Who is told of the steps, and who may end them.

    Attributes:
        inside: `on_step` is running, so that what it raises is not taken for the pipeline's.
    """

    on_step: Callable[[Step], None] | None = None
    cancel: threading.Event | None = None
    inside: bool = field(default=False, init=False)

    def check(self) -> None:
        """Raises Cancelled when it was asked for."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled(STEP, "it was cancelled")

    def tell(self, step: Step) -> None:
        """Hand a step on."""
        self.check()
        if self.on_step is not None:
            self.inside = True
            self.on_step(step)
            self.inside = False
        self.check()


def draw_batch(
    pipeline: Any, arguments: dict[str, Any], asked: DrawRequest, seed: int, size: int, first: int, watch: Watch
) -> list[tuple[int, tuple[Image.Image, tuple[str, ...]]]]:
    """The pictures of one batch, numbered from 0, each with its notes.

    Each picture has a generator of its own, on the CPU, so that its noise is the same on every device.

    Raises:
        Cancelled: see Watch.
        GeneratorError: the pipeline failed.
    """
    import torch

    watch.check()
    texts: dict[str, Any] = {"prompt": [asked.prompt] * size}
    if asked.negative_prompt.strip():
        texts["negative_prompt"] = [asked.negative_prompt] * size
    if asked.image is not None:
        texts["image"] = [asked.image] * size
    if asked.mask is not None:
        texts["mask_image"] = [asked.mask] * size
    generators = [torch.Generator("cpu").manual_seed(seed + number) for number in range(size)]
    told = {"callback_on_step_end": partial(_told, watch, asked, first)} if _tells(pipeline) else {}
    found = call(pipeline, {**arguments, **texts, **told, "generator": generators, "output_type": "pt"}, watch)
    flagged = getattr(found, "nsfw_content_detected", None) or [False] * size
    note = ("the model's own safety checker blackened the picture",)
    return [
        (number, (to_pillow(image), note if black else ()))
        for number, (image, black) in enumerate(zip(_finite(found.images), flagged, strict=True))
    ]


def call(pipeline: Any, arguments: dict[str, Any], watch: Watch) -> Any:
    """Run a pipeline; errors become ours, but those of `on_step`. Raises GeneratorError, Cancelled."""
    try:
        with libraries_quiet():
            return pipeline(**arguments)
    except BROKEN as error:
        if watch.inside or isinstance(error, GeneratorError):
            raise
        if "out of memory" in str(error):
            raise ModelError(STEP, first_line(error), "Draw a smaller picture, or fewer at once") from error
        raise ModelError(STEP, f"{type(pipeline).__name__}: {first_line(error)}", "See what was asked of it") from error
    finally:
        watch.inside = False
        pipeline.maybe_free_model_hooks()


def _tells(pipeline: Any) -> bool:
    return "callback_on_step_end" in parameters(pipeline)


def _told(
    watch: Watch, asked: DrawRequest, first: int, pipeline: Any, index: int, _: Any, tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    steps = int(getattr(pipeline, "num_timesteps", 0) or asked.steps)
    preview = partial(decode_preview, pipeline, tensors["latents"], asked.width, asked.height)
    watch.tell(Step(index + 1, steps, first, preview))
    return tensors


def _finite(images: Tensor) -> Tensor:
    import torch

    if not bool(torch.isfinite(images).all()):
        raise ModelError(STEP, "the model gave values that are no numbers", "Try dtype float32, or other settings")
    return images
