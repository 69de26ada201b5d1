"""Translation learned from pairs: pix2pix (Isola et al. 2017, Image-to-image translation with conditional adversarial
networks).

The generator G descends on E[-log D(x, G(x))] + l1_weight E|y - G(x)| (equation 4, with the non-saturating loss of
section 3.3), the discriminator D tells pairs (x, y) from pairs (x, G(x)), patch by patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoder.errors import RecipeError
from generators.errors import DataError
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_options
from generators.pictures import Batch, Pictures
from generators.translation_checks import check_patches, check_width, given_pictures, halving_levels, wanted
from generators.translation_losses import discriminator_loss, l1_share, mean_absolute, realness
from generators.translation_networks import UNet, patch_discriminator

STEP = "building pix2pix"
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Pix2PixConfig:
    """What a recipe's `model:` may set.

    Attributes:
        width: channels of the generator's and of the discriminator's first level, a multiple of 8.
        levels: halvings of the U-Net; 0: down to 2 pixels a side, or as far as the size can be halved.
        patch_layers: halvings of the discriminator; a patch is 7, 16, 34, 70 pixels a side for 0, 1, 2, 3.
        dropout: rate of the noise that stays on when drawing.
        l1_weight: of the L1 distance to the target; 100 in the paper.
        adversarial_weight: of the discriminator's judgement; 0 trains on L1 alone.
        learning_rate: of both Adams; their betas are 0.5 and 0.999.
    """

    width: int = 32
    levels: int = 0
    patch_layers: int = 1
    dropout: float = 0.5
    l1_weight: float = 100.0
    adversarial_weight: float = 1.0
    learning_rate: float = 2e-4


class Pix2Pix(GenerativeModel):
    """A U-Net that translates, and a discriminator of patches that sees input and output together."""

    family: ClassVar[str] = "pix2pix"
    Config: ClassVar[type] = Pix2PixConfig
    averaged: ClassVar[tuple[str, ...]] = ("generator",)

    def __init__(self, config: Pix2PixConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        check_config(config)
        self.config: Pix2PixConfig = config
        check_patches(config.patch_layers, shape.size, STEP)
        levels = halving_levels(config.levels, shape.size, STEP)
        self.generator = UNet(shape.channels, shape.target_channels, config.width, levels, config.dropout)
        self.discriminator = patch_discriminator(
            shape.channels + shape.target_channels, config.width, config.patch_layers
        )

    @classmethod
    def build(cls, config: Any, pictures: Pictures) -> Pix2Pix:
        """As the base has it. Raises DataError without paired targets."""
        if pictures.targets is None or not pictures.paired:
            cause = "pix2pix learns from pairs, and the pictures have no target each"
            raise DataError(STEP, cause, "Set data.targets and data.pairing: paired, or take cyclegan for two sets")
        return cls(config, DataShape.of(pictures))

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """The discriminator's, then the generator's."""
        rate = self.config.learning_rate
        judge = Phase("discriminator", ("discriminator",), rate, (0.5, 0.999))
        translate = Phase("generator", ("generator",), rate, (0.5, 0.999))
        return (judge, translate) if self.config.adversarial_weight else (translate,)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """The phase's loss; of the generator also "l1" in the units of [-1, 1]. Raises DataError without targets."""
        targets = wanted(batch)
        if phase == "discriminator":
            with torch.no_grad():
                fake = self.generator(batch.images)
            return {"loss": discriminator_loss(self._judged(batch, targets), self._judged(batch, fake), "logistic")}
        fake = self.generator(batch.images)
        l1 = mean_absolute(fake, targets)
        loss = self.config.l1_weight * l1
        figures = {"l1": l1.detach()}
        if self.config.adversarial_weight:
            fooled = realness(self._judged(batch, fake), True, "logistic")
            loss = loss + self.config.adversarial_weight * fooled
            figures["adversarial"] = fooled.detach()
        return {"loss": loss, **figures}

    def _judged(self, batch: Batch, pictures: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(torch.cat([batch.images, pictures], 1))
        return logits

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Translations of `conditions.images`.

        Options:
            noise: true (the default): dropout is the noise that a picture's translation is drawn by; false: none.
        """
        check_options(options, ("noise",))
        images = given_pictures(conditions).to(next(self.parameters()).device)
        drawn: Tensor = self.generator(images, generator, bool(options.get("noise", True)))
        return drawn

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """Held-out pairs: mean absolute distance to the target as a share of black to white.

        "l1" as drawn; "l1_identity" of the input itself, where it has as many channels as the target.
        """
        index = torch.arange(len(pictures))
        if pictures.targets is None or not pictures.paired or not len(index):
            return {}
        device = next(self.parameters()).device
        sums = {"l1": 0.0, "l1_identity": 0.0}
        for part in torch.split(index, CHUNK):
            batch = pictures.batch(part)
            images, targets = batch.images.to(device), wanted(batch).to(device)
            drawn = self.generator(images, generator)
            sums["l1"] += l1_share(drawn, targets) * len(part)
            if images.shape == targets.shape:
                sums["l1_identity"] += l1_share(images, targets) * len(part)
            else:
                sums.pop("l1_identity", None)
        return {name: value / len(index) for name, value in sums.items()}


def check_config(config: Pix2PixConfig) -> None:
    """Refuse numbers that make no model. Raises RecipeError."""
    check_width(config.width, STEP)
    if not 0 <= config.dropout < 1:
        raise RecipeError(STEP, f"model.dropout is {config.dropout}", "Give a rate from 0 to below 1")
    if config.l1_weight < 0 or config.adversarial_weight < 0 or not config.l1_weight + config.adversarial_weight:
        raise RecipeError(STEP, "model.l1_weight and model.adversarial_weight weigh nothing", "Give one above 0")
