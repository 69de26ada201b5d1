"""The encoder and the decoder of a VAE: dense for small pictures, convolutional for larger ones.

A condition, where there is one, is a vector that both are given beside their input (Sohn et al. 2015, figure 1d).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

SMALLEST = 4


class Encoder(nn.Module):
    """Pictures to the mean and the log-variance of their posterior.

    Args:
        body: [n, channels, size, size] to [n, features].
        features: of the body.
        condition: numbers that the condition has; 0 for none.
        latent: numbers of a posterior's mean.
    """

    def __init__(self, body: nn.Module, features: int, condition: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Sequential(nn.Linear(features + condition, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent))

    def forward(self, pixels: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """[n, latent] means and log-variances; the latter within what float32 can exponentiate well."""
        out = self.head(torch.cat([self.body(pixels), condition], 1))
        mean, log_variance = out.chunk(2, 1)
        return mean, log_variance.clamp(-12, 8)


def dense_encoder(pixels: int, condition: int, hidden: int, latent: int, dropout: float) -> Encoder:
    """For pictures of so many values (channels x size x size)."""
    body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.SiLU(), nn.Dropout(dropout))
    return Encoder(body, hidden, condition, hidden, latent)


def dense_decoder(shape: tuple[int, int, int], inputs: int, hidden: int, dropout: float) -> nn.Module:
    """[n, inputs] to [n, *shape]."""
    channels, height, width = shape
    return nn.Sequential(
        OrderedDict(
            first=nn.Linear(inputs, hidden),
            act1=nn.SiLU(),
            second=nn.Linear(hidden, hidden),
            act2=nn.SiLU(),
            drop=nn.Dropout(dropout),
            out=nn.Linear(hidden, channels * height * width),
            shape=nn.Unflatten(1, shape),
        )
    )


def halvings(size: int) -> int:
    """How often pictures of this size are halved: until 4 to 7 pixels a side, or the size is odd."""
    count = 0
    while size > SMALLEST and size % 2 == 0 and size // 2 >= SMALLEST:
        size, count = size // 2, count + 1
    return count


def convolutional_encoder(channels: int, size: int, condition: int, width: int, hidden: int, latent: int) -> Encoder:
    """Strided convolutions whose channels double as the pictures halve."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
    count = halvings(size)
    for level in range(count):
        now, then = width << level, width << (level + 1)
        layers += [nn.Conv2d(now, then, 4, stride=2, padding=1), nn.GroupNorm(min(8, then), then), nn.SiLU()]
    side = size >> count
    return Encoder(nn.Sequential(*layers, nn.Flatten()), (width << count) * side * side, condition, hidden, latent)


def convolutional_decoder(channels: int, size: int, inputs: int, width: int, hidden: int) -> nn.Module:
    """The encoder's mirror; pictures double by the nearest neighbour, without checkerboards (Odena et al. 2016)."""
    count = halvings(size)
    side, top = size >> count, width << count
    layers: list[nn.Module] = [nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, top * side * side), nn.SiLU()]
    layers.append(nn.Unflatten(1, (top, side, side)))
    for level in reversed(range(count)):
        now, then = width << (level + 1), width << level
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(now, then, 3, padding=1)]
        layers += [nn.GroupNorm(min(8, then), then), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))
