"""What adversarial families have in common: two phases a step, a latent, a way from it to pictures, options to draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from decoder.errors import RecipeError
from generators.gan_augment import augment, check_policies
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_number, check_options

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


class Gan(GenerativeModel):
    """A generator and a discriminator. A subclass builds both and says what each descends on.

    Attributes:
        options: of `sample`.
        generator, discriminator: networks from latents to pictures, and from pictures to scores [n].
    """

    averaged = (GENERATOR,)
    options: ClassVar[tuple[str, ...]] = ("truncation",)
    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, config: Any, shape: DataShape) -> None:
        super().__init__(config, shape)
        check_policies(config.diffaug)
        check_numbers(config)

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """The discriminator's updates, then one of the generator."""
        config = self.config
        repeats = getattr(config, "discriminator_steps", 1)
        return (
            Phase(DISCRIMINATOR, (DISCRIMINATOR,), config.discriminator_learning_rate, config.betas, repeats=repeats),
            Phase(GENERATOR, (GENERATOR,), config.generator_learning_rate, config.betas),
        )

    def latent(self, count: int, generator: torch.Generator | None = None, truncation: float = 0.0) -> Tensor:
        """[count, latent] standard normal numbers, from torch's global generator where none is given.

        With a `truncation`, those further from 0 are drawn again: fewer odd pictures, less variety (Brock et al.
        2018, section 3.1).
        """
        device = next(self.generator.parameters()).device
        drawn_on = generator.device if generator is not None else device
        z = torch.empty(count, self.config.latent, device=drawn_on)
        if truncation > 0:
            return nn.init.trunc_normal_(z, a=-truncation, b=truncation, generator=generator).to(device)
        return z.normal_(generator=generator).to(device)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures [n, channels, size, size] in [-1, 1] of latents [n, latent]; labels [n] where there are classes."""
        pictures: Tensor = self.generator(z)
        return pictures

    def seen(self, images: Tensor) -> Tensor:
        """The pictures as the discriminator sees them: after the recipe's differentiable augmentation."""
        return augment(images, self.config.diffaug)

    @torch.no_grad()
    def made(self, like: Tensor, labels: Tensor | None = None) -> Tensor:
        """As many pictures as there are in `like`, without gradients: the discriminator's counterexamples."""
        return self.decode(self.latent(len(like)), labels)

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Pictures of latents drawn by `generator`, of the labels that are asked for where the family has classes.

        Options:
            truncation: latents lie within it; 0 for all (`latent`).
        """
        check_options(options, self.options)
        z = self.latent(conditions.count, generator, not_negative(options, "truncation", 0.0))
        return self.decode(z, conditions.labels).clamp(-1, 1)


def check_numbers(config: Any) -> None:
    """Refuse what no GAN can be built or trained with. Raises RecipeError."""
    for name in ("latent", "width", "discriminator_steps", "mapping_layers", "r1_every", "path_every"):
        least = 2 if name == "width" else 1
        if getattr(config, name, least) < least:
            _refuse(name, getattr(config, name), f"Give at least {least}")
    rates = ("generator_learning_rate", "discriminator_learning_rate")
    for name in (*rates, "discriminator_hidden", "r1", "penalty", "path_length"):
        if getattr(config, name, 0.0) < 0:
            _refuse(name, getattr(config, name), "Give a number that is not negative")
    if len(config.betas) != 2 or not all(0 <= beta < 1 for beta in config.betas):
        _refuse("betas", list(config.betas), "Give two numbers from 0 to 1, as in [0.5, 0.999]")


def _refuse(name: str, value: Any, remedy: str) -> None:
    raise RecipeError("building the model", f"model.{name} is {value!r}", remedy)


def not_negative(options: Mapping[str, Any], name: str, otherwise: float) -> float:
    """The option of this name as a number of at least 0. Raises RecipeError."""
    value = options.get(name, otherwise)
    check_number(name, value, 0, 1e6)
    return float(value)


def halvings(size: int) -> int:
    """How often pictures are halved until their side is 4 to 7 pixels. Raises RecipeError if they cannot be."""
    side, count = size, 0
    while side >= 8 and side % 2 == 0:
        side, count = side // 2, count + 1
    if count == 0 or not 4 <= side < 8:
        cause = f"data.size is {size}, which cannot be halved to a side of 4 to 7 pixels"
        raise RecipeError("building the model", cause, "Use 8, 16, 28, 32, 48, 64, 128 or the like")
    return count
