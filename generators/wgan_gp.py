"""WGAN-GP: the generator descends on an estimated distance between the two distributions, not on a game's odds.

The critic D estimates the Wasserstein-1 distance as max_D E D(x) - E D(G(z)) over functions that change no faster
than their argument; that they do not is asked by a penalty, lambda E (|grad D(x')| - 1)^2, at points between real and
made pictures. Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs, equation 3 and algorithm 1.

The critic is to be near its optimum, so it is updated several times a step. It has no batch norm, since the penalty
is on each picture's own gradient (section 4). The distance it estimates goes with the quality of the pictures, which
a GAN's loss does not: the figure `wasserstein` falls.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from generators.gan_blocks import ConvDiscriminator, ConvGenerator, Initial
from generators.gan_losses import gradient_penalty, score_figures, wasserstein_critic
from generators.gan_model import DISCRIMINATOR, Gan, halvings
from generators.model import DataShape
from generators.pictures import Batch


@dataclass(frozen=True, slots=True)
class WganGpConfig:
    """What a recipe's `model:` may set.

    Attributes:
        latent: numbers that a picture is made of.
        width: channels of the critic's first convolution and the generator's last but one; doubled with each halving
            of the side.
        generator_learning_rate, discriminator_learning_rate, betas: of Adam.
        discriminator_steps: updates of the critic for one of the generator.
        penalty: lambda, the weight of the gradient penalty.
        layer_norm: in the critic, where DCGAN has batch norm.
        discriminator_hidden: units of a layer that sees the whole picture, before the score; 0 for none.
        discriminator_initial: weights at first: `normal` (Radford et al. 2015) or `he` (He et al. 2015), which a
            critic without norms learns faster from.
        diffaug: of `colour`, `translation`, `nudge`, `cutout`: random changes before the critic looks.
    """

    latent: int = 64
    width: int = 32
    generator_learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, ...] = (0.0, 0.9)
    discriminator_steps: int = 5
    penalty: float = 10.0
    layer_norm: bool = False
    discriminator_hidden: int = 0
    discriminator_initial: Initial = "normal"
    diffaug: tuple[str, ...] = ()


class WganGp(Gan):
    """The family `wgan_gp`; see the file's head. Its `discriminator` is the critic."""

    family = "wgan_gp"
    Config = WganGpConfig

    def __init__(self, config: WganGpConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        depth = halvings(shape.size)
        self.generator = ConvGenerator(config.latent, config.width, depth, shape)
        self.discriminator = ConvDiscriminator(
            config.width,
            depth,
            shape,
            "layer" if config.layer_norm else "none",
            hidden=config.discriminator_hidden,
            initial=config.discriminator_initial,
        )

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Critic: minus the estimated distance, and the penalty. Generator: minus its pictures' mean score."""
        if phase == DISCRIMINATOR:
            return self._critic_loss(batch.images)
        fake = self.discriminator(self.seen(self.decode(self.latent(len(batch.images)))))
        return {"loss": -fake.mean()}

    def _critic_loss(self, images: Tensor) -> dict[str, Tensor]:
        seen, made = self.seen(images), self.seen(self.made(images))
        real, fake = self.discriminator(seen), self.discriminator(made)
        distance, penalty = wasserstein_critic(real, fake), gradient_penalty(self.discriminator, seen, made)
        figures = {"wasserstein": -distance.detach(), "gradient_penalty": penalty.detach()}
        return {"loss": distance + self.config.penalty * penalty, **figures, **score_figures(real, fake)}
