"""Small pictures and small models for the tests of the GAN families."""

import torch

from generators.families import family_class, family_config
from generators.pictures import Pictures

FAMILIES = ("dcgan", "wgan_gp", "biggan", "stylegan")


def pictures(size=16, channels=1, count=24, classes=3):
    """Random pictures with labels in turn."""
    images = torch.randint(0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(1))
    names = tuple(str(i) for i in range(classes))
    return Pictures(images.to(torch.uint8), torch.arange(count) % classes, names)


def small(family, data=None, **values):
    """A model of 4 channels; `values` are keys of its configuration."""
    torch.manual_seed(0)
    data = pictures() if data is None else data
    return family_class(family).build(family_config(family, {"width": 4, "latent": 8, **values}), data)


def train(model, data, steps, batch_size=8, only=""):
    """The figures of every step's phases, by name, as the trainer would come by them; `only` one phase, if named."""
    optimizers, seen = {}, []
    for _ in range(steps):
        figures = {}
        for phase in [phase for phase in model.phases(0.0) if only in ("", phase.name)]:
            weights = [p for part in phase.parts for p in getattr(model, part).parameters()]
            optimizer = optimizers.setdefault(
                phase.name, torch.optim.AdamW(weights, phase.learning_rate, phase.betas, weight_decay=0)
            )
            for _ in range(phase.repeats):
                losses = model(phase.name, data.batch(torch.randint(len(data), (batch_size,))))
                optimizer.zero_grad()
                losses["loss"].backward()
                optimizer.step()
            figures[phase.name] = {name: float(value.detach()) for name, value in losses.items()}
        seen.append(figures)
    return seen
