"""VQ-VAE: an autoencoder whose latents are entries of a codebook, and a prior over them to draw from.

Source: A. van den Oord et al., Neural Discrete Representation Learning (2017), equations 1 to 3, on
`diffusers.VQModel`. Each place of the encoder's grid z_e(x) is replaced by the nearest entry e of the codebook, the
gradient is copied past that choice, and descended on is

    |x - decode(e)|  +  perceptual  +  |sg(z_e) - e|^2  +  commitment * |z_e - sg(e)|^2

with sg the stopped gradient. A codebook collapses easily to a few entries: it begins as encodings of the data, and an
entry that is no longer used becomes an encoding of the batch (Lancucki et al. 2020; Dhariwal et al. 2020).
In the run's second stage a small causal transformer learns p(codes), row by row, given the class where there is one
(`vqvae_prior.py`), as the paper does with a PixelCNN; `sample` draws from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import VQModel
from torch import Tensor
from torch.nn import functional

from decoder.errors import RecipeError
from generators.autoencoder_kl import check_levels
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_number, check_options, even_labels
from generators.perceptual import pyramid_distance
from generators.pictures import Batch, Pictures
from generators.vqvae_prior import CodePrior

AUTOENCODER, PRIOR = "autoencoder", "prior"
FOLLOWED = 0.02
"""Share of the newest batch in the running frequencies of the codes."""


@dataclass(frozen=True, slots=True)
class VqVaeConfig:
    """Of the network, its loss and its prior.

    Attributes:
        channels: of the levels; each but the last halves the sides.
        codes: entries of the codebook.
        code_width: numbers of an entry.
        layers_per_block: residual layers a level.
        norm_groups: of every group normalisation; divides each of `channels`.
        reconstruction: `l1` or `l2`.
        perceptual_weight: of the Laplacian pyramid's distance.
        commitment: beta of equation 3.
        revive_below: an entry used less often than this share of its fair share is replaced; 0 means never.
        learning_rate: of the autoencoder.
        prior_share: of the run, at its end, in which the prior is trained; 0 means none: it then reconstructs only.
        prior_width, prior_layers, prior_heads, prior_dropout: of the transformer.
        prior_learning_rate: of the prior.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    codes: int = 128
    code_width: int = 8
    layers_per_block: int = 1
    norm_groups: int = 8
    reconstruction: Literal["l1", "l2"] = "l1"
    perceptual_weight: float = 1.0
    commitment: float = 0.25
    revive_below: float = 0.05
    learning_rate: float = 2e-3
    prior_share: float = 0.5
    prior_width: int = 64
    prior_layers: int = 3
    prior_heads: int = 4
    prior_dropout: float = 0.1
    prior_learning_rate: float = 2e-3


def make_vq_model(config: VqVaeConfig, shape: DataShape) -> Any:
    """The untrained network, a `VQModel`. Raises RecipeError when the configuration does not fit the pictures."""
    check_levels(config.channels, config.norm_groups, shape.size)
    levels = len(config.channels)
    network: Any = VQModel(  # type: ignore[no-untyped-call]
        in_channels=shape.channels,
        out_channels=shape.channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.code_width,
        sample_size=shape.size,
        num_vq_embeddings=config.codes,
        norm_num_groups=config.norm_groups,
        mid_block_add_attention=False,
    )
    network.quantize.legacy = False  # else diffusers weighs the codebook's term where the paper weighs the encoder's
    network.quantize.beta = config.commitment
    return network


class VqVae(GenerativeModel):
    """Family `vqvae`."""

    family = "vqvae"
    Config = VqVaeConfig
    averaged = ("prior",)

    def __init__(self, config: VqVaeConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        if not 0 <= config.prior_share < 1:
            cause = f"prior_share is {config.prior_share}"
            raise RecipeError("building the VQ-VAE", cause, "Give a share from 0 to below 1")
        self.vq = make_vq_model(config, shape)
        self.side = shape.size // 2 ** (len(config.channels) - 1)
        width, layers, heads = config.prior_width, config.prior_layers, config.prior_heads
        self.prior = CodePrior(config.codes, self.side**2, shape.classes, width, layers, heads, config.prior_dropout)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.full((config.codes,), 1 / config.codes))

    @property
    def hears(self) -> tuple[str, ...]:
        """The classes, of which its prior knows."""
        return ("labels",) if self.config.prior_share and self.shape.classes else ()

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """First the autoencoder, then the prior over its codes."""
        if not self.config.prior_share or progress < 1 - self.config.prior_share:
            return (Phase(AUTOENCODER, ("vq",), self.config.learning_rate),)
        return (Phase(PRIOR, ("prior",), self.config.prior_learning_rate, weight_decay=0.01),)

    @torch.no_grad()
    def before(self, phase: str, pictures: Pictures) -> None:
        """The codebook begins as encodings of training pictures."""
        if phase == AUTOENCODER:
            chosen = torch.randint(len(pictures), (min(len(pictures), 512),))
            found = self._flat(self.vq.encode(pictures.batch(chosen).images.to(self.vq.device)).latents)
            drawn = torch.randint(len(found), (self.config.codes,), device=found.device)
            self.vq.quantize.embedding.weight.copy_(found[drawn])

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Figures: of the autoencoder reconstruction, quantisation, perplexity of the batch's codes and `used`, the
        share of the codebook that is in use; of the prior none: its loss is nats a code.
        """
        if phase == PRIOR:
            return {"loss": self.prior.nats(self.codes(batch.images), batch.labels).mean()}
        encoded = self.vq.encode(batch.images).latents
        chosen, quantisation, (_, _, codes) = self.vq.quantize(encoded)
        made = self.vq.decode(chosen, force_not_quantize=True).sample
        distance = functional.l1_loss if self.config.reconstruction == "l1" else functional.mse_loss
        reconstruction = distance(made, batch.images)
        perceptual = self.config.perceptual_weight * pyramid_distance(made, batch.images)
        counts = torch.bincount(codes.flatten(), minlength=self.config.codes) / codes.numel()
        self._follow(counts, encoded.detach())
        figures = {"reconstruction": reconstruction.detach(), "quantisation": quantisation.detach()}
        figures |= {
            "perplexity": perplexity(counts),
            "used": (self.frequencies > 0.01 / self.config.codes).float().mean(),
        }
        return {"loss": reconstruction + perceptual + quantisation, **figures}

    @torch.no_grad()
    def _follow(self, counts: Tensor, encoded: Tensor) -> None:
        """Running frequencies of the codes; an entry that is no longer used becomes one of the batch's encodings."""
        self.frequencies.lerp_(counts, FOLLOWED)
        dead = self.frequencies < self.config.revive_below / self.config.codes
        if self.training and bool(dead.any()):
            found = self._flat(encoded)
            drawn = torch.randint(len(found), (int(dead.sum()),), device=found.device)
            entries = self.vq.quantize.embedding.weight
            entries[dead] = found[drawn].to(entries.dtype)
            self.frequencies[dead] = 1 / self.config.codes

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes [n, side * side] of pictures [n, channels, size, size], row by row."""
        encoded = self.vq.encode(images).latents
        found: Tensor = self.vq.quantize(encoded)[2][2].view(len(images), -1)
        return found

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Pictures [n, channels, size, size] of codes [n, side * side]."""
        entries = self.vq.quantize.get_codebook_entry(codes, (len(codes), self.side, self.side, self.config.code_width))
        return torch.cat([self.vq.decode(each, force_not_quantize=True).sample for each in entries.split(256)])

    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Reconstructions of `conditions.images` where there are any; else pictures drawn from the prior.

        Options: temperature (1): of the draws of codes.

        Raises:
            RecipeError: there is no prior (prior_share is 0).
        """
        check_options(options, ("temperature",))
        if conditions.images is not None:
            return self.decode(self.codes(conditions.images)).clamp(-1, 1)
        if not self.config.prior_share:
            cause = "this VQ-VAE reconstructs only: it was trained without a prior over its codes"
            raise RecipeError("sampling", cause, "Set model.prior_share above 0 and train again")
        labels = conditions.labels
        if labels is None and self.shape.classes:
            labels = even_labels(conditions.count, self.shape.classes)
        temperature = options.get("temperature", 1.0)
        check_number("temperature", temperature, 0.01, 100)
        return self.decode(self.prior.draw(conditions.count, labels, generator, temperature)).clamp(-1, 1)

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """reconstruction (mean absolute error), psnr (dB, peak 2), perplexity and used (share) of the codes of all
        these pictures, and prior_nats: of one code, under the prior.
        """
        images = pictures.floats().to(self.vq.device)
        codes = torch.cat([self.codes(each) for each in torch.split(images, 256)])
        missed = self.decode(codes) - images
        counts = torch.bincount(codes.flatten(), minlength=self.config.codes) / codes.numel()
        figures = {
            "reconstruction": float(missed.abs().mean()),
            "psnr": 10 * math.log10(4 / max(float(missed.square().mean()), 1e-12)),
            "perplexity": float(perplexity(counts)),
            "used": float((counts > 0).float().mean()),
        }
        if self.config.prior_share:
            labels = pictures.labels.to(codes.device) if pictures.labels is not None else None
            figures["prior_nats"] = float(self.prior.nats(codes, labels).mean())
        return figures

    @staticmethod
    def _flat(encoded: Tensor) -> Tensor:
        """[n, width, h, w] as [n * h * w, width]."""
        return encoded.movedim(1, -1).flatten(0, 2)


def perplexity(frequencies: Tensor) -> Tensor:
    """exp of the entropy of frequencies [k] that add up to 1: so many codes, used equally, have the same."""
    found: Tensor = torch.special.entr(frequencies).sum().exp()
    return found
