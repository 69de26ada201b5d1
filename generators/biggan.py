"""BigGAN-style: a class-conditional GAN with a projection discriminator and class-conditional batch norm.

The generator is told the class in every norm; the discriminator scores a picture by psi(phi(x)) + <v_y, phi(x)>
(Miyato and Koyama 2018, equation 3), with spectral norm (Miyato et al. 2018), and both descend on the hinge loss
(equations 16 and 17 there). Sampling may truncate the latents: better pictures, fewer kinds (Brock et al. 2018, Large
Scale GAN Training, section 3.1). What is left out for so small pictures: attention, orthogonal regularisation, spectral
norm in the generator.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from generators.errors import DataError
from generators.gan_conditional import ConditionalGenerator, ProjectionDiscriminator
from generators.gan_losses import hinge_discriminator, hinge_generator, score_figures
from generators.gan_model import DISCRIMINATOR, Gan, halvings
from generators.model import DataShape, even_labels
from generators.pictures import Batch


@dataclass(frozen=True, slots=True)
class BigGanConfig:
    """What a recipe's `model:` may set.

    Attributes:
        latent: numbers that a picture is made of, besides its class.
        embedding: numbers that a class is told the generator by.
        width: channels at half the pictures' side; doubled with each further halving.
        generator_learning_rate, discriminator_learning_rate, betas: of Adam.
        discriminator_steps: updates of the discriminator for one of the generator.
        spectral_norm: in the discriminator.
        diffaug: of `colour`, `translation`, `nudge`, `cutout`: random changes before the discriminator looks.
    """

    latent: int = 32
    embedding: int = 32
    width: int = 32
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 4e-4
    betas: tuple[float, ...] = (0.0, 0.999)
    discriminator_steps: int = 1
    spectral_norm: bool = True
    diffaug: tuple[str, ...] = ()


class BigGan(Gan):
    """The family `biggan`; see the file's head."""

    family = "biggan"
    Config = BigGanConfig

    def __init__(self, config: BigGanConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        if not shape.classes:
            raise DataError("building the model", "biggan needs labels", "Sort the pictures into a folder a class")
        depth = halvings(shape.size)
        self.generator = ConditionalGenerator(config.latent, config.width, depth, config.embedding, shape)
        self.discriminator = ProjectionDiscriminator(config.width, depth, shape, config.spectral_norm)

    @property
    def hears(self) -> tuple[str, ...]:
        """The classes."""
        return ("labels",)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures of latents [n, latent], of the classes in turn where no labels [n] are given."""
        chosen = even_labels(len(z), self.shape.classes) if labels is None else labels
        pictures: Tensor = self.generator(z, chosen.to(z.device))
        return pictures

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """The hinge losses; made pictures are of the real ones' classes."""
        images, labels = batch.images, batch.labels
        if phase == DISCRIMINATOR:
            real = self.discriminator(self.seen(images), labels)
            fake = self.discriminator(self.seen(self.made(images, labels)), labels)
            return {"loss": hinge_discriminator(real, fake), **score_figures(real, fake)}
        fake = self.discriminator(self.seen(self.decode(self.latent(len(images)), labels)), labels)
        return {"loss": hinge_generator(fake)}
