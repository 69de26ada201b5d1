"""What a loaded pipeline can be asked: its text-to-image, image-to-image and inpainting forms, sizes and defaults."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from generators.draw_request import STEP, Task
from generators.errors import GeneratorError
from generators.memory_plan import MemoryPlan, apply_plan
from generators.quiet import libraries_quiet

NAMES = {"text": "text to image", "image": "image to image", "mask": "inpainting"}
EIGHT = 8
"""Pipelines with a U-Net refuse other sizes, whatever their autoencoder's factor."""


class PipelineTasks:
    """The forms of one pipeline; they share its parts, so that a second form costs no memory."""

    def __init__(self, pipeline: Any, plan: MemoryPlan) -> None:
        self.base, self.plan = pipeline, plan
        self._forms: dict[Task, Any] = {}
        self._active = pipeline

    def form(self, task: Task) -> Any:
        """The pipeline for a task. Raises GeneratorError when its kind has none."""
        if task not in self._forms:
            self._forms[task] = self._make(task)
        found = self._forms[task]
        if found is not self._active:
            apply_plan(found, self.plan)  # offloading hooks belong to one form at a time
            self._active = found
        return found

    def _make(self, task: Task) -> Any:
        import diffusers

        names = {"text": "Text2Image", "image": "Image2Image", "mask": "Inpainting"}
        try:
            with libraries_quiet():
                form = getattr(diffusers, f"AutoPipelineFor{names[task]}").from_pipe(self.base)
        except ValueError as error:
            if task == "text" and "prompt" in parameters(self.base) and "image" not in parameters(self.base):
                return self.base
            cause = f"{type(self.base).__name__} has no form for {NAMES[task]}"
            raise GeneratorError(STEP, cause, "Take a pipeline that has one, such as Stable Diffusion's") from error
        form.set_progress_bar_config(disable=True)
        return form


def parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """What the pipeline's call takes."""
    return inspect.signature(type(pipeline).__call__).parameters


def default_of(pipeline: Any, name: str) -> Any:
    """The default of a parameter of its call; None where it has none."""
    found = parameters(pipeline).get(name)
    return None if found is None or found.default is inspect.Parameter.empty else found.default


def size_factor(pipeline: Any) -> int:
    """What both sides of a picture must be multiples of, in pixels."""
    factor = int(getattr(pipeline, "vae_scale_factor", EIGHT))
    if hasattr(pipeline, "_unpack_latents"):  # Flux draws on squares of two latents
        return 2 * factor
    if getattr(pipeline, "unet", None) is not None:
        return math.lcm(factor, EIGHT)
    patch = getattr(getattr(getattr(pipeline, "transformer", None), "config", None), "patch_size", 1)
    return factor * patch if isinstance(patch, int) else factor


def default_size(pipeline: Any) -> tuple[int, int]:
    """Width and height that the model was made for, in pixels."""
    network: Any = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    side = getattr(pipeline, "default_sample_size", None) or getattr(network.config, "sample_size", None)
    high, wide = side if isinstance(side, (tuple, list)) else (side or 64, side or 64)
    factor, unit = int(getattr(pipeline, "vae_scale_factor", EIGHT)), size_factor(pipeline)
    return max(wide * factor // unit, 1) * unit, max(high * factor // unit, 1) * unit


TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")


def reading_notes(pipeline: Any, prompt: str) -> list[str]:
    """What of the prompt no text encoder reads: words beyond its length, words that it does not know."""
    readers = [(name, getattr(pipeline, name, None)) for name in TOKENIZERS]
    found = [_read(pipeline, name, tokenizer, prompt) for name, tokenizer in readers if tokenizer is not None]
    notes = []
    if found and all(tokens > most for tokens, most, _ in found):
        tokens, most, _ = max(found, key=lambda reader: reader[1])
        notes.append(f"the text encoder reads the first {most} of the prompt's {tokens} tokens")
    if found and all(unknown for _, _, unknown in found):
        notes.append(f"the model knows no word for {min((unknown for *_, unknown in found))} of the prompt's tokens")
    return notes


def _read(pipeline: Any, name: str, tokenizer: Any, prompt: str) -> tuple[int, int, int]:
    """Tokens of the prompt, how many the encoder takes, and how many are unknown to it."""
    tokens = tokenizer(prompt, truncation=False, verbose=False).input_ids
    most = int(tokenizer.model_max_length)
    if name == "tokenizer_3" or "T5" in type(tokenizer).__name__:
        most = min(most, default_of(pipeline, "max_sequence_length") or most)
    unknown = tokenizer.unk_token_id
    means_something = unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)  # as CLIP's
    return len(tokens), most, 0 if means_something else tokens.count(unknown)
