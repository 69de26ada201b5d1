"""The autoencoder of latent models: `diffusers.AutoencoderKL`, trained here.

Source: R. Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022), section 3.1 and
appendix G. An encoder gives a Gaussian q(z|x) over a small grid of latents, a decoder the picture again. Descended on:

    |x - decode(z)|  +  perceptual_weight * perceptual(x, decode(z))  +  kl_weight * KL(q(z|x) || N(0, I)) / size of z

with KL = 1/2 sum(mean^2 + variance - 1 - log variance) in nats. The KL's weight is small: it keeps the latents in
bounds, it does not make them N(0, I). Pictures drawn from N(0, I) would therefore be poor; `sample` draws latents from
one Gaussian that is fitted to the latents of training, which is a baseline, not a model of pictures. A diffusion model
over the latents is one: family `latent_text_to_image`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from decoder.errors import RecipeError
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_options
from generators.perceptual import RandomFeatures, pyramid_distance
from generators.pictures import Batch, Pictures

MOST_FITTED = 1024
"""Numbers of a latent up to which `sample` fits a whole covariance; beyond, each number's own variance alone."""


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Of the network and its loss.

    Attributes:
        channels: of the levels; each but the last halves the sides.
        latent_channels: of the grid of latents.
        layers_per_block: residual layers a level.
        norm_groups: of every group normalisation; divides each of `channels`.
        attention: self-attention in the middle.
        reconstruction: `l1` or `l2`, the mean over a picture's numbers.
        perceptual: `pyramid`, `random` (see `perceptual.py`) or `none`.
        perceptual_weight, kl_weight: of the loss's other terms.
        learning_rate: of Adam.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    latent_channels: int = 4
    layers_per_block: int = 1
    norm_groups: int = 8
    attention: bool = False
    reconstruction: Literal["l1", "l2"] = "l1"
    perceptual: Literal["none", "pyramid", "random"] = "pyramid"
    perceptual_weight: float = 1.0
    kl_weight: float = 1e-3
    learning_rate: float = 2e-3

    @property
    def factor(self) -> int:
        """By how much the latents' sides are smaller than the pictures'."""
        return int(2 ** (len(self.channels) - 1))


def make_autoencoder(config: AutoencoderConfig, shape: DataShape) -> Any:
    """The untrained network, an `AutoencoderKL`. Raises RecipeError when the configuration fits no such pictures."""
    check_levels(config.channels, config.norm_groups, shape.size)
    levels = len(config.channels)
    return AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=shape.channels,
        out_channels=shape.channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        sample_size=shape.size,
        scaling_factor=1.0,
        force_upcast=False,
        mid_block_add_attention=config.attention,
    )


def check_levels(channels: tuple[int, ...], groups: int, size: int) -> None:
    """Refuse channels that groups do not divide, and pictures that cannot be halved so often. Raises RecipeError."""
    step, factor = "building the autoencoder", 2 ** (len(channels) - 1)
    if not channels or size % factor or size // factor < 2:
        cause = f"pictures of {size} pixels cannot be halved {len(channels) - 1} times"
        raise RecipeError(step, cause, "Change the number of channels, one a level, or data.size")
    if groups < 1 or any(each % groups for each in channels):
        raise RecipeError(step, f"norm_groups {groups} does not divide {list(channels)}", "Choose one that does")


class AutoencoderLoss:
    """The loss above, of any `AutoencoderKL`."""

    def __init__(self, config: AutoencoderConfig, shape: DataShape) -> None:
        self._config = config
        self._features = RandomFeatures(shape.channels) if config.perceptual == "random" else None

    def __call__(self, network: Any, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The loss with its figures, and the latents [n, latent_channels, h, w] that were drawn."""
        config = self._config
        posterior = network.encode(images).latent_dist
        latents = posterior.sample()
        made = network.decode(latents).sample
        distance = functional.l1_loss if config.reconstruction == "l1" else functional.mse_loss
        reconstruction, kl = distance(made, images), posterior.kl().mean()
        loss = reconstruction + config.kl_weight * kl / latents[0].numel()
        figures = {"reconstruction": reconstruction.detach(), "kl": kl.detach()}
        if config.perceptual != "none":
            perceptual = self.perceptual(made, images)
            loss = loss + config.perceptual_weight * perceptual
            figures["perceptual"] = perceptual.detach()
        return {"loss": loss, **figures}, latents.detach()

    def perceptual(self, made: Tensor, real: Tensor) -> Tensor:
        """The perceptual distance that the configuration names."""
        if self._features is None:
            return pyramid_distance(made, real)
        return self._features.to(real.device).distance(made, real)


@torch.no_grad()
def autoencoder_figures(network: Any, pictures: Pictures) -> dict[str, float]:
    """On held-out pictures, with the mean of q(z|x) as latents.

    reconstruction: mean absolute error of numbers in [-1, 1]. kl: nats a picture. psnr: of the mean squared error over
    all pictures, in dB, with a peak of 2.
    """
    error = squared = kl = 0.0
    for start in range(0, len(pictures), 256):
        images = pictures.subset(torch.arange(start, min(start + 256, len(pictures)))).floats().to(network.device)
        posterior = network.encode(images).latent_dist
        missed = network.decode(posterior.mode()).sample - images
        error += float(missed.abs().mean((1, 2, 3)).sum())
        squared += float(missed.square().mean((1, 2, 3)).sum())
        kl += float(posterior.kl().sum())
    count = len(pictures)
    psnr = 10 * math.log10(4 / max(squared / count, 1e-12))
    return {"reconstruction": error / count, "kl": kl / count, "psnr": psnr}


class LatentAutoencoder(GenerativeModel):
    """Family `autoencoder_kl`."""

    family = "autoencoder_kl"
    Config = AutoencoderConfig
    averaged = ("vae",)

    def __init__(self, config: AutoencoderConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        self.vae = make_autoencoder(config, shape)
        self._objective = AutoencoderLoss(config, shape)
        side = shape.size // config.factor
        self._latent = (config.latent_channels, side, side)
        numbers = math.prod(self._latent)
        wide = numbers if numbers <= MOST_FITTED else 1
        self.latent_mean: Tensor
        self.latent_covariance: Tensor
        self.register_buffer("latent_mean", torch.zeros(numbers))
        self.register_buffer("latent_covariance", torch.eye(numbers) if wide > 1 else torch.ones(numbers))

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """One."""
        return (Phase("autoencoder", ("vae",), self.config.learning_rate),)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Figures: reconstruction, kl (nats a picture), perceptual."""
        losses, latents = self._objective(self.vae, batch.images)
        self._follow(latents.flatten(1))
        return losses

    def _follow(self, latents: Tensor, share: float = 0.02) -> None:
        """Moments over the last 50 batches or so, as batch normalisation keeps them."""
        latents = latents.float()
        missed = latents - self.latent_mean
        whole = self.latent_covariance.dim() == 2
        with torch.autocast(latents.device.type, enabled=False):
            spread = missed.T @ missed / len(latents) if whole else missed.square().mean(0)
        self.latent_mean.lerp_(latents.mean(0), share)
        self.latent_covariance.lerp_(spread, share)

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Reconstructions of `conditions.images` where there are any; else decoded draws of the fitted Gaussian."""
        check_options(options, ())
        if conditions.images is not None:
            latents = self.vae.encode(conditions.images).latent_dist.mode()
        else:
            noise = torch.randn(conditions.count, len(self.latent_mean), generator=generator)
            latents = (self.latent_mean + self._spread(noise.to(self.latent_mean))).view(-1, *self._latent)
        return torch.cat([self.vae.decode(each).sample for each in latents.split(256)]).clamp(-1, 1)

    def _spread(self, noise: Tensor) -> Tensor:
        if self.latent_covariance.dim() == 1:
            return noise * self.latent_covariance.sqrt()
        values, vectors = torch.linalg.eigh(self.latent_covariance.double())
        spread: Tensor = (noise.double() * values.clamp_min(0).sqrt()) @ vectors.T
        return spread.to(noise)

    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """reconstruction, kl and psnr of `autoencoder_figures`."""
        return autoencoder_figures(self.vae, pictures)
