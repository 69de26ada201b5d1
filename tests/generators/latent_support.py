"""Grey squares and bars of 8 x 8 pixels with captions, and a latent model of them of a few thousand parameters."""

import torch

from generators.families import family_class, family_config
from generators.pictures import Pictures

TINY = {
    "autoencoder": {"channels": [8, 8], "latent_channels": 4, "norm_groups": 4},
    "autoencoder_share": 0.5,
    "channels": [8],
    "attention": [True],
    "heads": 2,
    "norm_groups": 4,
    "text_width": 8,
}
NAMES = ("square", "bar")


def squares_and_bars(count=32):
    """Alternating; the captions say `a square` and `the tall bar`."""
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    images[0::2, :, 2:6, 2:6] = 255
    images[1::2, :, :, 3:5] = 200
    labels = torch.arange(count) % 2
    captions = tuple(("a square", "the tall bar")[label] for label in labels.tolist())
    return Pictures(images, labels, NAMES, captions)


def tiny_latent(seed=0, **values):
    torch.manual_seed(seed)
    cls = family_class("latent_text_to_image")
    return cls.build(family_config(cls.family, {**TINY, **values}), squares_and_bars())
