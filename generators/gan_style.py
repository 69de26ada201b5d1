"""Parts of StyleGAN: a mapping from latents to styles, convolutions that a style modulates, noise, style mixing.

Sources: Karras et al. 2019, A Style-Based Generator Architecture for GANs ("2019" below); Karras et al. 2020, Analyzing
and Improving the Image Quality of StyleGAN ("2020").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, leaky_relu, linear

from generators.model import DataShape


class SlowLinear(nn.Module):
    """A linear layer whose weights learn `rate` times as fast as others: 2019, section 4 and appendix C."""

    def __init__(self, features: int, rate: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, features) / rate)
        self.bias = nn.Parameter(torch.zeros(features))
        self.rate, self.scale = rate, rate / features**0.5

    def forward(self, x: Tensor) -> Tensor:
        """[n, features] -> [n, features]."""
        return linear(x, self.weight * self.scale, self.bias * self.rate)


class Mapping(nn.Module):
    """Latents z [n, size] -> styles w [n, size]: z at length sqrt(size), through some layers; 2019, figure 1."""

    def __init__(self, size: int, layers: int, rate: float = 0.01) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SlowLinear(size, rate) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        """The styles, by which curves in z become straighter."""
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2) * 2**0.5
        return x


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """[n, out]: by what each output is to be multiplied, so that the weights, once modulated, have length 1.

    weight [out, in, k, k], style [n, in]: 1 / sqrt(sum (style_i w_oik)^2 + eps). Source: 2020, equation 3.
    """
    lengths = style.square() @ weight.square().sum((2, 3)).T
    return (lengths + 1e-8).rsqrt()


class StyledConv(nn.Module):
    """A convolution of weights that a style scales by input feature (2020, equation 1) and demodulates (equation 3).

    Scaling the input and the output instead of each picture's own weights is the same sum, in one convolution for all.
    With `up`, a transposed convolution 4x4 that doubles the side; otherwise 3x3. Noise of a learned strength is added,
    then a bias and a leaky ReLU.
    """

    def __init__(self, inputs: int, outputs: int, style: int, up: bool) -> None:
        super().__init__()
        taps, self.up = (4, True) if up else (3, False)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, taps, taps) / (inputs * 9) ** 0.5)
        self.style = nn.Linear(style, inputs)
        nn.init.normal_(self.style.weight, 0, style**-0.5)
        nn.init.ones_(self.style.bias)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: torch.Generator | None) -> Tensor:
        """x [n, in, h, w], w [n, style] -> [n, out, h, w] or twice the side."""
        style = self.style(w)
        x = x * style[:, :, None, None]
        x = (
            conv_transpose2d(x, self.weight.transpose(0, 1), None, 2, 1)
            if self.up
            else conv2d(x, self.weight, None, 1, 1)
        )
        gain = 2.0 if self.up else 1.0  # of a transposed convolution's 16 taps, 4 meet at each pixel
        x = x * gain * demodulation(self.weight, style)[:, :, None, None]
        x = x + self.strength * standard_noise(x, noise) + self.bias[:, None, None]
        return leaky_relu(x, 0.2) * 2**0.5


class ToPicture(nn.Module):
    """Features to colours: a 1x1 convolution, modulated but not demodulated (2020, appendix B)."""

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, inputs) / inputs**0.5)
        self.style = nn.Linear(style, inputs)
        nn.init.normal_(self.style.weight, 0, style**-0.5)
        nn.init.ones_(self.style.bias)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [n, in, h, w], w [n, style] -> [n, channels, h, w]."""
        modulated = self.weight * self.style(w)[:, None]
        return torch.einsum("nci,nihw->nchw", modulated, x) + self.bias[:, None, None]


class StyleGenerator(nn.Module):
    """Mapping and synthesis: a learned constant, a styled convolution a resolution, the sum of all their pictures.

    Source: 2019, figure 1; 2020, figure 2c, and figure 7b for the sum ("skip generator").
    """

    def __init__(self, size: int, layers: int, width: int, depth: int, shape: DataShape) -> None:
        super().__init__()
        side, self.size = shape.size >> depth, size
        features = [(width << depth) >> (i + 1) for i in range(depth + 1)]
        self.mapping = Mapping(size, layers)
        self.constant = nn.Parameter(torch.randn(1, features[0], side, side))
        inputs = [features[0], *features[:-1]]
        self.convolutions = nn.ModuleList(
            StyledConv(a, b, size, i > 0) for i, (a, b) in enumerate(zip(inputs, features, strict=True))
        )
        self.pictures = nn.ModuleList(ToPicture(b, shape.channels, size) for b in features)

    @property
    def styles(self) -> int:
        """How many styles a picture has: one a resolution."""
        return len(self.convolutions)

    def forward(self, w: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Styles [n, styles, size] -> pictures [n, channels, size, size], not bounded."""
        x = self.convolutions[0](self.constant.expand(len(w), -1, -1, -1), w[:, 0], noise)
        total: Tensor = self.pictures[0](x, w[:, 0])
        for i in range(1, self.styles):
            x = self.convolutions[i](x, w[:, i], noise)
            total = enlarged(total) + self.pictures[i](x, w[:, i])
        return total


def mix(first: Tensor, second: Tensor, crossover: Tensor, layers: int) -> Tensor:
    """Styles [n, layers, size]: `first` [n, size] below layer `crossover` [n] of each picture, `second` from there on.

    Source: 2019, section 3.1, mixing regularisation.
    """
    early = torch.arange(layers, device=first.device) < crossover[:, None]
    return torch.where(early[:, :, None], first[:, None], second[:, None])


def path_lengths(pictures: Tensor, styles: Tensor) -> Tensor:
    """[n]: how far each picture moves by its styles [n, layers, size], |J^T y| for random pictures y of unit variance a
    side, itself differentiable. Source: 2020, section 3.2, equation 4 and appendix B.
    """
    y = torch.randn_like(pictures) / (pictures.shape[2] * pictures.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((pictures * y).sum(), styles, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def enlarged(pictures: Tensor) -> Tensor:
    """Twice the side, bilinearly."""
    return interpolate(pictures, scale_factor=2.0, mode="bilinear", align_corners=False)


def standard_noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """[n, 1, h, w] standard normal numbers; from torch's global generator where none is given."""
    device = generator.device if generator is not None else like.device
    return torch.randn(len(like), 1, *like.shape[2:], generator=generator, device=device).to(like.device)
