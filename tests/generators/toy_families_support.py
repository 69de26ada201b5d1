"""Two families that train in no time: a linear autoencoder, and a GAN of two phases, with what real ones have too."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from generators import families
from generators.families import FamilyEntry
from generators.model import Conditions, GenerativeModel, check_options, even_labels
from generators.recipe import make_recipe

ENTRIES = {
    "toy_autoencoder": FamilyEntry(f"{__name__}:ToyAutoencoder", "a linear autoencoder"),
    "toy_gan": FamilyEntry(f"{__name__}:ToyGan", "a GAN of two phases"),
}


@dataclass(frozen=True)
class AutoencoderConfig:
    latent: int = 4
    noise: float = 0.1
    learning_rate: float = 1e-2
    weight_decay: float = 0.0


class ToyAutoencoder(GenerativeModel):
    """Reconstruction from a noisy code, so that the global generator counts."""

    family = "toy_autoencoder"
    Config = AutoencoderConfig
    averaged = ("decoder",)
    calls: ClassVar[list] = []

    def __init__(self, config, shape):
        super().__init__(config, shape)
        pixels = shape.channels * shape.size**2
        self.encoder, self.decoder = nn.Linear(pixels, config.latent), nn.Linear(config.latent, pixels)
        self.register_buffer("mean", torch.zeros(()))

    def phases(self, progress):
        from generators.model import Phase

        config = self.config
        return (Phase("all", ("encoder", "decoder"), config.learning_rate, weight_decay=config.weight_decay),)

    def before(self, phase, pictures):
        self.calls.append(phase)
        self.mean += pictures.floats().mean()

    def loss(self, phase, batch):
        flat = batch.images.flatten(1) - self.mean
        code = self.encoder(flat)
        code = code + self.config.noise * torch.randn_like(code)
        loss = (self.decoder(code) - flat).square().mean()
        return {"loss": loss, "code": code.detach().square().mean()}

    def sample(self, conditions: Conditions, generator, **options):
        check_options(options, ("scale",))
        code = torch.randn(conditions.count, self.config.latent, generator=generator) * options.get("scale", 1.0)
        return (self.decoder(code) + self.mean).view(-1, self.shape.channels, self.shape.size, self.shape.size)

    def evaluate(self, pictures, generator):
        flat = pictures.floats().flatten(1) - self.mean
        return {"bound": float((self.decoder(self.encoder(flat)) - flat).square().mean())}


@dataclass(frozen=True)
class GanConfig:
    latent: int = 4
    critic_steps: int = 2


class ToyGan(GenerativeModel):
    """Batch normalisation in the generator, labels, a critic with two updates a step, and a part that joins late."""

    family = "toy_gan"
    Config = GanConfig
    averaged = ("generator",)
    hears = ("labels",)

    def __init__(self, config, shape):
        super().__init__(config, shape)
        pixels = shape.channels * shape.size**2
        self.generator = nn.Sequential(
            nn.Linear(config.latent + shape.classes, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, pixels)
        )
        self.critic = nn.Sequential(nn.Linear(pixels, 16), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(16, 1))

    def phases(self, progress):
        from generators.model import Phase

        critic = Phase("critic", ("critic",), 1e-3, betas=(0.5, 0.9), repeats=self.config.critic_steps)
        late = (Phase("generator", ("generator",), 1e-3, betas=(0.5, 0.9)),) if progress >= 0.25 else ()
        return (critic, *late)

    def made(self, labels, generator=None):
        code = torch.randn(len(labels), self.config.latent, generator=generator)
        hot = nn.functional.one_hot(labels, self.shape.classes).float()
        return torch.tanh(self.generator(torch.cat([code, hot], 1)))

    def loss(self, phase, batch):
        fake = self.critic(self.made(batch.labels))
        if phase == "generator":
            return {"loss": -fake.mean()}
        real = self.critic(batch.images.flatten(1))
        loss = nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()
        return {"loss": loss, "real": real.detach().mean(), "fake": fake.detach().mean()}

    def sample(self, conditions: Conditions, generator, **options):
        check_options(options, ())
        labels = conditions.labels
        if labels is None:
            labels = even_labels(conditions.count, self.shape.classes)
        return self.made(labels, generator).view(-1, self.shape.channels, self.shape.size, self.shape.size)


def install():
    """Put both among the families."""
    families.FAMILIES.update(ENTRIES)


def recipe(output, family="toy_autoencoder", **sections):
    """A recipe of a few steps on small digits."""
    training = {"max_steps": 8, "batch_size": 16, "checkpoint_seconds": 1000.0, "threads": 1}
    values = {
        "family": family,
        "name": "toy",
        "output": str(output),
        "data": {"size": 8, "max_images": 200, **sections.pop("data", {})},
        "training": {**training, **sections.pop("training", {})},
        "evaluation": {"watched": 20, **sections.pop("evaluation", {})},
        **sections,
    }
    return make_recipe(values)
