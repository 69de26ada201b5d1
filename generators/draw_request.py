"""What is asked of a picture's making, checked before any work: bounds, sizes, seeds, and what goes with what."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from generators.errors import GeneratorError

if TYPE_CHECKING:
    from PIL import Image

    from generators.lora_weights import Lora

STEP = "drawing"
MAX_PROMPT = 10_000
"""Characters. Text encoders read some 77 to 512 tokens of it; what they leave out is told in the notes."""
MAX_SIDE = 4096
MAX_COUNT = 64
MAX_STEPS = 1000
MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps."""

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which a terminal would obey, and halves of characters, which no file can hold."""

Task = Literal["text", "image", "mask"]


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """One call of `TextToImage.draw`; its Args are described there. 0, empty and None: the pipeline's own."""

    prompt: str
    negative_prompt: str = ""
    width: int = 0
    height: int = 0
    steps: int = 0
    guidance_scale: float | None = None
    seed: int | None = None
    count: int = 1
    batch_size: int = 1
    scheduler: str = ""
    loras: tuple[Lora, ...] = ()
    image: Image.Image | str | Path | None = None
    mask: Image.Image | str | Path | None = None
    strength: float | None = None

    @property
    def task(self) -> Task:
        """What the pipeline must be able to do: text to image, image to image, or inpainting."""
        if self.mask is not None:
            return "mask"
        return "text" if self.image is None else "image"


def check_request(asked: DrawRequest) -> DrawRequest:
    """The request with its seed chosen. Raises GeneratorError for what cannot be drawn."""
    check_text(asked.prompt, "the prompt")
    check_text(asked.negative_prompt, "the negative prompt", may_be_empty=True)
    check_range("count", asked.count, 1, MAX_COUNT)
    check_range("batch_size", asked.batch_size, 1, MAX_COUNT)
    check_range("steps", asked.steps, 0, MAX_STEPS)
    for name, value in (("width", asked.width), ("height", asked.height)):
        check_range(name, value, 0, MAX_SIDE)
    if asked.guidance_scale is not None:
        check_range("guidance_scale", asked.guidance_scale, 0, 100)
    if asked.strength is not None:
        check_range("strength", asked.strength, 0.01, 1)
    if asked.image is None and (asked.mask is not None or asked.strength is not None):
        what = "a mask" if asked.mask is not None else "a strength"
        raise GeneratorError(STEP, f"there is {what} without an image", "Give the image that is to be changed")
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    check_range("seed", seed, 0, MAX_SEED - MAX_COUNT)
    return replace(asked, seed=seed)


def check_text(text: Any, what: str, may_be_empty: bool = False) -> None:
    """Refuse what is no text, empty, or too long. Raises GeneratorError."""
    if not isinstance(text, str) or (not text.strip() and not may_be_empty):
        raise GeneratorError(STEP, f"{what} is empty", "Say what is to be seen")
    if len(text) > MAX_PROMPT:
        raise GeneratorError(STEP, f"{what} has {len(text)} characters, more than {MAX_PROMPT}", "Shorten it")
    found = UNPRINTABLE.search(text)
    if found is not None:
        raise GeneratorError(STEP, f"{what} has the control character {found[0]!a}", "Take it out")


def expand_prompt(prompt: str, expand: Callable[[str], str] | None) -> str:
    """The prompt as `expand` writes it; what `expand` raises passes through.

    Raises:
        GeneratorError: it wrote nothing, or too much. Nothing is drawn in its place, so that nobody mistakes the one
            prompt for the other.
    """
    if expand is None:
        return prompt
    written: Any = expand(prompt)  # whatever is handed in
    if not isinstance(written, str) or not written.strip() or len(written) > MAX_PROMPT:
        size = f"{len(written)} characters" if isinstance(written, str) else type(written).__name__
        cause = f"the prompt's expansion gave {size} instead of 1 to {MAX_PROMPT} characters"
        raise GeneratorError("expanding the prompt", cause, "Draw the prompt as it is, without `expand`")
    check_text(written, "the prompt's expansion")
    return written.strip()


def check_size(width: int, height: int, factor: int) -> None:
    """Refuse a size whose sides are no multiples of what the pipeline can draw. Raises GeneratorError."""
    for name, value in (("width", width), ("height", height)):
        if value % factor or value < factor:
            below, above = max(value // factor, 1) * factor, (value // factor + 1) * factor
            raise GeneratorError(STEP, f"{name} {value} is no multiple of {factor}", f"Use {below} or {above}")


FRACTIONS = frozenset({"guidance_scale", "strength", "seconds", "frame_rate"})


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number out of bounds, and a fraction where a whole number is meant. Raises GeneratorError."""
    kind = (int, float) if name in FRACTIONS else int
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise GeneratorError(STEP, f"{name} {value!r} is not from {low} to {high}", f"Choose a {name} in between")
