"""What lies between codes: interpolation, traversal of each number, and arithmetic, as pictures.

For every family whose pictures come from a flat code, by `decode(z, labels)`: the VAE and the GANs. Pictures' own
codes come from `encode(images, labels)`, which only the VAE has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from decoder.runs.recipe import check_choice
from generators.errors import GeneratorError

if TYPE_CHECKING:
    from torch import Tensor

    from generators.model import GenerativeModel

STEP = "walking through the codes"
WAYS = ("linear", "spherical")
PARALLEL = 1e-4


def interpolate(
    model: GenerativeModel,
    start: Tensor,
    end: Tensor,
    steps: int,
    way: Literal["linear", "spherical"] = "linear",
    labels: Tensor | None = None,
) -> Tensor:
    """Pictures on the way from one code to another, both ends among them: [steps, channels, size, size] in [-1, 1].

    Args:
        model: in eval mode.
        start, end: [latent] codes.
        steps: pictures, two or more.
        way: `spherical` keeps to lengths that the prior makes likely (White 2016, section 2.1).
        labels: a scalar, or [steps]; the first class where the model knows classes and none is given.

    Raises:
        GeneratorError: the family has no flat codes, or the codes do not fit.
        RecipeError: `way` is unknown.
    """
    check_choice(way, WAYS, "way")
    _check_codes(model, start, end)
    if steps < 2:
        raise GeneratorError(STEP, f"{steps} steps make no way", "Ask for two or more")
    return pictures_of(model, path(start, end, steps, way), labels)


def path(start: Tensor, end: Tensor, steps: int, way: Literal["linear", "spherical"]) -> Tensor:
    """[steps, latent] codes, evenly on the straight line or on the arc."""
    import torch

    shares = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return torch.lerp(start, end, shares) if way == "linear" else slerp(start, end, shares)


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """sin((1 - t) w) / sin w a + sin(t w) / sin w b, w the angle between a and b (Shoemake 1985, section 3.3).

    Codes of unlike lengths are weighted as they are (White 2016). Where they are parallel, or opposite, so that there
    is no single arc, the straight line is taken.

    Args:
        start, end: [latent].
        share: t in [0, 1], [steps, 1].

    Returns:
        [steps, latent].
    """
    import torch

    lengths = start.norm() * end.norm()
    cosine = (start * end).sum() / lengths if float(lengths) > 0 else torch.ones_like(lengths)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if float(angle.sin()) < PARALLEL:
        return torch.lerp(start, end, share)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / angle.sin()


def traverse(
    model: GenerativeModel,
    code: Tensor,
    reach: float = 3.0,
    steps: int = 9,
    dimensions: Sequence[int] | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Each number of a code moved from -reach to reach while the others stay (Higgins et al. 2017, figure 1).

    Args:
        model: in eval mode.
        code: [latent].
        reach: in standard deviations of the prior.
        steps: pictures a number: columns of a grid whose rows are `dimensions`.
        dimensions: which numbers; None for all.
        labels: a scalar; the first class where the model knows classes and none is given.

    Returns:
        [dimensions x steps, channels, size, size] in [-1, 1], row by row.

    Raises:
        GeneratorError: the family has no flat codes, or there is no such number.
    """
    import torch

    _check_codes(model, code)
    rows = list(range(len(code)) if dimensions is None else dimensions)
    for row in rows:
        if not 0 <= row < len(code):
            raise GeneratorError(STEP, f"a code of this model has no number {row}", f"Give 0 to {len(code) - 1}")
    codes = code.repeat(len(rows), steps, 1)
    for i, row in enumerate(rows):
        codes[i, :, row] = torch.linspace(-reach, reach, steps)
    return pictures_of(model, codes.flatten(0, 1), labels)


def arithmetic(model: GenerativeModel, a: Tensor, b: Tensor, c: Tensor, labels: Tensor | None = None) -> Tensor:
    """Pictures of a, b, c and of a - b + c (Radford et al. 2015, section 6.3.2): [4, channels, size, size].

    Args:
        model: in eval mode.
        a, b, c: [latent] codes, or [n, latent] of several examples, of which the mean is taken, as there.
        labels: a scalar, or [4]; the first class where the model knows classes and none is given.

    Raises:
        GeneratorError: the family has no flat codes, or the codes do not fit.
    """
    import torch

    a, b, c = (codes.mean(0) if codes.ndim == 2 else codes for codes in (a, b, c))
    _check_codes(model, a, b, c)
    return pictures_of(model, torch.stack([a, b, c, a - b + c]), labels)


def latent_of(model: GenerativeModel, source: int | Tensor, labels: Tensor | None = None) -> Tensor:
    """The code [latent] of a seed, as the prior draws it, or of a picture [channels, size, size] in [-1, 1].

    Raises:
        GeneratorError: the family has no flat codes, or none for given pictures (GANs have no encoder).
    """
    import torch

    if isinstance(source, int):
        generator = torch.Generator().manual_seed(source)
        return torch.randn(latent_size(model), generator=generator)
    encode: Any = getattr(model, "encode", None)
    latent_size(model)
    if encode is None:
        raise GeneratorError(STEP, f"{model.family} has no codes of given pictures", "Give a seed, or use a VAE")
    with torch.no_grad():
        code: Tensor = encode(source[None], _labels(model, 1, labels))[0]
    return code


def latent_size(model: GenerativeModel) -> int:
    """Numbers of the model's codes. Raises GeneratorError for a family without flat codes."""
    size = getattr(model.config, "latent", None)
    if not isinstance(size, int) or not hasattr(model, "decode"):
        raise GeneratorError(STEP, f"{model.family} makes no pictures of flat codes", "Use a VAE or a GAN")
    return size


def pictures_of(model: GenerativeModel, codes: Tensor, labels: Tensor | None) -> Tensor:
    """Codes [n, latent] decoded without gradients: [n, channels, size, size] in [-1, 1]."""
    import torch

    decode: Any = getattr(model, "decode")  # noqa: B009  # not in the base: families without codes lack it
    with torch.no_grad():
        pictures: Tensor = decode(codes, _labels(model, len(codes), labels))
    return pictures


def _labels(model: GenerativeModel, count: int, labels: Tensor | None) -> Tensor | None:
    import torch

    if labels is None:
        return torch.zeros(count, dtype=torch.int64) if model.shape.classes else None
    return labels.expand(count) if labels.ndim == 0 or len(labels) == 1 else labels


def _check_codes(model: GenerativeModel, *codes: Tensor) -> None:
    size = latent_size(model)
    for code in codes:
        if tuple(code.shape) != (size,):
            raise GeneratorError(
                STEP, f"a code is of shape {tuple(code.shape)}, not ({size},)", "Take it from latent_of"
            )
