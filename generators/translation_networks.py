"""The networks of translation from picture to picture: a U-Net, a residual network, a discriminator of patches.

All keep any batch apart: normalisation is within a picture, so that a picture's translation does not hang on its
neighbours. The papers use batch normalisation on batches of one, which is the same in kind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

SLOPE = 0.2


def norm(channels: int) -> nn.Module:
    """Within a picture, over groups of eight channels or so: single channels of 2x2 pixels would be too few numbers."""
    return nn.GroupNorm(max(1, channels // 8), channels)


def noisy_dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Dropout that stays on when the model draws: the noise of Isola et al. 2017, section 3.1. None: global noise."""
    if not rate:
        return x
    if generator is None:
        return nn.functional.dropout(x, rate, training=True)
    kept = torch.rand(x.shape, generator=generator).to(x.device) >= rate
    return x * kept / (1 - rate)


class UNet(nn.Module):
    """An encoder that halves and a decoder that doubles, each level's features handed across (Isola et al. 2017, 3.2).

    Args:
        channels_in, channels_out: of the pictures.
        width: channels of the first level; each further one has twice as many, at most eight times as many.
        levels: halvings; the pictures' size must be divisible by 2^levels.
        dropout: rate of the noise in the three innermost levels of the decoder.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int, levels: int, dropout: float) -> None:
        super().__init__()
        sizes = [width * min(1 << level, 8) for level in range(levels)]
        self.dropout = dropout
        self.entry = nn.Conv2d(channels_in, width, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(width if level == 0 else sizes[level - 1], sizes[level], 4, stride=2, padding=1)
            for level in range(levels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(
                sizes[level] * (1 if level == levels - 1 else 2), sizes[max(level - 1, 0)], 4, stride=2, padding=1
            )
            for level in range(levels)
        )
        self.down_norms = nn.ModuleList(norm(size) for size in sizes)
        self.up_norms = nn.ModuleList(norm(sizes[max(level - 1, 0)]) for level in range(levels))
        self.exit = nn.Conv2d(2 * width, channels_out, 3, padding=1)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, noise: bool = True) -> Tensor:
        """[n, channels_in, size, size] in [-1, 1] to [n, channels_out, size, size] in [-1, 1].

        The noise is of `generator`, or of torch's global one.
        """
        skips = [self.entry(x)]
        for layer, normal in zip(self.down, self.down_norms, strict=True):
            skips.append(normal(layer(leaky_relu(skips[-1], SLOPE))))
        h = skips.pop()
        for level in reversed(range(len(self.up))):
            h = self.up_norms[level](self.up[level](relu(h)))
            if noise and level >= max(len(self.up) - 3, 1):
                h = noisy_dropout(h, self.dropout, generator)
            h = torch.cat([h, skips.pop()], 1)
        out: Tensor = self.exit(relu(h)).tanh()
        return out


class Residual(nn.Module):
    """Two convolutions beside an identity (Johnson et al. 2016, as in Zhu et al. 2017, 7.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), norm(width), nn.ReLU(), _conv(width, width), norm(width))

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, size, size] to the same."""
        out: Tensor = x + self.body(x)
        return out


def residual_generator(
    channels_in: int, channels_out: int, width: int, blocks: int, halvings: int = 1
) -> nn.Sequential:
    """c3s1-width, halvings, residual blocks, doublings, c3s1-channels, tanh (Zhu et al. 2017, appendix 7.2).

    There with kernels of 7 and two halvings, for pictures of 256 pixels.
    """
    layers: list[nn.Module] = [_conv(channels_in, width), norm(width), nn.ReLU()]
    for level in range(halvings):
        now, then = width << level, width << (level + 1)
        layers += [nn.Conv2d(now, then, 3, stride=2, padding=1), norm(then), nn.ReLU()]
    layers += [Residual(width << halvings) for _ in range(blocks)]
    for level in reversed(range(halvings)):
        now, then = width << (level + 1), width << level
        layers += [nn.ConvTranspose2d(now, then, 4, stride=2, padding=1), norm(then), nn.ReLU()]
    return nn.Sequential(*layers, _conv(width, channels_out), nn.Tanh())


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


def patch_discriminator(channels: int, width: int, layers: int) -> nn.Sequential:
    """One logit for each overlapping patch (Isola et al. 2017, 6.1.2): `layers` halvings, then two of stride 1.

    [n, channels, size, size] to [n, 1, s, s] with s = size / 2^layers - 2; see `receptive_field`.
    """
    parts: list[nn.Module] = []
    now = channels
    for level in range(layers + 1):
        then = width * min(1 << level, 8)
        parts.append(nn.Conv2d(now, then, 4, stride=2 if level < layers else 1, padding=1))
        parts += [norm(then)] if level else []
        parts.append(nn.LeakyReLU(SLOPE))
        now = then
    return nn.Sequential(*parts, nn.Conv2d(now, 1, 4, padding=1))


def receptive_field(layers: int) -> int:
    """Pixels a side of the patch that a logit sees: 70 for 3 layers, 16 for 1, 7 for 0."""
    field = 4 + 3
    for _ in range(layers):
        field = field * 2 + 2
    return field
