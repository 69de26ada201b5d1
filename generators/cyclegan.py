"""Translation learned from two sets without pairs: CycleGAN (Zhu et al. 2017, Unpaired image-to-image translation using
cycle-consistent adversarial networks).

Two generators G: A -> B and F: B -> A, two discriminators. The generators descend on both adversarial losses (least
squares, section 4) + cycle_weight (E|F(G(a)) - a| + E|G(F(b)) - b|) (equation 2) + identity_weight (E|G(b) - b| +
E|F(a) - a|) (section 5.2). Discriminators see translations from a pool of the last 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from decoder.errors import RecipeError
from generators.errors import DataError
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_options
from generators.pictures import Batch, Pictures
from generators.translation_checks import check_patches, check_width, given_pictures, halving_levels, wanted
from generators.translation_losses import discriminator_loss, l1_share, mean_absolute, realness
from generators.translation_networks import patch_discriminator, residual_generator
from generators.translation_pool import ImagePool

STEP = "building CycleGAN"
CHUNK = 100


@dataclass(frozen=True, slots=True)
class CycleGanConfig:
    """What a recipe's `model:` may set.

    Attributes:
        width: channels of all networks at full size, a multiple of 8.
        blocks: residual blocks of a generator; 6 in the paper for 128 pixels.
        halvings: of a generator; 2 in the paper.
        patch_layers: halvings of a discriminator; a patch is 7, 16, 34, 70 pixels a side for 0, 1, 2, 3.
        cycle_weight, identity_weight: 10 and 5 in the paper; no identity loss where the domains' channels differ.
        pool: translations kept for the discriminators; 0 for none.
        learning_rate: of both Adams; their betas are 0.5 and 0.999.
    """

    width: int = 16
    blocks: int = 2
    halvings: int = 1
    patch_layers: int = 1
    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    pool: int = 50
    learning_rate: float = 2e-4


class CycleGan(GenerativeModel):
    """Translators both ways, held to undo each other."""

    family: ClassVar[str] = "cyclegan"
    Config: ClassVar[type] = CycleGanConfig
    averaged: ClassVar[tuple[str, ...]] = ("generators",)

    def __init__(self, config: CycleGanConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        check_config(config)
        check_patches(config.patch_layers, shape.size, STEP)
        halving_levels(config.halvings, shape.size, STEP)
        self.config: CycleGanConfig = config
        a, b, width = shape.channels, shape.target_channels, config.width
        self.generators = nn.ModuleDict(
            {
                "a_to_b": residual_generator(a, b, width, config.blocks, config.halvings),
                "b_to_a": residual_generator(b, a, width, config.blocks, config.halvings),
            }
        )
        layers = config.patch_layers
        self.discriminators = nn.ModuleDict(
            {"a": patch_discriminator(a, width, layers), "b": patch_discriminator(b, width, layers)}
        )
        side = (shape.size, shape.size)
        self.pool_a, self.pool_b = ImagePool((a, *side), config.pool), ImagePool((b, *side), config.pool)

    @classmethod
    def build(cls, config: Any, pictures: Pictures) -> CycleGan:
        """As the base has it. Raises DataError without a second domain."""
        if pictures.targets is None or not len(pictures.targets):
            cause = "CycleGAN learns from two sets, and there is only one"
            raise DataError(STEP, cause, "Set data.targets, and data.pairing: unpaired")
        return cls(config, DataShape.of(pictures))

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """Both generators', then both discriminators' (the order of the paper's code)."""
        rate = self.config.learning_rate
        return (
            Phase("generators", ("generators",), rate, (0.5, 0.999)),
            Phase("discriminators", ("discriminators",), rate, (0.5, 0.999)),
        )

    def to_b(self, a: Tensor) -> Tensor:
        """G: pictures of the first domain as ones of the second."""
        out: Tensor = self.generators["a_to_b"](a)
        return out

    def to_a(self, b: Tensor) -> Tensor:
        """F: pictures of the second domain as ones of the first."""
        out: Tensor = self.generators["b_to_a"](b)
        return out

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """The phase's loss; of the generators also its parts, unweighted. Raises DataError without targets."""
        a, b = batch.images, wanted(batch)
        return self._generators_loss(a, b) if phase == "generators" else self._discriminators_loss(a, b)

    def _generators_loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        fake_b, fake_a = self.to_b(a), self.to_a(b)
        fooled = realness(self.discriminators["b"](fake_b), True, "squares")
        fooled = fooled + realness(self.discriminators["a"](fake_a), True, "squares")
        cycle = mean_absolute(self.to_a(fake_b), a) + mean_absolute(self.to_b(fake_a), b)
        loss = fooled + self.config.cycle_weight * cycle
        figures = {"adversarial": fooled.detach(), "cycle": cycle.detach()}
        if self.config.identity_weight and a.shape[1] == b.shape[1]:
            identity = mean_absolute(self.to_b(b), b) + mean_absolute(self.to_a(a), a)
            loss = loss + self.config.identity_weight * identity
            figures["identity"] = identity.detach()
        return {"loss": loss, **figures}

    def _discriminators_loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            old_b, old_a = self.pool_b.swap(self.to_b(a)), self.pool_a.swap(self.to_a(b))
        loss_a = discriminator_loss(self.discriminators["a"](a), self.discriminators["a"](old_a), "squares")
        loss_b = discriminator_loss(self.discriminators["b"](b), self.discriminators["b"](old_b), "squares")
        return {"loss": loss_a + loss_b}

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Translations of `conditions.images`; nothing is drawn.

        Options:
            direction: `forward` (the default), to the second domain, or `backward`.
        """
        check_options(options, ("direction",))
        direction = options.get("direction", "forward")
        if direction not in ("forward", "backward"):
            raise RecipeError("sampling", f"sampling.direction is {direction!r}", "Choose forward or backward")
        images = given_pictures(conditions).to(next(self.parameters()).device)
        return self.to_b(images) if direction == "forward" else self.to_a(images)

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """Held-out pictures; mean absolute distances as shares of black to white.

        "cycle_forward" is |F(G(a)) - a|, "cycle_backward" |G(F(b)) - b|: 0 for the identity too, so that alone they say
        nothing. Where the held-out pictures are paired (which no training saw) also "l1_forward" and "l1_backward", to
        the true translation, and "l1_identity", of the input itself, which they must beat.
        """
        if pictures.targets is None or not len(pictures):
            return {}
        device = next(self.parameters()).device
        b_index = torch.arange(len(pictures.targets))
        rows = []
        for part in torch.split(torch.arange(len(pictures)), CHUNK):
            batch = pictures.batch(part, b_index[part % len(b_index)])
            rows.append(
                (len(part), self._distances(batch.images.to(device), wanted(batch).to(device), pictures.paired))
            )
        return {name: sum(n * row[name] for n, row in rows) / len(pictures) for name in rows[0][1]}

    def _distances(self, a: Tensor, b: Tensor, paired: bool) -> dict[str, float]:
        to_b, to_a = self.to_b(a), self.to_a(b)
        found = {"cycle_forward": l1_share(self.to_a(to_b), a), "cycle_backward": l1_share(self.to_b(to_a), b)}
        if paired:
            found |= {"l1_forward": l1_share(to_b, b), "l1_backward": l1_share(to_a, a)}
        if paired and a.shape == b.shape:
            found["l1_identity"] = l1_share(a, b)
        return found


def check_config(config: CycleGanConfig) -> None:
    """Refuse numbers that make no model. Raises RecipeError."""
    check_width(config.width, STEP)
    for name, least in {"blocks": 0, "halvings": 1, "pool": 0, "cycle_weight": 0, "identity_weight": 0}.items():
        if getattr(config, name) < least:
            raise RecipeError(STEP, f"model.{name} is {getattr(config, name)}", f"Give {least} or more")
