"""A picture from a prompt, with any text-to-image pipeline of diffusers: TextToImage("folder").draw("a red cat")."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.draw_request import DrawRequest, check_request, check_size, expand_prompt
from generators.drawing import Watch, draw_batch
from generators.errors import GeneratorError
from generators.input_pictures import fit_picture, open_picture
from generators.lora_weights import Lora, check_loras, laid_on
from generators.picture_notes import describe
from generators.pipeline_schedulers import scheduled
from generators.pipeline_tasks import PipelineTasks, default_of, default_size, parameters, reading_notes, size_factor
from generators.pipelines_loading import ModelIdentity, load_pipeline

if TYPE_CHECKING:
    from PIL import Image

    from generators.picture_metadata import Picture
    from generators.previews import Step

STEP = "drawing"
MIN_GUIDANCE = 1.0
"""Up to here a pipeline with classifier-free guidance does not look at the negative prompt."""
WAIT_SECONDS = 600.0


class TextToImage:
    """A loaded pipeline that draws; one picture's making at a time, from whichever thread.

    Args:
        model: a folder that diffusers saved, or `owner/name` on the hub; empty: the setting `generators.model`.
        revision: the whole commit on the hub.
        device: auto, cpu, cuda, cuda:1 or mps.
        dtype: float32, float16 or bfloat16; empty: chosen with the device and its memory.
        allow_unpinned: take a name on the hub without a commit.

    Raises:
        PipelineRefused: the model is not safe to load.
        ModelError: it cannot be loaded.
        MissingExtra: diffusers is not installed.
    """

    def __init__(
        self,
        model: str | Path = "",
        revision: str = "",
        device: str = "auto",
        dtype: str = "",
        allow_unpinned: bool = False,
    ) -> None:
        loaded = load_pipeline(model, revision, device, dtype, allow_unpinned)
        self.pipeline, self.plan = loaded.pipeline, loaded.plan
        self.identity: ModelIdentity = loaded.identity
        self._tasks = PipelineTasks(loaded.pipeline, loaded.plan)
        self._busy = threading.Lock()

    def draw(
        self,
        prompt: str,
        negative_prompt: str = "",
        *,
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance_scale: float | None = None,
        seed: int | None = None,
        count: int = 1,
        batch_size: int = 1,
        scheduler: str = "",
        loras: Sequence[Lora] = (),
        image: Image.Image | str | Path | None = None,
        mask: Image.Image | str | Path | None = None,
        strength: float | None = None,
        expand: Callable[[str], str] | None = None,
        on_step: Callable[[Step], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Picture]:
        """Draw `count` pictures.

        Args:
            prompt: what is to be seen.
            negative_prompt: what is not to be seen.
            width, height: in pixels; 0: what the model was made for, or the image's.
            steps: of the scheduler; 0: the pipeline's own number.
            guidance_scale: how closely the prompt is followed; None: the pipeline's own.
            seed: of the first picture; the i-th has seed + i. None: a new one, which the metadata tells.
            batch_size: pictures drawn at once: faster on a GPU, and on the last bits a picture differs from one alone.
            scheduler: by name, as `generators.schedulers` knows them; empty: the model's own.
            loras: LoRA weights that are laid on for these pictures.
            image: to start from. Cut from its middle to the shape that is drawn.
            mask: white where the image is drawn anew, black where it stays.
            strength: how far from the image: near 0 it stays, 1 forgets it.
            expand: writes the prompt that is drawn from the one that is given; the metadata tells both.
            on_step: told of every step; `step.preview()` shows the picture as it is by then.
            cancel: set it, and the making ends before the next step.

        Raises:
            GeneratorError: this cannot be drawn as asked.
            SchedulerError: the scheduler's settings contradict each other or the model.
            Cancelled: `cancel` was set.
            Whatever `expand` and `on_step` raise.
        """
        asked = DrawRequest(
            prompt, negative_prompt, width, height, steps, guidance_scale, seed, count, batch_size, scheduler,
            tuple(loras), image, mask, strength,
        )  # fmt: skip
        watch = Watch(on_step, cancel)
        checked = check_request(asked)
        check_loras(checked.loras)
        final = replace(checked, prompt=expand_prompt(prompt, expand))
        if not self._busy.acquire(timeout=WAIT_SECONDS):
            raise GeneratorError(STEP, "another picture is still being made", "Wait for it, or cancel it")
        try:
            return self._draw(final, prompt if expand is not None else "", watch)
        finally:
            self._busy.release()

    def _draw(self, asked: DrawRequest, original: str, watch: Watch) -> list[Picture]:
        pipeline = self._tasks.form(asked.task)
        asked, notes = _resolve(asked, pipeline, self._tasks.base)
        arguments = _arguments(asked, pipeline)
        from_noise = asked.strength in (None, 1)
        pictures: list[Picture] = []
        with ExitStack() as kept:
            kept.enter_context(scheduled(pipeline, asked.scheduler, asked.steps if from_noise else None))
            kept.enter_context(laid_on(pipeline, asked.loras))
            about = describe(asked, original, pipeline, self.identity, self.plan, notes)
            for first in range(0, asked.count, asked.batch_size):
                size = min(asked.batch_size, asked.count - first)
                assert asked.seed is not None  # noqa: S101  # check_request has chosen one
                drawn = draw_batch(pipeline, arguments, asked, asked.seed + first, size, first, watch)
                pictures += [about(image, asked.seed + first, size, number, more) for number, (image, more) in drawn]
        return pictures


def _resolve(asked: DrawRequest, pipeline: Any, base: Any) -> tuple[DrawRequest, tuple[str, ...]]:
    """The request with the pipeline's own values for what was left open, and notes. Raises GeneratorError."""
    factor = size_factor(pipeline)
    grey = getattr(getattr(getattr(pipeline, "vae", None), "config", None), "in_channels", 3) == 1
    image = None if asked.image is None else open_picture(asked.image, "L" if grey else "RGB")
    mask = None if asked.mask is None else open_picture(asked.mask, "L")
    if image is None:
        wide, high = default_size(base)
    else:
        wide, high = (max(side // factor, 1) * factor for side in image.size)
    width, height = asked.width or wide, asked.height or high
    check_size(width, height, factor)
    guidance = asked.guidance_scale
    if guidance is None:
        guidance = default_of(pipeline, "guidance_scale")
    negative = bool(asked.negative_prompt.strip())
    if negative and "negative_prompt" not in parameters(pipeline):
        cause = f"{type(pipeline).__name__} takes no negative prompt"
        raise GeneratorError(STEP, cause, "Leave it out, or take another model")
    if negative and "true_cfg_scale" not in parameters(pipeline) and (guidance or 0) <= MIN_GUIDANCE:
        cause = f"a negative prompt does nothing at guidance_scale {guidance}"
        raise GeneratorError(STEP, cause, "Raise guidance_scale above 1, or leave the negative prompt out")
    strength = asked.strength
    if image is not None and strength is None:
        strength = default_of(pipeline, "strength")
    resolved = replace(
        asked, width=width, height=height, guidance_scale=guidance, strength=strength,
        steps=asked.steps or default_of(pipeline, "num_inference_steps") or 50,
        image=image and fit_picture(image, width, height), mask=mask and fit_picture(mask, width, height),
    )  # fmt: skip
    if strength is not None and int(resolved.steps * strength) < 1:
        cause = f"strength {strength} leaves no step of {resolved.steps}"
        raise GeneratorError(STEP, cause, "Raise the strength or the steps")
    notes = reading_notes(pipeline, asked.prompt)
    if image is not None and image.size != (width, height):
        notes.append(f"the image of {image.width} x {image.height} was fitted to {width} x {height}")
    return resolved, tuple(notes)


TRUE_GUIDANCE = 4.0
"""Of pipelines with guidance distilled into them (Flux), where a negative prompt asks for true guidance beside it."""


def _arguments(asked: DrawRequest, pipeline: Any) -> dict[str, Any]:
    """What the pipeline's call is given for each picture; what it does not take is left out."""
    known = parameters(pipeline)
    wanted = {
        "width": asked.width,
        "height": asked.height,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.guidance_scale,
        "strength": asked.strength,
    }
    if asked.negative_prompt.strip() and "true_cfg_scale" in known:
        wanted["true_cfg_scale"] = TRUE_GUIDANCE
    return {name: value for name, value in wanted.items() if name in known and value is not None}
