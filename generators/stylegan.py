"""StyleGAN-style: a latent is mapped to styles, and a style tells each resolution's convolution what matters.

From Karras et al. 2019 (mapping network, noise, style mixing, truncation in the space of styles) and Karras et al.
2020 (modulated and demodulated weights, a sum of pictures over resolutions, path length regularisation, penalties
only every so many steps). Both players descend on the logistic loss with R1 (Mescheder et al. 2018).

Path length regularisation, E (|J^T y| - a)^2 (2020, equation 4): a step in the space of styles is to change the
picture by the same length everywhere; a is the running mean of that length, the buffer `path_mean`. Penalties that
are computed every k-th step only are multiplied by k (2020, section 3.1, "lazy regularisation").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from generators.gan_losses import logistic_discriminator, logistic_generator, r1_penalty, score_figures
from generators.gan_model import DISCRIMINATOR, Gan, halvings, not_negative
from generators.gan_residual import ResidualTrunk
from generators.gan_style import StyleGenerator, mix, path_lengths
from generators.model import Conditions, DataShape, check_options
from generators.pictures import Batch


@dataclass(frozen=True, slots=True)
class StyleGanConfig:
    """What a recipe's `model:` may set.

    Attributes:
        latent: numbers of a latent, and of a style.
        mapping_layers: from latents to styles.
        width: channels at half the pictures' side; doubled with each further halving.
        generator_learning_rate, discriminator_learning_rate, betas: of Adam.
        discriminator_steps: updates of the discriminator for one of the generator.
        style_mixing: the share of made pictures in training that have two latents' styles.
        r1, r1_every: weight of half the squared gradient at real pictures, and steps between.
        path_length, path_every: weight of the path length's variance, and steps between; 0 for none.
        diffaug: of `colour`, `translation`, `nudge`, `cutout`: random changes before the discriminator looks.
    """

    latent: int = 64
    mapping_layers: int = 2
    width: int = 32
    generator_learning_rate: float = 1e-3
    discriminator_learning_rate: float = 1e-3
    betas: tuple[float, ...] = (0.0, 0.99)
    discriminator_steps: int = 1
    style_mixing: float = 0.9
    r1: float = 1.0
    r1_every: int = 16
    path_length: float = 2.0
    path_every: int = 4
    diffaug: tuple[str, ...] = ()


class StyleGan(Gan):
    """The family `stylegan`; see the file's head."""

    family = "stylegan"
    Config = StyleGanConfig
    options = ("truncation_psi",)
    path_mean: Tensor
    turns: Tensor

    def __init__(self, config: StyleGanConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        depth = halvings(shape.size)
        self.generator: StyleGenerator = StyleGenerator(
            config.latent, config.mapping_layers, config.width, depth, shape
        )
        trunk = ResidualTrunk(config.width, depth, shape, deviation=True)
        self.discriminator = nn.Sequential(trunk, nn.Linear(trunk.features, 1), nn.Flatten(0))
        self.register_buffer("path_mean", torch.zeros(()))
        self.register_buffer("turns", torch.zeros(2, dtype=torch.long))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures of latents, all with the same noise, so that only the latents tell them apart."""
        return self.synthesise(self.styles(z), torch.Generator().manual_seed(0)).clamp(-1, 1)

    def styles(self, z: Tensor) -> Tensor:
        """[n, layers, latent]: each latent's style, the same for every layer."""
        w: Tensor = self.generator.mapping(z)
        return w[:, None].expand(-1, self.generator.styles, -1)

    def synthesise(self, styles: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Pictures of styles [n, layers, latent], with noise from torch's global generator where none is given."""
        pictures: Tensor = self.generator(styles, noise)
        return pictures

    def mixed_styles(self, count: int) -> Tensor:
        """[count, layers, latent]: new styles, of which a share `style_mixing` is of two latents."""
        first, second = self.generator.mapping(self.latent(2 * count)).chunk(2)
        layers = self.generator.styles
        crossover = torch.randint(1, layers, (count,), device=first.device)
        mixing = torch.rand(count, device=first.device) < self.config.style_mixing
        return mix(first, second, crossover.where(mixing, torch.tensor(layers, device=first.device)), layers)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Each player's loss in nats, with its penalty where that is due."""
        return self._discriminator_loss(batch.images) if phase == DISCRIMINATOR else self._generator_loss(batch.images)

    def _discriminator_loss(self, images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            made = self.synthesise(self.mixed_styles(len(images)))
        real, fake = self.discriminator(self.seen(images)), self.discriminator(self.seen(made))
        loss, figures = logistic_discriminator(real, fake), score_figures(real, fake)
        if self._due(0, self.config.r1, self.config.r1_every):
            penalty = r1_penalty(lambda x: self.discriminator(self.seen(x)), images)
            figures["r1"] = penalty.detach()
            loss = loss + self.config.r1_every * self.config.r1 * penalty
        return {"loss": loss, **figures}

    def _generator_loss(self, images: Tensor) -> dict[str, Tensor]:
        fake = self.discriminator(self.seen(self.synthesise(self.mixed_styles(len(images)))))
        loss, figures = logistic_generator(fake), {}
        if self._due(1, self.config.path_length, self.config.path_every):
            penalty = self.path_penalty(max(len(images) // 2, 1))
            figures = {"path_length": self.path_mean.clone(), "path_penalty": penalty.detach()}
            loss = loss + self.config.path_every * self.config.path_length * penalty
        return {"loss": loss, **figures}

    def path_penalty(self, count: int) -> Tensor:
        """E (|J^T y| - a)^2 over `count` new pictures; the running mean a moves a hundredth towards their mean."""
        styles = self.mixed_styles(count)
        lengths = path_lengths(self.synthesise(styles), styles)
        if self.training:
            self.path_mean.lerp_(lengths.detach().float().mean(), 0.01)
        return (lengths - self.path_mean).square().mean()

    def _due(self, which: int, weight: float, every: int) -> bool:
        """Whether a penalty is to be computed now; the count is a buffer, so that a resumed run goes on as it was."""
        if not self.training or weight <= 0:
            return False
        due = int(self.turns[which]) % max(every, 1) == 0
        self.turns[which] += 1
        return due

    @torch.no_grad()
    def mean_style(self) -> Tensor:
        """[latent]: the mean style of 4,096 latents, always the same ones."""
        drawn = torch.randn(4096, self.config.latent, generator=torch.Generator().manual_seed(0))
        w: Tensor = self.generator.mapping(drawn.to(self.path_mean.device))
        return w.mean(0)

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Pictures of latents and noise drawn by `generator`.

        Options:
            truncation_psi: styles are drawn towards their mean, to psi times their distance (Karras et al. 2019,
                appendix B): better pictures, less variety; 1 for none.
        """
        check_options(options, self.options)
        psi = not_negative(options, "truncation_psi", 1.0)
        styles = self.styles(self.latent(conditions.count, generator))
        if psi != 1:
            styles = self.mean_style().lerp(styles, psi)
        return self.synthesise(styles, generator).clamp(-1, 1)
