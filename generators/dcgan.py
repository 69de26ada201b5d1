"""DCGAN: a generator and a discriminator of strided convolutions, in a game that neither wins.

The discriminator learns to tell pictures from made ones, max_D E log D(x) + E log(1 - D(G(z))) (Goodfellow et al.
2014, equation 1); the generator learns to be mistaken by the non-saturating loss, max_G E log D(G(z)) (section 3).
The networks are those of Radford et al. 2015, Unsupervised Representation Learning with Deep Convolutional GANs,
section 3: no pooling, batch norm, ReLU in the generator and leaky ReLU in the discriminator.

Options that later papers found to steady the game: R1 (Mescheder et al. 2018), spectral norm (Miyato et al. 2018),
differentiable augmentation (Zhao et al. 2020), one-sided label smoothing (Salimans et al. 2016), two learning rates
(Heusel et al. 2017). The generator's exponential moving average is the trainer's: `training.ema_decay`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from decoder.errors import RecipeError
from generators.gan_blocks import ConvDiscriminator, ConvGenerator, Initial, Norm
from generators.gan_losses import logistic_discriminator, logistic_generator, r1_penalty, score_figures
from generators.gan_model import DISCRIMINATOR, Gan, halvings
from generators.model import DataShape
from generators.pictures import Batch


@dataclass(frozen=True, slots=True)
class DcganConfig:
    """What a recipe's `model:` may set.

    Attributes:
        latent: numbers that a picture is made of.
        width: channels of the discriminator's first convolution and the generator's last but one; doubled with each
            halving of the side.
        generator_learning_rate, discriminator_learning_rate, betas: of Adam.
        generator_norm, discriminator_norm: whether they have batch norm.
        discriminator_hidden: units of a layer that sees the whole picture, before the score; 0 for none.
        discriminator_initial: weights at first: `normal` (Radford et al. 2015), or `he` (He et al. 2015), which a
            discriminator without batch norm learns faster from.
        spectral_norm: in the discriminator: no layer lengthens a vector.
        r1: weight of half the squared gradient at real pictures; 0 for none.
        diffaug: of `colour`, `translation`, `nudge`, `cutout`: random changes before the discriminator looks.
        label_smoothing: how far below 1 the real pictures' target lies.
    """

    latent: int = 64
    width: int = 32
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    betas: tuple[float, ...] = (0.5, 0.999)
    generator_norm: bool = True
    discriminator_norm: bool = True
    discriminator_hidden: int = 0
    discriminator_initial: Initial = "normal"
    spectral_norm: bool = False
    r1: float = 0.0
    diffaug: tuple[str, ...] = ()
    label_smoothing: float = 0.0


class Dcgan(Gan):
    """The family `dcgan`; see the file's head."""

    family = "dcgan"
    Config = DcganConfig

    def __init__(self, config: DcganConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        if config.r1 > 0 and config.discriminator_norm:
            cause = "model.r1 wants each picture's own gradient, and model.discriminator_norm mixes those of a batch"
            raise RecipeError("building the model", cause, "Set model.discriminator_norm to false")
        depth = halvings(shape.size)
        self.generator = ConvGenerator(config.latent, config.width, depth, shape, norm(config.generator_norm))
        self.discriminator = ConvDiscriminator(
            config.width,
            depth,
            shape,
            norm(config.discriminator_norm),
            config.spectral_norm,
            config.discriminator_hidden,
            config.discriminator_initial,
        )

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Each player's loss in nats. The discriminator's comes with its scores and, if there is one, the penalty."""
        if phase == DISCRIMINATOR:
            return self._discriminator_loss(batch.images)
        fake = self.discriminator(self.seen(self.decode(self.latent(len(batch.images)))))
        return {"loss": logistic_generator(fake)}

    def _discriminator_loss(self, images: Tensor) -> dict[str, Tensor]:
        real = self.discriminator(self.seen(images))
        fake = self.discriminator(self.seen(self.made(images)))
        figures = score_figures(real, fake)
        loss = logistic_discriminator(real, fake, self.config.label_smoothing)
        if self.config.r1 > 0:
            penalty = r1_penalty(lambda x: self.discriminator(self.seen(x)), images)
            figures["r1"] = penalty.detach()
            loss = loss + self.config.r1 * penalty
        return {"loss": loss, **figures}


def norm(batch: bool) -> Norm:
    """Batch norm or none."""
    return "batch" if batch else "none"
