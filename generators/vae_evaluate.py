"""A VAE's figures on held-out pictures, in nats a picture: the bound, its two parts, a tighter bound, active units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from generators.pictures import Pictures
from generators.vae_bounds import active_units, importance_weighted, kl_per_dimension, log_normal, reparameterise
from generators.vae_likelihoods import bits_per_dimension, dequantised

if TYPE_CHECKING:
    from generators.vae import Vae

CHUNK = 100
DRAWS = 8
"""Codes a picture over which the reconstruction is averaged; the KL needs none."""


def figures(model: Vae, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
    """Nats a picture: "bound" (-ELBO), "reconstruction", "kl", "iw_bound"; and "active_units" of "units".

    Of a Gaussian also "sigma", in [0, 1], and "bits_per_dimension"; its "bound" is minus the log-density of dequantised
    pixels in [0, 1).
    """
    indices = torch.split(torch.arange(len(pictures)), CHUNK)
    parts = [_chunk(model, pictures, index, generator) for index in indices]
    reconstruction, kl, tight, means = (torch.cat([part[i] for part in parts]) for i in range(4))
    bound = float(reconstruction.double().mean() + kl.double().mean())
    found = {
        "bound": bound,
        "reconstruction": float(reconstruction.double().mean()),
        "kl": float(kl.double().mean()),
        "iw_bound": float(-tight.double().mean()),
        "active_units": float(active_units(means)),
        "units": float(model.config.latent),
    }
    if model.config.likelihood == "gaussian":
        found["sigma"] = float(model.pixel.log_sigma().exp())
        found["bits_per_dimension"] = bits_per_dimension(bound, pictures.images[0].numel())
    return found


def _chunk(model: Vae, pictures: Pictures, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Reconstruction, KL, importance-weighted bound [n] and posterior means [n, latent]."""
    batch = pictures.batch(index)
    device = next(model.parameters()).device
    images = batch.images.to(device)
    labels = batch.labels.to(device) if batch.labels is not None else None
    x = (images + 1) / 2
    if model.config.likelihood == "gaussian":
        x = dequantised(x, torch.rand(x.shape, generator=generator).to(device))
    moments = model.posterior(images, labels)
    count = max(DRAWS, model.config.importance_samples)
    pairs = [_weights(model, x, moments, labels, generator) for _ in range(count)]
    likelihood = torch.stack([pair[0] for pair in pairs[:DRAWS]]).mean(0)
    tight = importance_weighted(torch.stack([pair[1] for pair in pairs[: model.config.importance_samples]]))
    return -likelihood, kl_per_dimension(*moments).sum(1), tight, moments[0]


def _weights(
    model: Vae, x: Tensor, moments: tuple[Tensor, Tensor], labels: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """log p(x | z) and log p(x, z) - log q(z | x), both [n], for one drawn code a picture."""
    mean, log_variance = moments
    z = reparameterise(mean, log_variance, torch.randn(mean.shape, generator=generator).to(mean.device))
    likelihood = model.log_likelihood(model.outputs(z, labels), x)
    prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
    return likelihood, likelihood + prior - log_normal(z, mean, log_variance)
