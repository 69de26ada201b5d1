"""The variational autoencoder: pictures from a latent code, and codes from pictures (Kingma and Welling 2013).

Trained on -ELBO = E_q[-log p(x | z)] + beta KL(q(z | x) || p(z)) (equation 3; beta: Higgins et al. 2017, equation 4).
With `conditional` both networks are told the label, and the prior stays standard (Sohn et al. 2015, equation 5 with a
prior that the condition does not change).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from decoder.errors import RecipeError
from generators import vae_networks as networks
from generators.errors import DataError, GeneratorError
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_number, check_options, even_labels
from generators.pictures import Batch, Pictures
from generators.vae_bounds import free_kl, kl_per_dimension, reparameterise
from generators.vae_config import VaeConfig, check_config
from generators.vae_likelihoods import bernoulli_log_likelihood, dequantised, gaussian_log_likelihood

SMALLEST_SIGMA = 1 / 256
"""A learned width may come to one grey value, not below: a density without a floor says nothing of pictures."""


class Vae(GenerativeModel):
    """An encoder, a decoder, and a bound on how likely pictures are."""

    family: ClassVar[str] = "vae"
    Config: ClassVar[type] = VaeConfig
    averaged: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "pixel")

    def __init__(self, config: VaeConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        check_config(config)
        self.config: VaeConfig = config
        condition = shape.classes if config.conditional else 0
        values = (shape.channels, shape.size, shape.size)
        self.encoder: networks.Encoder
        self.decoder: nn.Module
        if config.network == "dense":
            self.encoder = networks.dense_encoder(
                math.prod(values), condition, config.hidden, config.latent, config.dropout
            )
            self.decoder = networks.dense_decoder(values, config.latent + condition, config.hidden, config.dropout)
        else:
            self.encoder = networks.convolutional_encoder(
                shape.channels, shape.size, condition, config.width, config.hidden, config.latent
            )
            self.decoder = networks.convolutional_decoder(
                shape.channels, shape.size, config.latent + condition, config.width, config.hidden
            )
        learned = config.likelihood == "gaussian" and not config.sigma
        self.pixel = Pixel(math.log(config.sigma) if config.sigma else math.log(0.1), learned)
        self.progress = 1.0

    @classmethod
    def build(cls, config: Any, pictures: Pictures) -> Vae:
        """As the base has it. Raises DataError when labels are asked for and there are none."""
        if config.conditional and pictures.labels is None:
            cause = f"{pictures.source or 'the pictures'} have no labels, and model.conditional is true"
            raise DataError("building the VAE", cause, "Sort the pictures into one folder a class, or set it to false")
        return cls(config, DataShape.of(pictures))

    @property
    def hears(self) -> tuple[str, ...]:
        """The classes, where it is a conditional one."""
        return ("labels",) if self.config.conditional and self.shape.classes else ()

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """One: both networks together."""
        self.progress = progress
        rate, decay = self.config.learning_rate, self.config.weight_decay
        return (Phase("vae", ("encoder", "decoder", "pixel"), rate, weight_decay=decay),)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """The training loss, and the ELBO's two parts at beta 1, in nats a picture."""
        x = to_pixels(batch.images)
        x = dequantised(x, torch.rand_like(x)) if self.config.likelihood == "gaussian" else x
        mean, log_variance = self.posterior(batch.images, batch.labels)
        z = reparameterise(mean, log_variance, torch.randn_like(mean))
        reconstruction = -self.log_likelihood(self.outputs(z, batch.labels), x).mean()
        kl = kl_per_dimension(mean, log_variance)
        total = kl.sum(1).mean()
        weight = self.config.beta * (min(1.0, self.progress / self.config.warmup) if self.config.warmup else 1.0)
        loss = reconstruction + weight * (free_kl(kl, self.config.free_nats) if self.config.free_nats else total)
        figures = {"reconstruction": reconstruction, "kl": total, "bound": reconstruction + total}
        return {"loss": loss} | {name: value.detach() for name, value in figures.items()}

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [n, latent] of q(z | x) for pictures [n, channels, size, size] in [-1, 1].

        Raises GeneratorError without the labels that a conditional model needs.
        """
        moments: tuple[Tensor, Tensor] = self.encoder(images, self.condition(labels, len(images), images))
        return moments

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The posterior's mean, [n, latent]; see `posterior`."""
        return self.posterior(images, labels)[0]

    def outputs(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the likelihood takes, [n, channels, size, size]: logits, or a Gaussian's mean in [0, 1]."""
        out: Tensor = self.decoder(torch.cat([z, self.condition(labels, len(z), z)], 1))
        return out if self.config.likelihood == "bernoulli" else out.sigmoid()

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean picture of codes [n, latent], [n, channels, size, size] in [-1, 1]."""
        out = self.outputs(z, labels)
        return (out.sigmoid() if self.config.likelihood == "bernoulli" else out) * 2 - 1

    def log_likelihood(self, outputs: Tensor, pixels: Tensor) -> Tensor:
        """log p(x | z) in nats for pixels [..., channels, size, size] in [0, 1]."""
        if self.config.likelihood == "bernoulli":
            return bernoulli_log_likelihood(outputs, pixels)
        return gaussian_log_likelihood(outputs, self.pixel.log_sigma(), pixels)

    def condition(self, labels: Tensor | None, count: int, like: Tensor) -> Tensor:
        """[count, classes] one-hot labels, or [count, 0] where the model takes none."""
        if not self.config.conditional:
            return like.new_zeros(count, 0)
        if labels is None:
            raise GeneratorError("using the VAE", "it is conditional, and no labels are given", "Give one a picture")
        return one_hot(labels.to(like.device), self.shape.classes).to(like.dtype)

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Codes from the prior, decoded.

        Options:
            temperature: standard deviation of the codes; 1 is the model, less is safer and less various.
            pixels: `mean` (the default) or `drawn` from the likelihood.
        """
        check_options(options, ("temperature", "pixels"))
        temperature = options.get("temperature", 1.0)
        check_number("temperature", temperature, 0, 100)
        noise = torch.randn(conditions.count, self.config.latent, generator=generator) * temperature
        labels = conditions.labels
        if labels is None and self.config.conditional:
            labels = even_labels(conditions.count, self.shape.classes)
        pictures = self.decode(noise.to(next(self.parameters()).device), labels)
        how = options.get("pixels", "mean")
        if how not in ("mean", "drawn"):
            raise RecipeError("sampling", f"sampling.pixels is {how!r}", "Choose mean or drawn")
        return pictures if how == "mean" else self._drawn(pictures, generator)

    def _drawn(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        if self.config.likelihood == "bernoulli":
            chance = torch.rand(pictures.shape, generator=generator).to(pictures.device)
            return (chance < to_pixels(pictures)).to(pictures.dtype) * 2 - 1
        noise = torch.randn(pictures.shape, generator=generator).to(pictures.device)
        return (pictures + 2 * self.pixel.log_sigma().exp() * noise).clamp(-1, 1)

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """Nats a picture at beta 1, see `vae_evaluate`."""
        from generators.vae_evaluate import figures

        return figures(self, pictures, generator)


class Pixel(nn.Module):
    """The width of a Gaussian pixel: learned, or fixed."""

    def __init__(self, log_sigma: float, learned: bool) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(log_sigma), requires_grad=learned)

    def log_sigma(self) -> Tensor:
        """Scalar, in units of [0, 1]."""
        return self.width.clamp(min=math.log(SMALLEST_SIGMA))


def to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (images + 1) / 2
