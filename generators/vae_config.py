"""What a recipe may set of a VAE, and what of that makes none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from decoder.errors import RecipeError


@dataclass(frozen=True, slots=True)
class VaeConfig:
    """What a recipe's `model:` may set.

    Attributes:
        latent: numbers of a latent code.
        likelihood: `bernoulli` (pixels, or grey values as probabilities) or `gaussian` (grey values in [0, 1]).
        sigma: the Gaussian's width in units of [0, 1]; 0: one for all pixels, learned.
        beta: weight of the KL in training; figures are of beta 1 always.
        free_nats: KL of each latent dimension that training does not ask less of.
        warmup: share of the run over which beta rises from 0 to what it is (Bowman et al. 2016, section 3.1).
        conditional: the label is given to both networks, and to `sample`.
        network: `dense` for pictures up to 16 pixels or so, `convolutional` for larger ones.
        hidden: units of a dense layer.
        width: channels of the convolutional networks at full size; they double as pictures halve.
        dropout: in the dense networks.
        learning_rate, weight_decay: of AdamW.
        importance_samples: of the importance-weighted bound.
    """

    latent: int = 8
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    sigma: float = 0.0
    beta: float = 1.0
    free_nats: float = 0.0
    warmup: float = 0.0
    conditional: bool = False
    network: Literal["dense", "convolutional"] = "dense"
    hidden: int = 256
    width: int = 32
    dropout: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    importance_samples: int = 64


def check_config(config: VaeConfig) -> None:
    """Refuse numbers that make no VAE. Raises RecipeError."""
    low = {"latent": 1, "hidden": 1, "width": 1, "importance_samples": 1}
    low |= {"sigma": 0, "beta": 0, "free_nats": 0, "warmup": 0, "dropout": 0, "weight_decay": 0}
    for name, least in low.items():
        if getattr(config, name) < least:
            raise RecipeError("building the VAE", f"model.{name} is {getattr(config, name)}", f"Give {least} or more")
    if config.dropout >= 1 or config.warmup > 1:
        raise RecipeError("building the VAE", "model.dropout or model.warmup is a share above 1", "Give less")
