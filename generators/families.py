"""The families by name, and the class that each is; its `Config` says what a recipe's `model:` may set."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from decoder.runs.recipe import check_choice, make_section

if TYPE_CHECKING:
    from generators.model import GenerativeModel


@dataclass(frozen=True, slots=True)
class FamilyEntry:
    """A family: `module:Class`, and what it is in half a line."""

    where: str
    summary: str


FAMILIES = {
    "vae": FamilyEntry("generators.vae:Vae", "variational autoencoder, also conditional"),
    "autoencoder_kl": FamilyEntry("generators.autoencoder_kl:LatentAutoencoder", "the autoencoder of latent models"),
    "vqvae": FamilyEntry("generators.vqvae:VqVae", "autoencoder with a codebook"),
    "dcgan": FamilyEntry("generators.dcgan:Dcgan", "GAN with the non-saturating loss"),
    "wgan_gp": FamilyEntry("generators.wgan_gp:WganGp", "Wasserstein GAN with gradient penalty"),
    "biggan": FamilyEntry("generators.biggan:BigGan", "class-conditional GAN with a projection discriminator"),
    "stylegan": FamilyEntry("generators.stylegan:StyleGan", "GAN with a mapping network and style modulation"),
    "pix2pix": FamilyEntry("generators.pix2pix:Pix2Pix", "translation learned from pairs"),
    "cyclegan": FamilyEntry("generators.cyclegan:CycleGan", "translation learned from two sets"),
    "ddpm": FamilyEntry("generators.ddpm:Ddpm", "denoising diffusion, also class-conditional"),
    "flow_matching": FamilyEntry("generators.flow_matching:FlowMatching", "straight paths from noise to pictures"),
    "latent_text_to_image": FamilyEntry("generators.latent:LatentTextToImage", "latent diffusion from captions"),
}


def check_family(name: str) -> None:
    """Refuse a family that is unknown, naming the nearest. Raises RecipeError."""
    check_choice(name, list(FAMILIES), "family")


def family_class(name: str) -> type[GenerativeModel]:
    """The family's class, imported. Raises RecipeError for an unknown name."""
    check_family(name)
    module, _, cls = FAMILIES[name].where.partition(":")
    found: type[GenerativeModel] = getattr(importlib.import_module(module), cls)
    return found


def family_config(name: str, values: Mapping[str, Any]) -> Any:
    """The family's configuration from a recipe's `model:` section. Raises RecipeError for unknown keys and kinds."""
    return make_section(family_class(name).Config, values, "model.")
