"""What translation asks of a recipe and of its pictures, refused where it is known."""

from __future__ import annotations

from torch import Tensor

from decoder.errors import RecipeError
from generators.errors import DataError, GeneratorError
from generators.model import Conditions
from generators.pictures import Batch


def check_width(width: int, step: str) -> None:
    """Widths are multiples of 8, the channels of a group of normalisation. Raises RecipeError."""
    if width < 8 or width % 8:
        raise RecipeError(step, f"model.width is {width}", "Give a multiple of 8")


def check_patches(layers: int, size: int, step: str) -> None:
    """A discriminator of so many halvings leaves at least one patch. Raises RecipeError."""
    if layers < 0 or size >> layers < 3:
        cause = f"model.patch_layers {layers} leaves no patch of pictures of {size} pixels"
        raise RecipeError(step, cause, "Give fewer, or larger pictures")


def halving_levels(levels: int, size: int, step: str) -> int:
    """How often pictures of this size are halved; 0 is as often as leaves 2 pixels. Raises RecipeError."""
    most = 0
    while size % (2 << most) == 0 and size >> (most + 1) >= 2:
        most += 1
    if levels < 0 or levels > most or not most:
        cause = f"pictures of {size} pixels cannot be halved {levels or 1} times"
        raise RecipeError(step, cause, f"Set levels to at most {most}, or data.size to a power of 2")
    return levels or most


def given_pictures(conditions: Conditions) -> Tensor:
    """The pictures to translate. Raises GeneratorError where there are none, or not as many as asked for."""
    images = conditions.images
    if images is None or len(images) != conditions.count:
        given = 0 if images is None else len(images)
        cause = f"{conditions.count} translations are asked for, and {given} pictures given"
        raise GeneratorError("translating", cause, "Give one picture for each")
    return images


def wanted(batch: Batch) -> Tensor:
    """The batch's targets. Raises DataError where it has none."""
    if batch.targets is None:
        raise DataError("translating", "the pictures have no targets", "Set data.targets")
    return batch.targets
